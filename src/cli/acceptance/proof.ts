import { describeError } from '../../errors.js';

/** One line of the table of what was proven. */
export interface Proof {
  readonly what: string;
  readonly by: string;
  readonly holds: boolean;
}

/** A look that fails proves nothing, and its words stand in the table. */
export async function lookingFor(what: string, look: () => Promise<Proof[]>): Promise<Proof[]> {
  try {
    return await look();
  } catch (error) {
    return [{ what, by: describeError(error).split('\n', 1)[0] ?? '', holds: false }];
  }
}
