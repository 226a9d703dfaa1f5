import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { crc32, deflateSync } from 'node:zlib';

import { afterEach, beforeEach, describe, expect, test } from 'vitest';

import { finishedPromptSchema, queueSchema } from '../../src/comfyui/answers.js';
import { parseEvent } from '../../src/comfyui/events.js';
import { readPng } from '../../src/comfyui/png.js';
import { parsePythonJson } from '../../src/comfyui/python-json.js';
import { endOf } from '../../src/comfyui/render/outcome.js';
import { provenanceOf } from '../../src/comfyui/render/provenance.js';
import { TrackedPrompt } from '../../src/comfyui/render/tracked-prompt.js';
import { comparesInterruptedId } from '../../src/comfyui/render/withdraw.js';

const files = { '7': { images: [{ filename: 'a_00001_.png', subfolder: 'run', type: 'output' }] } };
const start = ['execution_start', { prompt_id: 'p', timestamp: 1_000 }];
const cached = (...nodes: string[]) => ['execution_cached', { prompt_id: 'p', nodes, timestamp: 1_001 }];
const fault = (exception: string) => [
  'execution_error',
  { prompt_id: 'p', node_id: '5', node_type: 'KSampler', exception_type: exception, exception_message: 'oh no\n' },
];

function end(status: string, messages: unknown[], outputs: unknown = {}): ReturnType<typeof endOf> {
  const entry = { outputs, status: { status_str: status, completed: status === 'success', messages } };
  return endOf(finishedPromptSchema.parse(entry), 7);
}

describe('how a finished prompt ended', () => {
  test('success, with its duration, and whether all of it came from the cache', () => {
    const success = ['execution_success', { prompt_id: 'p', timestamp: 3_500 }];
    expect(end('success', [start, cached('1'), success], files)).toEqual({
      ...{ kind: 'succeeded', outputs: files, cached: false, renderMs: 2_500, confirmed: true },
    });
    const all = cached('1', '2', '3', '4', '5', '6', '7');
    expect(end('success', [start, all, success], files)).toMatchObject({ cached: true });
  });

  test('a blocked branch says error, but the status decides', () => {
    const blocked = fault('ExecutionBlocked');
    expect(end('success', [start, blocked], files)).toMatchObject({ kind: 'succeeded', outputs: files });
  });

  test('an interrupt has the status of an error; its message tells', () => {
    const interrupted = [
      'execution_interrupted',
      { prompt_id: 'p', node_id: '5', node_type: 'KSampler', executed: [] },
    ];
    expect(end('error', [start, interrupted])).toEqual({ kind: 'interrupted', nodeType: 'KSampler' });
  });

  test('an error, even with outputs of the branches that had finished', () => {
    expect(end('error', [start, fault('RuntimeError')], files)).toEqual({
      kind: 'failed',
      error: {
        ...{ nodeId: '5', nodeType: 'KSampler', exception: 'RuntimeError', message: 'oh no', outOfMemory: false },
      },
    });
    for (const exception of ['torch.OutOfMemoryError', 'torch.cuda.OutOfMemoryError']) {
      expect(end('error', [fault(exception)])).toMatchObject({ kind: 'failed', error: { outOfMemory: true } });
    }
  });

  test('outputs without a status are no success', () => {
    expect(endOf(finishedPromptSchema.parse({ outputs: files }), 7)).toMatchObject({ kind: 'failed' });
  });

  test('outputs of custom nodes do not disturb', () => {
    const odd = { '2': ['list'], '3': { text: ['hi'] }, '4': { images: [{ url: 'x' }], gifs: [] }, ...files };
    expect(end('success', [], odd)).toMatchObject({ kind: 'succeeded', outputs: files });
  });
});

test('the queue is read in the order in which it runs', () => {
  const entry = (number: number, id: string, extra: unknown = {}) => [number, id, { big: 'graph' }, extra, ['7']];
  const mark = { tower: { run: 'r', key: 'k', prompt_id: 'b' } };
  const queue = queueSchema.parse({
    queue_running: [[...entry(3, 'a'), { sensitive: 1 }]],
    queue_pending: [entry(9, 'c'), entry(5, 'b', { extra_pnginfo: mark }), entry(7, 'd', { client_id: 'x' })],
  });
  expect(queue.pending.map(({ promptId }) => promptId)).toEqual(['b', 'd', 'c']);
  expect(queue.pending[0]?.pngInfo).toEqual(mark);
});

test('messages that are unknown, damaged or of custom nodes are passed over', () => {
  for (const text of ['', '{', '[]', '{"type":"logs","data":{}}', '{"type":"executed","data":{"node":7}}']) {
    expect(parseEvent(text)).toBeUndefined();
  }
  const executed = { prompt_id: 'p', node: '7', display_node: '7', output: { text: ['x'], images: 'odd' } };
  expect(parseEvent(JSON.stringify({ type: 'executed', data: executed }))).toMatchObject({
    data: { node: '7', output: { images: undefined } },
  });
  const ended = '{"type":"executing","data":{"node":null,"prompt_id":"p"}}';
  expect(parseEvent(ended)).toMatchObject({ type: 'executing', data: { node: null } });
});

test('a success whose messages name no image is looked up', () => {
  const prompt = new TrackedPrompt({ promptId: 'p', key: 'k', graph: {} });
  const tell = (type: string, data: object) => {
    const event = parseEvent(JSON.stringify({ type, data: { prompt_id: 'p', ...data } }));
    if (event === undefined || event.type === 'status') throw new Error(`${type} was not understood`);
    prompt.apply(event);
  };
  tell('executed', { node: '3', output: { text: ['1girl'] } });
  tell('execution_success', {});
  expect(prompt.success).toBeUndefined();
  tell('executed', { node: '7', output: files['7'] });
  expect(prompt.success).toMatchObject({ kind: 'succeeded', confirmed: false });
});

