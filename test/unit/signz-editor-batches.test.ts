import { execa } from 'execa';
import { expect, it } from 'vitest';

import { parseRow } from '../../src/signz-mind/ingest/batch-rows.js';
import { editorBatches } from '../../src/sims/signz-mind/editor-batches.js';
import { pythonJson } from '../../src/sims/signz-mind/python-json.js';

it('gives the same batches for the same seed and day, and others for another', () => {
  const day = { seed: 's', day: 1 };
  expect(editorBatches(day)).toEqual(editorBatches(day));
  expect(editorBatches({ ...day, seed: 't' })).not.toEqual(editorBatches(day));
});

it('writes rows that are all accepted, snippets first, without a final line end', () => {
  for (const { content, snippets, feedback } of editorBatches({ seed: 's', day: 2 })) {
    const lines = content.split('\n');
    const kinds = lines.map((line) => parseRow(line).row?.kind);
    expect(kinds).toEqual([...Array<string>(snippets).fill('snippet'), ...Array<string>(feedback).fill('feedback')]);
  }
});

it('brings newer versions of earlier files', () => {
  const rows = (day: number) =>
    editorBatches({ seed: 's', day, clients: 1 }).flatMap(({ content }) =>
      content.split('\n').map((line) => JSON.parse(line) as Record<string, string>),
    );
  const earlier = new Map(rows(0).map((row) => [row['uuid'], row]));
  const updates = rows(1).filter((row) => earlier.has(row['uuid']));
  expect(updates.length).toBeGreaterThan(0);
  for (const update of updates) {
    const before = earlier.get(update['uuid']);
    expect(update['path']).toBe(before?.['path']);
    expect(update['content']).not.toBe(before?.['content']);
    expect(String(update['last_modified_utc']) > String(before?.['last_modified_utc'])).toBe(true);
  }
});

it('escapes and separates as Python does', async () => {
  const record = { text: 'ü µ → 😀 "q" \\ \n \t \x7f \u2028', number: 5, flag: true, none: null };
  const script = 'import json, sys; print(json.dumps(json.load(sys.stdin)))';
  const { stdout } = await execa('python3', ['-c', script], { input: JSON.stringify(record) });
  expect(pythonJson(record)).toBe(stdout);
});
