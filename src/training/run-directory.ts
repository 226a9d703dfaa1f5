import { join } from 'node:path';

/** Where the files of one training run lie. All paths are absolute when the directory is. */
export interface RunDirectory {
  readonly directory: string;
  readonly config: string;
  readonly dataset: string;
  readonly output: string;
  /** Torn checkpoints, set aside. */
  readonly broken: string;
  readonly launches: string;
  readonly stops: string;
  /** The workflow execution that the run belongs to. */
  readonly owner: string;
  /** The final outcome, written once. */
  readonly settled: string;
  stopFile(generation: number): string;
  launch(number: number): LaunchDirectory;
}

/** Files of one start of the trainer. */
export interface LaunchDirectory {
  readonly number: number;
  readonly directory: string;
  readonly spec: string;
  readonly process: string;
  readonly exit: string;
  readonly fault: string;
  readonly stdout: string;
  readonly stderr: string;
}

/** Folder names of launches: `0001`, `0002`, … in order of their start. */
export const launchNamePattern = /^\d{4,}$/;

export function runDirectory(directory: string): RunDirectory {
  const launches = join(directory, 'launches');
  const stops = join(directory, 'stops');
  return {
    directory,
    config: join(directory, 'config.json'),
    dataset: join(directory, 'dataset'),
    output: join(directory, 'output'),
    broken: join(directory, 'broken'),
    launches,
    stops,
    owner: join(directory, 'owner.json'),
    settled: join(directory, 'settled.json'),
    stopFile: (generation) => join(stops, `${generation}.json`),
    launch: (number) => launchDirectory(join(launches, String(number).padStart(4, '0')), number),
  };
}

function launchDirectory(directory: string, number: number): LaunchDirectory {
  return {
    number,
    directory,
    spec: join(directory, 'spec.json'),
    process: join(directory, 'process.json'),
    exit: join(directory, 'exit.json'),
    fault: join(directory, 'fault.json'),
    stdout: join(directory, 'stdout.log'),
    stderr: join(directory, 'stderr.log'),
  };
}
