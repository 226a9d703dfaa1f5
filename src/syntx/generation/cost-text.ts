/** What a run of the producer has cost, for people. @param priced - `false`: no price is set for its model; missing in older records. */
export function costText({ paid, priced }: { readonly paid: number; readonly priced?: boolean | undefined }): string {
  return priced === false && paid === 0 ? 'no price for this model' : `${paid.toFixed(4)} USD`;
}
