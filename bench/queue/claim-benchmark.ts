import { readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { openQueue } from '../../src/syntx/queue/syntx-queue.js';
import { scoreAnswer } from '../../src/syntx/scores/quality-score.js';
import { atMost, percentile, type Figure } from '../verdict.js';
import { addWaiting, makeQueue } from './fill-queue.js';

/** Claiming and settling with one number of waiting jobs, in milliseconds. */
export interface ClaimRow {
  readonly side: 'Tower' | 'list and sort';
  readonly place: string;
  readonly waiting: number;
  readonly median: number;
  readonly p99: number;
  /** The first one, which lists the directory. */
  readonly first: number;
  /** The median with its share of a listing that is made once for many. */
  readonly cost: number;
}

export interface ClaimVerdict {
  readonly benchmark: 'claim';
  /** Jobs that wait in the large queue. */
  readonly size: number;
  readonly rows: readonly ClaimRow[];
  readonly figures: readonly Figure[];
  readonly ok: boolean;
}

export interface ClaimOptions {
  /** Where queues are made, by how people call it. */
  readonly places: readonly { readonly name: string; readonly directory: string }[];
  readonly waiting: number;
  /** Claims that are measured, on each side. */
  readonly claims: number;
}

const few = 100;
/** The peer lists everything for each claim: fewer of them say as much. */
const peerShare = 10;
const block = 20;
/** With more jobs, Tower lists once in as many claims as there are hundreds (`incoming-index.ts`). */
const listedPerClaim = 100;
const answer = '### Driftkörperanalyse:\nA\n### Kalibrierung:\nB\n### Strömungsverhältnisse:\nC';

/** The same work with few and with many waiting jobs, in turns, so that both find the machine alike. */
export async function runClaimBenchmark({ places, waiting, claims }: ClaimOptions): Promise<ClaimVerdict> {
  const rows: ClaimRow[] = [];
  for (const { name, directory } of places) {
    for (const [side, open, count] of [
      ['Tower', openTower, claims],
      ['list and sort', openPeer, Math.ceil(claims / peerShare)],
    ] as const) {
      const found = await measureSide(join(directory, side.replaceAll(' ', '-')), {
        open,
        count,
        sizes: [few, waiting],
      });
      rows.push(...found.map((row) => ({ side, place: name, ...row })));
    }
  }
  const figures = places.flatMap(({ name }) => {
    const [small, large] = [few, waiting].map((size) =>
      rows.find((row) => row.side === 'Tower' && row.place === name && row.waiting === size),
    );
    const ratio = (large?.cost ?? NaN) / (small?.cost ?? NaN);
    return [atMost(`claim and settle with ${waiting} waiting, ${few} waiting = 1, ${name}`, ratio, 1.5, '')];
  });
  return { benchmark: 'claim', size: waiting, rows, figures, ok: figures.every(({ ok }) => ok) };
}

type Side = (root: string) => { readonly once: (number: number) => Promise<void>; readonly close: () => void };

async function measureSide(
  directory: string,
  { open, count, sizes }: { readonly open: Side; readonly count: number; readonly sizes: readonly number[] },
): Promise<Omit<ClaimRow, 'side' | 'place'>[]> {
  const queues = sizes.map((waiting) => {
    const root = join(directory, String(waiting));
    makeQueue(root);
    for (let number = 0; number < waiting; number++) addWaiting(root, number);
    return { root, waiting, side: open(root), next: waiting, times: [] as number[] };
  });
  try {
    for (let done = 0; done < count; done += block) {
      for (const queue of queues) {
        for (let claim = done; claim < Math.min(done + block, count); claim++) {
          const start = performance.now();
          await queue.side.once(claim);
          queue.times.push(performance.now() - start);
          // As many wait as before.
          addWaiting(queue.root, queue.next++);
        }
      }
    }
  } finally {
    for (const { side } of queues) side.close();
    await rm(directory, { recursive: true, force: true });
  }
  return queues.map(({ waiting, times: [first = NaN, ...rest] }) => {
    const [median, p99] = [percentile(rest, 0.5), percentile(rest, 0.99)];
    // With few jobs, and by the peer, every claim lists.
    const isListedOnce = open === openTower && waiting > listedPerClaim;
    const share = isListedOnce ? Math.max(0, first - median) / (waiting / listedPerClaim) : 0;
    return { waiting, median, p99, first, cost: median + share };
  });
}

function openTower(root: string): ReturnType<Side> {
  const queue = openQueue(root, { instance: 'bench', timeZone: 'UTC' });
  const owner = { workflowId: 'bench', runId: 'bench' };
  const call = { durationMs: 1, sessionId: '00000000', wrapper: 'sigma', workerId: 'bench' };
  const scored = scoreAnswer(answer);
  return {
    async once(number) {
      const job = await queue.claim({ owner, claim: String(number) });
      if (job === undefined || scored === null) throw new Error('nothing waits');
      await queue.complete(job, { ...call, score: scored.score, response: answer, threshold: 90 });
    },
    close: () => queue.close(),
  };
}

/** As the original's consumer: the whole directory is listed and sorted for each claim, and nothing is synced (contract syntx 1.5). */
function openPeer(root: string): ReturnType<Side> {
  const at = (stage: string, name: string) => join(root, stage, name);
  return {
    async once() {
      const names = (await readdir(join(root, 'incoming'))).filter((name) => name.endsWith('.txt')).sort();
      const [name] = names;
      if (name === undefined) throw new Error('nothing waits');
      const json = name.replace(/\.txt$/, '.json');
      for (const file of [name, json]) await rename(at('incoming', file), at('processing', file));
      const metadata = JSON.parse(await readFile(at('processing', json), 'utf8')) as Record<string, unknown>;
      await writeFile(at('processing', json), JSON.stringify({ ...metadata, status: 'success' }, null, 2));
      for (const file of [name, json]) await rename(at('processing', file), at('processed', file));
      await writeFile(at('processed', name.replace(/\.txt$/, '_response.txt')), answer);
    },
    close: () => undefined,
  };
}

/** The disk, and memory where there is some. */
export function claimPlaces(disk: string, memory: string | undefined): ClaimOptions['places'] {
  return [{ name: 'disk', directory: disk }, ...(memory === undefined ? [] : [{ name: 'memory', directory: memory }])];
}
