import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';

import { z } from 'zod';

import { describeError, TowerError } from '../../errors.js';
import { defectsSchema, faultPlanSchema } from '../../sims/syntx/faults.js';
import { drawLandscape, landscapeSchema } from '../../sims/syntx/landscape.js';
import { startSyntxService } from '../../sims/syntx/server.js';
import type { CommandContext } from '../command-context.js';
import { interruptible } from '../interruption.js';
import { startAt } from './starting.js';

export interface SimulatedSyntxOptions {
  readonly directory?: string;
  readonly port: number;
  readonly landscape?: string;
  readonly seed: string;
  readonly defects?: string;
  readonly faults?: string;
  /** Milliseconds. */
  readonly latency: number;
}

/**
 * Serves until Ctrl-C.
 *
 * @throws TowerError `PORT_TAKEN`; `USAGE` for a file that cannot be read or says nothing known.
 */
export async function runSimulatedSyntx(
  options: SimulatedSyntxOptions,
  { output, home }: CommandContext,
): Promise<void> {
  const directory = resolve(options.directory ?? join(home, 'sim', 'syntx'));
  const { port, latency: latencyMs } = options;
  const landscape = (await read('--landscape', options.landscape, landscapeSchema)) ?? drawLandscape(options.seed);
  const defects = await read('--defects', options.defects, defectsSchema);
  const faults = await read('--faults', options.faults, faultPlanSchema);
  const service = await startAt(port, () =>
    startSyntxService({ directory, port, latencyMs, landscape, defects, faults }),
  );
  try {
    const { address } = service;
    output.line({ simulated: true, address, directory }, readyText(address, directory));
    output.say('Ctrl-C ends it.');
    await interruptible(async (signal) => {
      if (!signal.aborted) await once(signal, 'abort');
    });
  } finally {
    await service.close();
  }
}

function readyText(address: string, directory: string): string {
  return [
    'A simulated SYNTX wrapper service is up.',
    `  Address  ${address}`,
    `  Calls    ${join(directory, 'calls.jsonl')}`,
    `  Change what it does: PUT ${address}/sim/landscape, /sim/defects or /sim/faults`,
  ].join('\n');
}

async function read<Schema extends z.ZodType>(
  option: string,
  file: string | undefined,
  schema: Schema,
): Promise<z.output<Schema> | undefined> {
  if (file === undefined) return undefined;
  try {
    return schema.parse(JSON.parse(await readFile(file, 'utf8')));
  } catch (cause) {
    const reason = cause instanceof z.ZodError ? z.prettifyError(cause) : describeError(cause);
    throw new TowerError('USAGE', `${option} ${file}: ${reason}`, {
      cause,
      next: 'docs/simulated-servers.md shows what such a file says.',
    });
  }
}
