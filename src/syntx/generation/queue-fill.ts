/** How the number of waiting prompts decides how many are made. */
export const fillRules = ['gate', 'levels', 'off'] as const;
export type FillRule = (typeof fillRules)[number];

/** The original's levels by how many prompts wait in `incoming` (contract syntx 2.1). */
const levels = [
  { name: 'STARVING', upTo: 0, make: 20 },
  { name: 'LOW', upTo: 4, make: 15 },
  { name: 'BALANCED', upTo: 24, make: 10 },
  { name: 'HIGH', upTo: 49, make: 0 },
  { name: 'OVERFLOW', upTo: Infinity, make: 0 },
] as const;

export type QueueLevel = (typeof levels)[number]['name'];

export interface FillDecision {
  readonly make: number;
  readonly level: QueueLevel;
  /** One sentence: why so many. */
  readonly reason: string;
}

export interface FillQuestion {
  /** Prompts in `incoming`. */
  readonly waiting: number;
  /** Prompts that the run would make. */
  readonly asked: number;
  readonly rule: FillRule;
  /** A person wants them whatever waits. */
  readonly force?: boolean;
}

/** The rule of 24: none is made while more than 24 prompts wait. */
export function promptsToMake({ waiting, asked, rule, force = false }: FillQuestion): FillDecision {
  const { name: level, make } = levels.find(({ upTo }) => waiting <= upTo)!;
  if (force) return { make: asked, level, reason: `forced: ${asked} whatever waits (${waiting})` };
  switch (rule) {
    case 'off':
      return { make: asked, level, reason: `the rule of 24 is off: ${asked}` };
    case 'gate':
      return make === 0
        ? { make: 0, level, reason: `${waiting} prompts wait, more than 24: none` }
        : { make: asked, level, reason: `${waiting} prompts wait, not more than 24: ${asked}` };
    case 'levels':
      return {
        make: Math.min(asked, make),
        level,
        reason: `${waiting} prompts wait (${level}): ${Math.min(asked, make)}`,
      };
  }
}
