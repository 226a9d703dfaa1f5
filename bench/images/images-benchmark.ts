import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';

import { takeSnapshot } from '../../src/cli/runs/workflow-snapshot.js';
import { CharacterMachine } from '../../test/support/character-machine.js';
import { atMost, percentile, type Figure } from '../verdict.js';

/** The worker that renders, at one moment. */
export interface WorkerSample {
  /** Accepted images so far. */
  readonly images: number;
  /** Resident, in bytes. */
  readonly memory: number;
  /** Written since it began, in bytes: files and connections. */
  readonly written: number;
}

export interface ImagesVerdict {
  readonly benchmark: 'images';
  readonly size: number;
  readonly seconds: number;
  readonly historyEvents: number;
  /** Medians of the second and of the last quarter of the images. */
  readonly memory: { readonly second: number; readonly last: number };
  /** For each image of these quarters. */
  readonly written: { readonly second: number; readonly last: number };
  readonly samples: number;
  readonly figures: readonly Figure[];
  readonly ok: boolean;
}

const renderMs = 5;
const growth = 1.2;
/** However many images: what is done in one go has the same few events. */
const mostEvents = 300;
const samplePauseMs = 250;

/** One character run that renders very many tiny images, through a real server, worker processes and the simulated ComfyUI. */
export async function runImagesBenchmark(images: number): Promise<ImagesVerdict> {
  const machine = await CharacterMachine.create({ killable: true, comfyui: { renderMs } });
  try {
    await machine.tower.startControl();
    const worker = await machine.tower.startGpu();
    const job = { stages: ['generate', 'tag'], count: images };
    const start = performance.now();
    const run = await machine.start(job);
    let isOver = false;
    const result = run.result().finally(() => (isOver = true));
    const samples: WorkerSample[] = [];
    const sampling = async () => {
      while (!isOver) {
        const { activities } = await takeSnapshot(machine.tower.client, run.workflowId);
        const done = activities.find(({ activity }) => activity === 'renderCharacter')?.progress?.done ?? 0;
        if (done > 0) samples.push({ images: done, ...processUse(worker.pid) });
        await pause(samplePauseMs);
      }
    };
    await Promise.all([result, sampling()]);
    const seconds = (performance.now() - start) / 1000;
    const { historyLength } = await machine.tower.client.workflow.getHandle(run.workflowId).describe();
    return judge(images, { seconds, historyEvents: historyLength, samples });
  } finally {
    await machine.close();
  }
}

function judge(
  size: number,
  { seconds, historyEvents, samples }: Pick<ImagesVerdict, 'seconds' | 'historyEvents'> & { samples: WorkerSample[] },
): ImagesVerdict {
  const quarter = (number: number) =>
    samples.filter(({ images }) => images > (size * (number - 1)) / 4 && images <= (size * number) / 4);
  const memoryOf = (number: number) =>
    percentile(
      quarter(number).map(({ memory }) => memory),
      0.5,
    );
  const memory = { second: memoryOf(2), last: memoryOf(4) };
  const written = { second: writtenEach(quarter(2)), last: writtenEach(quarter(4)) };
  const figures = [
    atMost('resident memory of the worker, second quarter = 1', memory.last / memory.second, growth, ''),
    atMost('written for each image, second quarter = 1', written.last / written.second, growth, ''),
    atMost('events of the history', historyEvents, mostEvents, ''),
  ];
  const ok = figures.every((figure) => figure.ok);
  return { benchmark: 'images', size, seconds, historyEvents, memory, written, samples: samples.length, figures, ok };
}

function writtenEach(samples: readonly WorkerSample[]): number {
  const [first, last] = [samples[0], samples.at(-1)];
  if (first === undefined || last === undefined || first.images === last.images) return NaN;
  return (last.written - first.written) / (last.images - first.images);
}

/** The largest process of a group: the worker itself, beside its guard and the launcher that holds the GPU. */
function processUse(group: number): Pick<WorkerSample, 'memory' | 'written'> {
  const members = readdirSync('/proc').filter((name) => /^\d+$/.test(name) && groupOf(name) === group);
  const uses = members.map((pid) => ({
    memory: 1024 * numberIn(`/proc/${pid}/status`, /^VmRSS:\s+(\d+)/m),
    written: numberIn(`/proc/${pid}/io`, /^wchar: (\d+)/m),
  }));
  return uses.reduce((largest, use) => (use.memory > largest.memory ? use : largest), { memory: 0, written: 0 });
}

function groupOf(pid: string): number {
  // After the name, which may have anything in it: state, parent, group.
  return Number(textOf(`/proc/${pid}/stat`).split(') ').at(-1)?.split(' ')[2]);
}

function numberIn(path: string, pattern: RegExp): number {
  return Number(pattern.exec(textOf(path))?.[1] ?? 0);
}

/** A process may have ended meanwhile. */
function textOf(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
