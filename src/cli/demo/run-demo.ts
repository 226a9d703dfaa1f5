import { mkdir, mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { once } from 'node:events';

import { statePaths } from '../../config/state-paths.js';
import { loadConfig } from '../../config/load-config.js';
import { TowerError } from '../../errors.js';
import { writeFileDurable } from '../../files/durable-write.js';
import { createLog } from '../../log/create-log.js';
import type { CommandContext, GlobalOptions } from '../command-context.js';
import { demoConfig } from './demo-config.js';
import { DemoCharacter } from './demo-character.js';
import { runDemoDay } from './demo-day.js';
import { DemoMachine } from './demo-machine.js';
import { runDemoPrompts } from './demo-prompts.js';
import { demoSummary, type DemoRecord } from './demo-summary.js';
import { exitCodes, type ExitCode } from '../exit-codes.js';
import { createOutput } from '../output.js';

export interface DemoOptions {
  readonly simulate?: boolean;
  readonly keep?: boolean;
}

/** Logical times of the two cycles: fixed, so that every demo makes the same versions. */
const days = ['2026-01-12T13:00:00.000Z', '2026-01-13T13:00:00.000Z'] as const;

/**
 * The demo: a Tower of its own in a new folder, a reference Signz-Mind server, two days of batches, two daily cycles. The
 * GPU worker is killed in the middle of the first training; the second training interrupts the rendering of a character.
 * Then one round of the prompt evolution.
 *
 * @returns 0 when everything that it promises was found true; throws otherwise. Nothing it started is left running.
 */
export async function runDemo(options: DemoOptions, global: GlobalOptions): Promise<ExitCode> {
  const output = createOutput(global.json ?? false);
  const interrupted = new AbortController();
  const interrupt = () => {
    interrupted.abort(new TowerError('CANCELLED', 'the demo was interrupted; everything it started was stopped'));
  };
  process.once('SIGINT', interrupt).once('SIGTERM', interrupt);
  const context = await demoContext(options, global, output);
  const log = createLog({ file: context.paths.logFile, level: 'info', role: 'demo' });
  output.say(`State directory ${context.home}`);
  const machine = new DemoMachine(context, { log, signal: interrupted.signal, settings: global.set ?? [] });
  try {
    await machine.start(options.simulate ?? false);
    const summary = demoSummary(machine, await runAll(machine));
    output.result(summary.json, summary.text);
    if (options.keep) {
      output.say(`Still running; Web UI ${machine.server.uiAddress}. Ctrl-C ends it.`);
      if (!interrupted.signal.aborted) await once(interrupted.signal, 'abort');
    }
    return exitCodes.ok;
  } finally {
    process.removeListener('SIGINT', interrupt).removeListener('SIGTERM', interrupt);
    await machine.stop();
  }
}

/** The first day with the killed worker; then a character run, which makes way for the training of the second day. */
async function runAll(machine: DemoMachine): Promise<DemoRecord> {
  const [first, second] = days;
  const firstDay = await runDemoDay(machine, { number: 1, logicalTime: first, killWorker: true });
  return machine.withSession(async (session) => {
    const character = await DemoCharacter.start(machine, session.client);
    const secondDay = await runDemoDay(machine, { number: 2, logicalTime: second, killWorker: false });
    const prompts = await runDemoPrompts(machine, session);
    return { days: [firstDay, secondDay], character: await character.end(session), prompts };
  });
}

async function demoContext(
  options: DemoOptions,
  global: GlobalOptions,
  output: CommandContext['output'],
): Promise<CommandContext> {
  const home = global.home ?? (await mkdtemp(join(tmpdir(), 'tower-demo-')));
  await mkdir(home, { recursive: true });
  const file = join(home, 'tower.toml');
  await writeFileDurable(file, demoConfig({ home, simulate: options.simulate ?? false }));
  const env = { TOWER_CONFIG: file, TOWER_HOME: home };
  const loaded = await loadConfig({ env, settings: global.set ?? [] });
  return { ...loaded, output, paths: statePaths(loaded.home) };
}
