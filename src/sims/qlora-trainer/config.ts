import { readFileSync } from 'node:fs';

import { TrainerFault } from './events.js';

const faultKinds = [
  'crash',
  'killed',
  'torn-checkpoint',
  'stall',
  'out-of-memory',
  'ignore-sigterm-with-grandchild',
  'disk-full',
  'diverge',
] as const;

type SimulatedFaultKind = (typeof faultKinds)[number];

/** A fault on demand, also given as JSON by the environment variable `TOWER_SIMULATED_TRAINER_FAULT`, which wins. */
export interface SimulatedFault {
  readonly kind: SimulatedFaultKind;
  /** Happens when this optimiser step would begin. Default 1. */
  readonly atStep?: number;
  /** Only the n-th start of the trainer in this run folder, from 1. */
  readonly onlyOnLaunch?: number;
  /** The first n starts. */
  readonly untilLaunch?: number;
}

export interface Simulation {
  /** Default 0.02. */
  readonly secondsPerStep?: number;
  readonly fault?: SimulatedFault;
}

/** The part of the trainer's configuration that the simulation looks at. */
export interface SimulatedConfig {
  readonly baseModel: string;
  readonly trainDataset: string;
  readonly heldOutDataset: string | null;
  readonly output: string;
  readonly seed: number;
  readonly epochs: number;
  readonly batchSize: number;
  readonly gradientAccumulation: number;
  readonly learningRate: number;
  readonly lora: { readonly r: number; readonly alpha: number; readonly targetModules: readonly string[] };
  readonly checkpointEverySteps: number | null;
  readonly checkpointEveryMinutes: number | null;
  readonly keepCheckpoints: number;
  readonly loggingSteps: number;
  readonly simulation: Simulation;
}

export interface CommandLine {
  /** With the overrides of `--set`. */
  readonly config: SimulatedConfig;
  /** As configured: a launch on a rung of the memory ladder is still the same work. */
  readonly configured: SimulatedConfig;
  readonly resumeFrom: string | undefined;
}

/** `<config.json> [--resume-from <folder>] [--set name=<json>]…`, as the real trainer takes it. */
export function readCommandLine(argv: readonly string[]): CommandLine {
  const [configPath, ...rest] = argv;
  if (configPath === undefined)
    throw new TrainerFault('bad-config', 'expected the path of a configuration, found none');
  const raw = parseObject(readText(configPath), configPath);
  const overrides: Record<string, unknown> = {};
  let resumeFrom: string | undefined;
  for (let index = 0; index < rest.length; index += 2) {
    const [option, value] = [rest[index], rest[index + 1]];
    const assignment = /^(\w+)=(.*)$/s.exec(value ?? '');
    if (option === '--resume-from' && value !== undefined) resumeFrom = value;
    else if (option === '--set' && assignment?.[1] !== undefined && assignment[2] !== undefined) {
      Object.assign(overrides, parseObject(`{"${assignment[1]}": ${assignment[2]}}`, `--set ${value ?? ''}`));
    } else throw new TrainerFault('bad-config', `unknown or incomplete option ${option ?? ''}`);
  }
  const configured = checkConfig(raw, configPath);
  return { config: checkConfig({ ...raw, ...overrides }, configPath), configured, resumeFrom };
}

function checkConfig(raw: Record<string, unknown>, path: string): SimulatedConfig {
  const faults: string[] = [];
  const expect = (name: string, valid: boolean, expected: string): void => {
    if (!valid) faults.push(`${name}: expected ${expected}, found ${JSON.stringify(raw[name])}`);
  };
  for (const name of ['baseModel', 'trainDataset', 'output']) {
    expect(name, typeof raw[name] === 'string' && raw[name] !== '', 'a text');
  }
  for (const name of ['epochs', 'batchSize', 'gradientAccumulation', 'loggingSteps', 'keepCheckpoints']) {
    expect(name, Number.isInteger(raw[name]) && (raw[name] as number) >= 1, 'an integer of at least 1');
  }
  const lora = raw['lora'] as Partial<SimulatedConfig['lora']> | undefined;
  expect('lora', Number.isInteger(lora?.r) && Array.isArray(lora?.targetModules), 'an object with r and targetModules');
  const simulation = simulationOf(raw);
  const kind = simulation.fault?.kind;
  if (kind !== undefined && !faultKinds.includes(kind)) faults.push(`simulation.fault.kind: unknown ${kind}`);
  if (faults.length > 0) throw new TrainerFault('bad-config', `${path}: ${faults.join('; ')}`);
  return { ...(raw as unknown as SimulatedConfig), simulation };
}

function simulationOf(raw: Record<string, unknown>): Simulation {
  const simulation = (raw['simulation'] ?? {}) as Simulation;
  const fromEnvironment = process.env['TOWER_SIMULATED_TRAINER_FAULT'];
  if (fromEnvironment === undefined || fromEnvironment === '') return simulation;
  const name = 'TOWER_SIMULATED_TRAINER_FAULT';
  return { ...simulation, fault: parseObject(fromEnvironment, name) as unknown as SimulatedFault };
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw new TrainerFault('bad-config', `cannot read ${path}: ${(error as Error).message}`);
  }
}

function parseObject(text: string, source: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  } catch {
    // Told below, together with JSON that is no object.
  }
  throw new TrainerFault('bad-config', `${source}: expected a JSON object`);
}
