import { join } from 'node:path';

import { z } from 'zod';

import { writeJsonDurable } from '../files/durable-write.js';
import { readJsonIfExists } from '../files/read-json.js';
import { isAlive, readBootId, readProcess, type ProcessIdentity } from '../gpu/process-table.js';

/** A process told apart from a later one with the same number: start in clock ticks since boot, and which boot. */
const processIdentitySchema = z.object({
  pid: z.int().positive(),
  startTime: z.int().nonnegative(),
  bootId: z.string(),
});

const serverRecordSchema = z.object({
  /** `host:port` of gRPC. */
  address: z.string(),
  /** URL of the Web UI. */
  uiAddress: z.string(),
  namespace: z.string(),
  cliVersion: z.string(),
  /** ISO 8601. */
  startedAt: z.string(),
  /** Leader of the server's process group. */
  process: processIdentitySchema,
  /** The process that started it and ends it. */
  owner: processIdentitySchema,
});

/** What `<state>/temporal/server.json` says of the embedded server that runs, or ran last. */
export type ServerRecord = z.output<typeof serverRecordSchema>;

export function temporalDirectory(stateDirectory: string): string {
  return join(stateDirectory, 'temporal');
}

function serverFile(stateDirectory: string): string {
  return join(temporalDirectory(stateDirectory), 'server.json');
}

/** The embedded server of a state directory if it runs; a record of one that has ended counts as none. */
export async function findRunningServer(stateDirectory: string): Promise<ServerRecord | undefined> {
  const record = await readServerRecord(stateDirectory);
  return record !== undefined && isAlive(record.process) ? record : undefined;
}

/** The last record, whether or not the server still runs: it tells which ports to prefer. */
export async function readServerRecord(stateDirectory: string): Promise<ServerRecord | undefined> {
  return readJsonIfExists(serverFile(stateDirectory), serverRecordSchema);
}

export async function writeServerRecord(stateDirectory: string, record: ServerRecord): Promise<void> {
  await writeJsonDurable(serverFile(stateDirectory), record);
}

/** The identity of a process that runs, or `undefined` when it has ended. */
export function identifyProcess(pid: number): ProcessIdentity | undefined {
  const row = readProcess(pid);
  return row?.alive === true ? { pid, startTime: row.startTime, bootId: readBootId() } : undefined;
}
