import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

import { z } from 'zod';

import { undefinedIfAbsent } from '../files/absent.js';
import { instantOf } from '../syntx/queue/local-time.js';

/** Queue levels at one hour, as the monitor's log has them. */
export interface LevelSample {
  /** `2026-01-05 14:00`, local. */
  readonly time: string;
  readonly at: number;
  readonly incoming: number;
  readonly processed: number;
  readonly error: number;
  readonly archive: number;
}

/** What the calls of the endpoint have cost, those included that brought nothing. */
export interface Costs {
  readonly calls: number;
  /** USD. */
  readonly paid: number;
}

const levelLine =
  /^(\d{4}-\d{2}-\d{2}) (\d{2}:\d{2}) \| Incoming: (\d+) *\| Processed: (\d+) *\| Error: (\d+) *\| Archive: (\d+)/;

/** Lines of `queue_status_hourly.log` (contract syntx 4.1); others are left out. */
export async function readLevels(directory: string, timezone: string | undefined): Promise<LevelSample[]> {
  return (await linesOf(join(directory, 'queue_status_hourly.log'))).flatMap((line) => {
    const match = levelLine.exec(line);
    if (match === null) return [];
    const [, day = '', time = '', ...counts] = match;
    const at = instantOf(`${day}T${time}:00`, timezone);
    const [incoming = 0, processed = 0, error = 0, archive = 0] = counts.map(Number);
    return at === undefined ? [] : [{ time: `${day} ${time}`, at, incoming, processed, error, archive }];
  });
}

const costSchema = z.object({ timestamp: z.string(), total_cost: z.number() });

/** @param day local, `YYYY-MM-DD`: lines of `costs.jsonl` (contract syntx 6.1) begin with their local time. */
export async function readCosts(directory: string, day: string): Promise<Costs> {
  const costs = (await linesOf(join(directory, 'costs.jsonl'))).flatMap((line) => {
    const parsed = costSchema.safeParse(parseJson(line));
    return parsed.success && parsed.data.timestamp.startsWith(day) ? [parsed.data.total_cost] : [];
  });
  return { calls: costs.length, paid: costs.reduce((sum, cost) => sum + cost, 0) };
}

async function linesOf(path: string): Promise<string[]> {
  return ((await readFile(path, 'utf8').catch(undefinedIfAbsent)) ?? '').split('\n');
}

function parseJson(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}
