import { mkdir } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';

import { execa } from 'execa';

import { sides, type SideName } from './sides.js';
import { measure } from './measure.js';
import type { BenchPlace, SideResult } from './side.js';

/**
 * Measures one side in a process of its own, so that neither side finds the other's memory or compiled code.
 *
 * @throws when it fails, or takes longer than `timeout` milliseconds.
 */
export async function runSide(name: SideName, place: BenchPlace, timeout?: number): Promise<SideResult> {
  await mkdir(place.directory, { recursive: true });
  const program = fileURLToPath(import.meta.url);
  const args = [program, name, JSON.stringify(place)];
  const { stdout } = await execa(process.execPath, args, { stderr: ['inherit', 'pipe'], timeout });
  // The last line: some of the libraries that are measured talk on standard output.
  return JSON.parse(stdout.slice(stdout.lastIndexOf('\n') + 1)) as SideResult;
}

/** This file as a program: `run-side.js <side> <place>`. */
if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [name = '', place = ''] = process.argv.slice(2);
  const work = await sides[name as SideName].prepare(JSON.parse(place) as BenchPlace);
  process.stdout.write(`\n${JSON.stringify(await measure(work))}`);
}
