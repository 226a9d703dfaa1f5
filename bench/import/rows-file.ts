import { createWriteStream } from 'node:fs';
import { pipeline } from 'node:stream/promises';

import { sha256Of } from '../../src/files/sha256.js';

const rowBytes = 1024;
const body = 'def area(r):\n    return math.pi * r * r\n\n\n'.repeat(24);
const epoch = Date.parse('2025-07-01T08:00:00.000Z');

/** Writes a batch of snippets, every line of exactly 1 KiB with its end, every row a new one. */
export async function writeRows(path: string, rows: number): Promise<void> {
  await pipeline(chunksOf(rows), createWriteStream(path));
}

function* chunksOf(rows: number): Generator<string> {
  for (let first = 0; first < rows; first += 1000) {
    const count = Math.min(1000, rows - first);
    yield Array.from({ length: count }, (_, index) => line(first + index)).join('');
  }
}

function line(number: number): string {
  const time = new Date(epoch + number * 1000).toISOString();
  const row = {
    type: 'snippet',
    uuid: sha256Of(`row ${number}`).slice(0, 32),
    path: `/home/ana/proj/module_${number}.py`,
    content: `# ${number}\n`,
    quality_label: 'gut (Training)',
    timestamp_created_db: time.slice(0, 19).replace('T', ' '),
    last_modified_utc: time,
  };
  const bare = JSON.stringify(row).length + 1;
  // Line ends of the body are two characters in JSON.
  let content = row.content;
  for (let left = rowBytes - bare, at = 0; left > 0; at++) {
    const character = body[at % body.length] ?? ' ';
    const length = character === '\n' ? 2 : 1;
    content += length > left ? ' ' : character;
    left -= Math.min(length, left);
  }
  return `${JSON.stringify({ ...row, content })}\n`;
}
