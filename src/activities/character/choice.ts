import { z } from 'zod';

import type { CharacterRun } from '../../character/character-run.js';
import { TowerError } from '../../errors.js';
import { readJsonIfExists } from '../../files/read-json.js';

/** Of `choice.json`, what the delivery needs. */
const choiceSchema = z.looseObject({ epoch: z.int(), path: z.string(), sha256: z.string(), reason: z.string() });

/** The epoch that was chosen. @throws TowerError `NO_EPOCH_CHOSEN` */
export async function readChoice({ paths }: CharacterRun): Promise<z.output<typeof choiceSchema>> {
  const choice = await readJsonIfExists(paths.choice, choiceSchema);
  if (choice !== undefined) return choice;
  throw new TowerError('NO_EPOCH_CHOSEN', `${paths.choice} is not there`, {
    next: 'Let the run go on: `tower character start --run`.',
  });
}