test('numbers that JSON has no word for become null, and texts stay as they are', () => {
  expect(parsePythonJson('{"a": [NaN, -Infinity, Infinity], "NaN": "is \\"NaN\\" Infinity"}')).toEqual({
    a: [null, null, null],
    NaN: 'is "NaN" Infinity',
  });
  for (const broken of ['{"a": NaNa}', '{"a": "NaN', '"\\', `NaN ${'"\\"'.repeat(200_000)}`]) {
    expect(() => parsePythonJson(broken)).toThrow(SyntaxError);
  }
});

test.each([
  ['0.3.56', false],
  ['0.3.57', true],
  ['v0.12.1', true],
  ['0.12.1+simulated', true],
  ['1.0.0', true],
  ['unknown', false],
])('ComfyUI %s heeds the id of an interrupt: %s', (version, expected) => {
  expect(comparesInterruptedId(version)).toBe(expected);
});

describe('PNG files', () => {
  let directory: string;
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'tower-png-'));
  });
  afterEach(() => rm(directory, { recursive: true }));

  const graph = { '5': { class_type: 'KSampler', inputs: { seed: 1 } } };
  const png = (...chunks: Buffer[]) => Buffer.concat([Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'), ...chunks]);
  const header = chunk('IHDR', Buffer.from([0, 0, 0, 64, 0, 0, 0, 32, 8, 2, 0, 0, 0]));
  const pixels = chunk('IDAT', deflateSync(Buffer.alloc(32 * (64 * 3 + 1))));
  const finish = chunk('IEND', Buffer.alloc(0));
  const prompt = chunk('tEXt', Buffer.from(`prompt\0${JSON.stringify(graph)}`, 'latin1'));
  const packed = deflateSync(Buffer.from('{"run":"r","key":"k","prompt_id":"p"}'));
  const mark = chunk('iTXt', Buffer.concat([Buffer.from('tower\0\x01\0de\0Türm\0', 'utf8'), packed]));

  async function read(content: Buffer) {
    const path = join(directory, 'image.png');
    await writeFile(path, content);
    return readPng(path);
  }

  test('size and texts of a complete one', async () => {
    const found = await read(png(header, prompt, mark, pixels, finish));
    if (typeof found === 'string') throw new Error(found);
    expect(found).toMatchObject({ width: 64, height: 32 });
    expect(JSON.parse(found.text.get('prompt') ?? '')).toEqual(graph);
    expect(JSON.parse(found.text.get('tower') ?? '')).toMatchObject({ prompt_id: 'p' });
    expect(provenanceOf(found, { promptId: 'p', graph: {} })).toBe('own');
    expect(provenanceOf(found, { promptId: 'q', graph })).toBe('same-graph');
    expect(provenanceOf(found, { promptId: 'q', graph: {} })).toBe('foreign');
    expect(provenanceOf({ ...found, text: new Map() }, { promptId: 'q', graph })).toBe('unmarked');
  });

  test('the graph of an image is the same with what ComfyUI writes into its nodes', async () => {
    const stamped = `{"5": {"class_type": "KSampler", "inputs": {"seed": 1}, "is_changed": [NaN]}}`;
    const found = await read(png(header, chunk('tEXt', Buffer.from(`prompt\0${stamped}`)), pixels, finish));
    if (typeof found === 'string') throw new Error(found);
    expect(provenanceOf(found, { promptId: 'q', graph })).toBe('same-graph');
    expect(provenanceOf(found, { promptId: 'q', graph: { ...graph, '6': graph['5'] } })).toBe('foreign');
  });

  test('texts that would unpack to gigabytes, and a size of 30,000 × 30,000, take no memory', async () => {
    const bomb = deflateSync(Buffer.alloc(12 * 2 ** 20));
    const bombs = Array.from({ length: 40 }, (_, index) =>
      chunk('zTXt', Buffer.concat([Buffer.from(`k${index}\0\0`), bomb])),
    );
    const size = Buffer.alloc(8);
    size.writeUInt32BE(30_000, 0);
    size.writeUInt32BE(30_000, 4);
    const huge = chunk('IHDR', Buffer.concat([size, Buffer.from([8, 2, 0, 0, 0])]));
    const found = await read(png(huge, ...bombs, mark, pixels, finish));
    if (typeof found === 'string') throw new Error(found);
    expect(found).toMatchObject({ width: 30_000, height: 30_000 });
    expect([...found.text.values()].reduce((sum, { length }) => sum + length, 0)).toBeLessThan(16 * 2 ** 20);
    expect(provenanceOf(found, { promptId: 'p', graph })).toBe('own');
  });

  test('one that is cut anywhere, or damaged anywhere, is told', async () => {
    const whole = png(header, prompt, pixels, finish);
    for (let length = 0; length < whole.length; length += 3) {
      expect(await read(whole.subarray(0, length))).toEqual(expect.any(String));
    }
    for (let at = 8; at < whole.length; at += 5) {
      const damaged = Buffer.from(whole);
      damaged.writeUInt8(damaged.readUInt8(at) ^ 0x10, at);
      expect(await read(damaged)).toEqual(expect.any(String));
    }
    expect(await read(png(header, finish))).toBe('it has no pixels');
    expect(await read(Buffer.from('<html>'))).toBe('it does not begin like a PNG');
  });
});

function chunk(type: string, data: Buffer): Buffer {
  const body = Buffer.concat([Buffer.from(type, 'latin1'), data]);
  const [length, checksum] = [Buffer.alloc(4), Buffer.alloc(4)];
  length.writeUInt32BE(data.length);
  checksum.writeUInt32BE(crc32(body));
  return Buffer.concat([length, body, checksum]);
}
