const reasons: Readonly<Record<string, string>> = {
  uniform: 'the policy uniform learns nothing',
  patterns: 'no job in processed/ has a good score',
  thompson: 'no job of the styles and categories that are set has a score yet',
};

/** Why a run has learned nothing. @param policy - By which it has drawn; `undefined`: an older record does not say. */
export function whyExplored(policy: string | undefined): string {
  return reasons[policy ?? ''] ?? 'there was nothing to learn from';
}
