import { z } from 'zod';

/** Why a trainer ended without its artefact (only some reasons pass by trying again). The table in `fault-policy.ts` says what follows from each. */
export const faultClassSchema = z.enum([
  'out-of-memory',
  'bad-config',
  'bad-dataset',
  'missing-model',
  'disk-full',
  'diverged',
  'killed',
  'stalled',
  'internal',
]);

export type FaultClass = z.output<typeof faultClassSchema>;
