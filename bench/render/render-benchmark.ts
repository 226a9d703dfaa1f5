import { readdir } from 'node:fs/promises';
import { join } from 'node:path';

import { ExecaError } from 'execa';

import type { StatisticsReport } from '../../src/sims/comfyui/statistics.js';
import { runSide } from '../run-side.js';
import type { SideName } from '../sides.js';
import { atLeast, atMost, type Figure } from '../verdict.js';
import { clientVersions, installClients } from './clients.js';
import { startComfyuiProcess, type SimProcess } from './sim-process.js';

/** What is put beside Tower: whom, and how people read its name. */
export const opponents = {
  'one-in-flight': 'one in flight, WebSocket',
  'history-poll': 'history every second',
  'saintno-sdk': '@saintno/comfyui-sdk',
  'saintno-sdk-2': '@saintno/comfyui-sdk, two calls at a time',
  'stable-canvas': '@stable-canvas/comfyui-client',
  'stable-canvas-2': '@stable-canvas/comfyui-client, two calls at a time',
} as const satisfies Partial<Record<SideName, string>>;

export type Opponent = keyof typeof opponents;

/** How one side used the renderer, as the server saw it. Times in milliseconds. */
export interface RenderSideReport {
  readonly side: string;
  /** Images that lay in its folder at the end. */
  readonly delivered: number;
  /** From the end of one image to the start of the next one. */
  readonly gaps: { readonly median: number; readonly p99: number; readonly longest: number };
  /** Share of the time between the first start and the last end in which the renderer worked. */
  readonly busy: number;
  /** The same for images of 2 s, by the mean gap. */
  readonly busyAt2s: number;
  /** Requests per image, downloads left out. */
  readonly calls: number;
  readonly downloads: number;
  readonly deepestQueue: number;
  /** Longest time for which the side's event loop was held up. */
  readonly longestBlock: number;
  readonly failure: string | null;
}

export interface RenderVerdict {
  /** With `render-restart` the server forgets everything once, in the middle of an image. */
  readonly benchmark: 'render' | 'render-restart';
  /** Images per side. */
  readonly size: number;
  readonly renderMs: number;
  /** Packages beside it, by version. */
  readonly clients: Readonly<Record<string, string>>;
  /** Tower first. */
  readonly sides: readonly RenderSideReport[];
  readonly figures: readonly Figure[];
  readonly ok: boolean;
}

export interface RenderBenchmarkOptions {
  readonly images: number;
  /** Time that an image takes, in milliseconds. */
  readonly renderMs: number;
  readonly against: readonly Opponent[];
  /** Restarts the server in the middle of the image after so many; `null` for none. */
  readonly restartAfter: number | null;
}

const referenceMs = 2_000;
const limits = { gapP99: 1.5, calls: 1.1, busyPercent: 99.5, longestBlock: 100 };

/** Renders the same number of images by each side on one simulated ComfyUI, one side after the other. */
export async function runRenderBenchmark(directory: string, options: RenderBenchmarkOptions): Promise<RenderVerdict> {
  const { images, renderMs, against, restartAfter } = options;
  if (against.some((side) => /saintno|stable/.test(side))) await installClients();
  const sim = await startComfyuiProcess(join(directory, 'comfyui'), renderMs);
  try {
    const sides: RenderSideReport[] = [];
    for (const side of ['tower-render', ...against] as const) {
      sides.push(await runOne(sim, side, { directory, ...options }));
    }
    const figures = restartAfter === null ? judgeTower(sides[0], images) : [allDelivered(sides[0], images)];
    const benchmark = restartAfter === null ? 'render' : 'render-restart';
    const ok = figures.every((figure) => figure.ok);
    return { benchmark, size: images, renderMs, clients: clientVersions(), sides, figures, ok };
  } finally {
    await sim.stop();
  }
}

async function runOne(
  sim: SimProcess,
  side: 'tower-render' | Opponent,
  { directory, images, renderMs, restartAfter }: RenderBenchmarkOptions & { readonly directory: string },
): Promise<RenderSideReport> {
  const restart = { kind: 'restart', when: 'in-step', downMs: 1_000 } as const;
  await sim.fresh(restartAfter === null ? [] : [{ prompt: { after: restartAfter }, fault: restart }]);
  const place = { directory: join(directory, side), address: sim.address, images };
  let failure: string | null = null;
  let longestBlock = NaN;
  try {
    // Whoever polls each second needs one for an image; who waits for what was lost waits for ever.
    ({ longestBlock } = await runSide(side, place, images * (renderMs + 1_200) + 30_000));
  } catch (error) {
    // An opponent that gives up is a result; Tower's own failure is one that misses its limits.
    failure = reasonOf(error);
  }
  const files = await readdir(place.directory, { recursive: true });
  const delivered = files.filter((name) => name.endsWith('.png')).length;
  const name = side === 'tower-render' ? 'Tower' : opponents[side];
  return { side: name, delivered, ...use(await sim.statistics(), images), longestBlock, failure };
}

function reasonOf(error: unknown): string {
  if (!(error instanceof ExecaError)) return String(error);
  // Node ends with 13 when nothing is left that could settle what is awaited.
  if (error.timedOut || error.exitCode === 13) return 'it waits for what never comes';
  const lines = String(error.stderr).split('\n');
  return lines.find((line) => /^\s*\w*Error: /.test(line))?.trim() ?? error.shortMessage;
}

function use(
  { renders, idleGaps, requests, requestTotal, deepestQueue }: StatisticsReport,
  images: number,
): Omit<RenderSideReport, 'side' | 'delivered' | 'longestBlock' | 'failure'> {
  const gaps = idleGaps.map(({ ms }) => ms).sort((a, b) => a - b);
  const at = (share: number) => gaps[Math.ceil(gaps.length * share) - 1] ?? NaN;
  const worked = renders.reduce((sum, { started, ended }) => sum + ended - started, 0);
  const span = (renders.at(-1)?.ended ?? NaN) - (renders[0]?.started ?? NaN);
  const meanGap = gaps.reduce((sum, gap) => sum + gap, 0) / gaps.length;
  const downloads = requests['GET /view'] ?? 0;
  return {
    gaps: { median: at(0.5), p99: at(0.99), longest: gaps.at(-1) ?? NaN },
    busy: worked / span,
    busyAt2s: referenceMs / (referenceMs + meanGap),
    calls: (requestTotal - downloads) / images,
    downloads: downloads / images,
    deepestQueue,
  };
}

function judgeTower(tower: RenderSideReport | undefined, images: number): Figure[] {
  if (tower === undefined) throw new Error('Tower was not measured');
  return [
    allDelivered(tower, images),
    atMost('idle gap, p99', tower.gaps.p99, limits.gapP99, 'ms'),
    atMost('requests per image beside its download', tower.calls, limits.calls, ''),
    atMost('downloads per image', tower.downloads, 1, ''),
    atLeast('busy share with images of 2 s', tower.busyAt2s * 100, limits.busyPercent, '%'),
    atMost('longest block of the event loop', tower.longestBlock, limits.longestBlock, 'ms'),
  ];
}

function allDelivered(tower: RenderSideReport | undefined, images: number): Figure {
  const delivered = tower?.failure === null ? tower.delivered : 0;
  return atLeast('images delivered', delivered, images, '');
}
