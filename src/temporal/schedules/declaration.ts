import { readdir, readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';

import { msToNumber } from '@temporalio/common/lib/time.js';
import type { Duration } from '@temporalio/common';
import { parse as parseToml } from 'smol-toml';
import { z } from 'zod';

import type { Config } from '../../config/schema.js';
import { TowerError } from '../../errors.js';
import { packageRoot } from '../../files/package-root.js';
import { calendarsOfCron } from './cron.js';

/** Schedules that are Tower's own carry this prefix, and {@link ownerMemo}. */
export const scheduleIdPrefix = 'tower-';

const milliseconds = z.string().transform((text, context) => {
  try {
    const value = msToNumber(text as Duration);
    if (value > 0) return value;
  } catch {
    // Reported below, with what was expected.
  }
  context.addIssue({
    code: 'custom',
    message: `expected a duration such as 10m or 23h, found ${JSON.stringify(text)}`,
  });
  return z.NEVER;
});

const cronLine = z.string().superRefine((line, context) => {
  try {
    calendarsOfCron(line);
  } catch (error) {
    context.addIssue({ code: 'custom', message: (error as Error).message });
  }
});

const declarationSchema = z.strictObject({
  id: z.string().startsWith(scheduleIdPrefix),
  workflowType: z.string().min(1),
  /** Shown in the Web UI beside each run. */
  summary: z.string().min(1),
  cron: z.array(cronLine).min(1),
  executionTimeout: milliseconds,
  args: z.array(z.json()),
  /** Setting without which there is no such schedule. */
  requires: z.literal('syntx.queue').optional(),
  overlap: z.strictObject({
    // Policies that run two at a time, or kill one for the next, are not for GPU work.
    policy: z.enum(['SKIP', 'BUFFER_ONE']),
    reason: z.string().min(1),
  }),
  catchup: z.strictObject({ window: milliseconds, reason: z.string().min(1) }),
});

/** A schedule as declared in `schedules/<name>.toml`, with the configuration's settings applied. Durations in ms. */
export interface DeclaredSchedule extends z.output<typeof declarationSchema> {
  /** Name of the file, and of its settings in the configuration. */
  readonly name: string;
  readonly timezone: string;
  /** A schedule that is switched off in the configuration does not exist on the server. */
  readonly enabled: boolean;
}

/** The `schedules` table of the configuration: a time zone, and settings by name of the schedule. */
export type ScheduleSettings = Config['schedules'];

interface ScheduleOverride {
  readonly cron?: string | readonly string[] | undefined;
  readonly enabled?: boolean | undefined;
  readonly batch?: number | undefined;
}

/** What a configuration has that some schedules are for. */
type Requirement = NonNullable<DeclaredSchedule['requires']>;

/** The schedules of a configuration: those that it has no use for are left out. */
export async function configuredSchedules({ schedules, syntx }: Config): Promise<DeclaredSchedule[]> {
  return loadSchedules(schedules, { present: syntx.queue === undefined ? [] : ['syntx.queue'] });
}

/**
 * Reads the declarations, in order of their names; those that require what is not present are left out.
 *
 * @throws TowerError `SCHEDULE_INVALID` with the file and every fault in it; `CRON_INVALID` for a cron line of the
 * configuration.
 */
export async function loadSchedules(
  settings: ScheduleSettings,
  options: { readonly directory?: string; readonly present?: readonly Requirement[] } = {},
): Promise<DeclaredSchedule[]> {
  const { directory = join(packageRoot, 'schedules'), present = [] } = options;
  const files = (await readdir(directory)).filter((file) => file.endsWith('.toml')).sort();
  const { timezone, ...overrides } = settings;
  const schedules = await Promise.all(
    files.map(async (file) => {
      const name = basename(file, '.toml');
      const declared = await readDeclaration(join(directory, file));
      const override = (overrides as Readonly<Record<string, ScheduleOverride | undefined>>)[name];
      const cron = override?.cron === undefined ? declared.cron : [override.cron].flat();
      cron.forEach(calendarsOfCron);
      const args = withBatch(declared.args, override?.batch);
      return { ...declared, name, timezone, cron, args, enabled: override?.enabled ?? true };
    }),
  );
  return schedules.filter(({ requires }) => requires === undefined || present.includes(requires));
}

/** The configured size of a run goes into the input of its workflow. */
function withBatch(args: DeclaredSchedule['args'], batch: number | undefined): DeclaredSchedule['args'] {
  const [input, ...others] = args;
  if (batch === undefined || typeof input !== 'object' || input === null || Array.isArray(input)) return args;
  return [{ ...input, batch }, ...others];
}

async function readDeclaration(path: string): Promise<z.output<typeof declarationSchema>> {
  const text = await readFile(path, 'utf8');
  let values: unknown;
  try {
    values = parseToml(text);
  } catch (error) {
    throw new TowerError('SCHEDULE_INVALID', `${path} is not valid TOML`, { cause: error });
  }
  const result = declarationSchema.safeParse(values);
  if (result.success) return result.data;
  throw new TowerError('SCHEDULE_INVALID', `${path}:\n${z.prettifyError(result.error)}`);
}
