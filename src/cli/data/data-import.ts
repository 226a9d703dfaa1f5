import { resolve } from 'node:path';

import { TowerError } from '../../errors.js';
import type { CommandContext } from '../command-context.js';
import { importLocalBatch } from '../runs/run-by-hand.js';

interface ImportOptions {
  readonly source?: string;
  /** `true`: the one of the configuration. */
  readonly legacyDb?: string | true;
}

/** @throws TowerError `USAGE` unless exactly one file is named. */
export async function importData(
  context: CommandContext,
  file: string | undefined,
  { source, legacyDb }: ImportOptions,
): Promise<void> {
  const path = pathOf(context, file, legacyDb);
  if (legacyDb !== undefined && source !== undefined) {
    throw new TowerError('USAGE', '--source names whose rows a file holds; an old database does not know it');
  }
  const kind = legacyDb === undefined ? 'file' : 'database';
  const result = await importLocalBatch(context, { kind, path, ...(source !== undefined && { source }) });
  const { batch, added, lines, rows } = result;
  const counts = `${rows.new} new, ${rows.updated} updated, ${rows.stale + rows.duplicate} superseded, ${rows.quarantined} quarantined`;
  const text = added
    ? `${batch}: ${lines} rows, ${counts}. The next cycle trains with them.`
    : `${batch}: imported before (${lines} rows, ${counts}); nothing was changed.`;
  context.output.result(result, text);
}

function pathOf(context: CommandContext, file: string | undefined, legacyDb: string | true | undefined): string {
  if (legacyDb === undefined) {
    if (file !== undefined) return resolve(file);
    throw new TowerError('USAGE', 'expected a file of JSON lines, or --legacy-db');
  }
  if (file !== undefined) throw new TowerError('USAGE', 'expected a file or --legacy-db, found both');
  if (legacyDb !== true) return resolve(legacyDb);
  const configured = context.config.data.legacyDatabase;
  if (configured !== undefined) return configured;
  throw new TowerError('USAGE', '--legacy-db names no file, and data.legacyDatabase is not set');
}
