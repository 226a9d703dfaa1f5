import { z } from 'zod';

/** Building blocks of the options; each type is what sd-scripts expects in a TOML file, where it checks nothing itself. */

export const text: z.ZodString = z.string().min(1);
export const flag: z.ZodBoolean = z.boolean();
export const count: z.ZodNumber = z.int().min(1);
export const wholeNumber: z.ZodNumber = z.int().min(0);
export const share: z.ZodNumber = z.number().min(0).max(1);
export const positive: z.ZodNumber = z.number().positive();
export const atLeastZero: z.ZodNumber = z.number().min(0);

/** Absolute, because the scripts run in their own folder. */
export const path = z.string().startsWith('/', 'expected an absolute path');

/** `key=value` texts. */
export const assignments = z.array(z.string().regex(/^[A-Za-z_]\w*=.+$/, 'expected key=value'));

/** Steps as a whole number; a share of all steps as a number below 1 or as `n%`. */
export const stepsOrShare = z.union([
  wholeNumber,
  share,
  z
    .string()
    .regex(/^\d+(\.\d+)?%$/, 'expected steps, a share below 1, or n%')
    .transform((percent) => Number(percent.slice(0, -1)) / 100)
    .pipe(share),
]);

const side = z
  .int()
  .min(64)
  .max(8192)
  .refine((pixels) => pixels % 8 === 0, 'expected a multiple of 8');

/** Pixels as `n`, `w,h` or a pair; always a pair afterwards. */
export const resolution = z
  .union([
    z.int().transform((pixels) => [pixels, pixels]),
    z
      .string()
      .regex(/^\d+(,\s*\d+)?$/, 'expected n or w,h')
      .transform((value) => {
        const [width, height] = value.split(',').map(Number);
        return [width, height ?? width];
      }),
    z.array(z.int()).length(2),
  ])
  .pipe(z.tuple([side, side]));

/** `low,high` or a pair. */
export const range = z
  .union([
    z
      .string()
      .regex(/^\d+(\.\d+)?,\s*\d+(\.\d+)?$/, 'expected low,high')
      .transform((value) => value.split(',').map(Number)),
    z.array(z.number()).length(2),
  ])
  .pipe(z.tuple([positive, positive]))
  .refine(([low, high]) => low <= high, 'expected low,high');
