import { z } from 'zod';

const scalar = z.union([z.string(), z.number(), z.boolean()]);

/** Options of the trainer by their sd-scripts names (contract kohya.md, section 2). */
export const kohyaSectionSchema = z.record(z.string().regex(/^[a-z0-9_]+$/), z.union([scalar, z.array(scalar)]));
