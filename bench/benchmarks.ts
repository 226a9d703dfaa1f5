import { join } from 'node:path';

import { startSignzMindProcess } from './upload/server-process.js';
import { writePackage } from './upload/package-file.js';
import { writeRows } from './import/rows-file.js';
import { runSide } from './run-side.js';
import type { SideResult } from './side.js';

export interface Limits {
  /** Tower's speed by the bare side's. */
  readonly speed: number;
  /** Bytes. */
  readonly memoryGrowth: number;
  /** Milliseconds. */
  readonly longestBlock: number;
}

/** One pair of measurements, taken one right after the other. */
export interface Round {
  readonly bare: SideResult;
  readonly tower: SideResult;
}

export interface Benchmark {
  readonly name: string;
  readonly limits: Limits;
  /** @param size - Rows or bytes. */
  readonly run: (directory: string, size: number, rounds: number) => AsyncGenerator<Round>;
}

const mebibyte = 2 ** 20;
/** Above it, heartbeats and other requests would be felt to wait. */
const longestBlock = 100;

export const importBenchmark: Benchmark = {
  name: 'import',
  limits: { speed: 0.7, memoryGrowth: 150 * mebibyte, longestBlock },
  async *run(directory, rows, rounds) {
    const file = join(directory, 'rows.jsonl');
    await writeRows(file, rows);
    for (let round = 0; round < rounds; round++) {
      const bare = await runSide('bare-import', { directory: join(directory, `bare-${round}`), file });
      const tower = await runSide('tower-import', { directory: join(directory, `tower-${round}`), file });
      yield { bare, tower };
    }
  },
};

export const uploadBenchmark: Benchmark = {
  name: 'upload',
  limits: { speed: 0.8, memoryGrowth: 32 * mebibyte, longestBlock },
  async *run(directory, bytes, rounds) {
    const file = join(directory, 'package.zip');
    await writePackage(file, bytes);
    for (let round = 0; round < rounds; round++) {
      const server = await startSignzMindProcess(join(directory, `server-${round}`));
      try {
        const { address, apiKey } = server;
        const place = { file, address, apiKey };
        const bare = await runSide('bare-upload', { directory: join(directory, `bare-${round}`), ...place });
        const tower = await runSide('tower-upload', { directory: join(directory, `tower-${round}`), ...place });
        yield { bare, tower };
      } finally {
        await server.stop();
      }
    }
  },
};
