/** One line of the table of what was proven. */
export interface Proof {
  readonly what: string;
  readonly by: string;
  readonly holds: boolean;
}
