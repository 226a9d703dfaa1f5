import { z } from 'zod';

const gibibyte = 2 ** 30;

const fullSchema = z.strictObject({
  /** Time that a sampler takes for a picture, in milliseconds. */
  renderMs: z.number().nonnegative(),
  /** Preview frames in each step; the real default is none. */
  previews: z.boolean(),
  /** Bytes. */
  vramTotal: z.int().positive(),
  /** Bytes that a loaded checkpoint takes. */
  modelBytes: z.int().nonnegative(),
  /** `false`: `POST /free` answers, and nothing becomes free. */
  frees: z.boolean(),
  /** `false` is `--cache-none`: nothing of an earlier prompt is kept. */
  cache: z.boolean(),
  /** `false` is `--disable-metadata`; the chunk that says `simulated` stays. */
  metadata: z.boolean(),
  /**
   * What stands still: `events` sends nothing more over sockets, which stay open; `renderer` also stops rendering;
   * `http` also answers nothing, no ping either.
   */
  wedged: z.enum(['none', 'events', 'renderer', 'http']),
});

/** What can be set when the server starts and changed while it runs (`POST /sim/settings`). */
export type Settings = z.output<typeof fullSchema>;

/** Any part of the settings. */
export const settingsSchema = fullSchema.partial();

export const defaultSettings: Settings = {
  renderMs: 0,
  previews: false,
  vramTotal: 12 * gibibyte,
  modelBytes: 6 * gibibyte,
  frees: true,
  cache: true,
  metadata: true,
  wedged: 'none',
};
