import { createReadStream } from 'node:fs';
import { join } from 'node:path';

import Libsql from 'libsql';

import type { Side } from '../side.js';
import { listedBatch } from './listed-batch.js';

interface SnippetLine {
  readonly uuid: string;
  readonly path: string;
  readonly content: string;
  readonly quality_label: string;
  readonly timestamp_created_db: string;
  readonly last_modified_utc: string;
}

/** What is left when everything that Tower is for is left out: split, parse, upsert. No check, no count, no hash. */
export const bareImport: Side = {
  async prepare({ directory, file = '' }) {
    const path = join(directory, 'ledger.db');
    (await listedBatch(path, file)).ledger.close();
    const database = new Libsql(path);
    database.exec('PRAGMA journal_mode = WAL');
    database.exec('PRAGMA synchronous = FULL');
    database.exec('PRAGMA foreign_keys = ON');
    return async () => {
      await load(database, file);
      database.close();
    };
  },
};

async function load(database: Libsql.Database, file: string): Promise<void> {
  const upsert = database.prepare(
    `INSERT INTO snippets (batch_id, line, source, uuid, path_hash, content, quality_label, created, modified)
     VALUES (1, ?, 'local', ?, ?, ?, ?, ?, ?) ON CONFLICT (source, uuid) DO UPDATE
     SET line = excluded.line, path_hash = excluded.path_hash, content = excluded.content,
       quality_label = excluded.quality_label, created = excluded.created, modified = excluded.modified
     WHERE excluded.modified > modified`,
  );
  let number = 0;
  let rest: Buffer = Buffer.alloc(0);
  database.exec('BEGIN IMMEDIATE');
  for await (const chunk of createReadStream(file, { highWaterMark: 512 * 1024 }) as AsyncIterable<Buffer>) {
    const bytes = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    let start = 0;
    for (let end = bytes.indexOf(0x0a); end !== -1; end = bytes.indexOf(0x0a, start)) {
      const row = JSON.parse(bytes.toString('utf8', start, end)) as SnippetLine;
      number += 1;
      upsert.run([
        ...[number, row.uuid, row.path, row.content, row.quality_label],
        ...[row.timestamp_created_db, row.last_modified_utc],
      ]);
      start = end + 1;
    }
    rest = bytes.subarray(start);
  }
  database.exec('COMMIT');
}
