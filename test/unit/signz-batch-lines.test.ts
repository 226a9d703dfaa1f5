import { describe, expect, it } from 'vitest';

import { batchNameFault, batchSource } from '../../src/signz-mind/batch-name.js';
import { parseRow } from '../../src/signz-mind/ingest/batch-rows.js';
import { normalisedTime } from '../../src/signz-mind/ingest/normalised-time.js';
import { LineSplitter } from '../../src/files/split-lines.js';
import { feedback, snippet } from '../support/signz-mind.js';

describe('line splitter', () => {
  function split(text: string, chunkSize: number, limit = 1000): (string | number)[] {
    const splitter = new LineSplitter(limit);
    const bytes = Buffer.from(text);
    const found: (string | number)[] = [];
    const take = (lines: Iterable<{ bytes?: Buffer; length: number }>) => {
      for (const line of lines) found.push(line.bytes?.toString() ?? line.length);
    };
    for (let start = 0; start < bytes.length; start += chunkSize)
      take(splitter.push(bytes.subarray(start, start + chunkSize)));
    take(splitter.end());
    return found;
  }

  it('splits alike wherever the chunks end', () => {
    const text = 'one\ntwo\r\nthree\rfour\n\nfünf\r\r\nsieben';
    const expected = text.split(/\r\n|\r|\n/);
    for (let size = 1; size <= text.length + 2; size++)
      expect(split(text, size), `chunks of ${size}`).toEqual(expected);
  });

  it('keeps nothing of a line beyond the limit but its length', () => {
    const text = `short\n${'x'.repeat(50)}\nnext`;
    for (const size of [1, 7, 100]) expect(split(text, size, 20)).toEqual(['short', 50, 'next']);
  });

  it('numbers lines from 1', () => {
    expect([...new LineSplitter(9).push(Buffer.from('a\n\nb\n'))].map(({ number }) => number)).toEqual([1, 2, 3]);
  });
});

describe('rows', () => {
  const reason = (line: string) => {
    const parsed = parseRow(line);
    return parsed.row === undefined ? parsed.reason : undefined;
  };

  it.each([0, false, '', null, [], {}])('%j counts as missing in a required field, as in Python', (value) => {
    for (const field of ['uuid', 'path', 'content', 'quality_label', 'last_modified_utc']) {
      expect(reason(snippet({ [field]: value }))).toBe(`${field} is missing or empty`);
    }
    for (const field of ['uuid', 'source_code_context', 'ai_action_type']) {
      expect(reason(feedback({ [field]: value }))).toBe(`${field} is missing or empty`);
    }
  });

  it('an empty output is stored, an absent one is not; numbers become text', () => {
    expect(parseRow(feedback({ ai_generated_output: '' })).row).toMatchObject({ output: '' });
    expect(reason(feedback({ ai_generated_output: null }))).toBe('ai_generated_output is missing');
    expect(reason(feedback({ user_feedback_type: undefined }))).toBe('user_feedback_type is missing');
    expect(parseRow(snippet({ content: 5, quality_label: true })).row).toMatchObject({
      content: '5',
      qualityLabel: '1',
    });
    expect(reason(snippet({ content: ['x'] }))).toBe('content is a list, expected text');
  });

  it('unknown keys are ignored, absent times stay empty', () => {
    const row = parseRow(feedback({ last_modified_utc: undefined, timestamp_created_db: undefined, extra: 1 })).row;
    expect(row).toMatchObject({ created: null, modified: null });
    expect(row).not.toHaveProperty('extra');
  });

  it.each([
    ['{"type":"Snippet"}', 'expected type "snippet" or "feedback", found "Snippet"'],
    ['{}', 'expected type "snippet" or "feedback", found none'],
    ['[]', 'expected a JSON object, found a list'],
    ['{"type":"snippet","x":NaN}', expect.stringContaining('not JSON')],
  ])('%s is no row', (line, expected) => {
    expect(parseRow(line)).toEqual({ reason: expected as string, recognised: false });
  });
});

describe('times', () => {
  it.each([
    ['2025-07-01T10:02:44.120Z', '2025-07-01T10:02:44.120000Z'],
    ['2025-07-01T10:02:44Z', '2025-07-01T10:02:44.000000Z'],
    ['2025-07-01 10:02:44', '2025-07-01T10:02:44.000000Z'],
    ['2025-07-01T12:02:44.5+02:00', '2025-07-01T10:02:44.500000Z'],
    ['2025-07-01T10:02:44.1234567+0000', '2025-07-01T10:02:44.123456Z'],
  ])('%s is %s', (text, expected) => {
    expect(normalisedTime(text)).toBe(expected);
  });

  it.each(['yesterday', '2025-07-01', '2025-13-01T00:00:00Z', '5'])('%s is no time', (text) => {
    expect(normalisedTime(text)).toBeUndefined();
  });
});

describe('batch names', () => {
  it('name user and client', () => {
    expect(batchSource('batch_user_4_laptop-7_20250701_101500_123456.jsonl')).toEqual({
      ...{ key: '4/laptop-7', userId: '4', clientId: 'laptop-7' },
    });
    expect(batchSource('batch_user_12_büro_2_x__20250701_101500_123456.jsonl')).toMatchObject({
      clientId: 'büro_2_x_',
    });
    expect(batchSource('batch_user_4__20250701_101500_123456.jsonl')).toMatchObject({ key: '4/', clientId: '' });
    expect(batchSource('export.jsonl')).toEqual({ key: 'unknown', userId: null, clientId: null });
  });

  it.each([
    '../a.jsonl',
    'a b.jsonl',
    'a\0.jsonl',
    'a.json',
    '.jsonl',
    'a/b.jsonl',
    'a%2fb.jsonl',
    `${'ü'.repeat(130)}.jsonl`,
  ])('W15: %j is refused', (name) => {
    expect(batchNameFault(name)).toBeDefined();
  });
});
