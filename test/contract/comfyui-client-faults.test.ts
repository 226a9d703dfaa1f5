import { afterEach, describe, expect, test } from 'vitest';

import { readPng } from '../../src/comfyui/png.js';
import type { RecoveryKind } from '../../src/comfyui/render/types.js';
import type { Dialect } from '../../src/sims/comfyui/dialect.js';
import type { FaultRule, PromptFault } from '../../src/sims/comfyui/faults.js';
import { RenderBench } from '../support/comfyui-render.js';

let bench: RenderBench;
afterEach(() => bench.close());

const third = (fault: PromptFault): FaultRule => ({ prompt: { after: 2 }, fault });
const always = (fault: PromptFault): FaultRule => ({ prompt: {}, times: 100, fault });

interface Case {
  readonly what: string;
  readonly fault: PromptFault;
  readonly recovery: RecoveryKind;
  /** Prompts that ran, for six images. */
  readonly renders: number;
  readonly dialects: readonly Dialect[];
}

const error: PromptFault = { kind: 'error', exceptionType: 'RuntimeError', message: 'no luck' };
const outOfMemory: PromptFault = { kind: 'out-of-memory' };
const interrupted: PromptFault = { kind: 'interrupted' };
const deleted: PromptFault = { kind: 'deleted' };
const output = (fault: 'missing' | 'truncated' | 'corrupt'): PromptFault => ({ kind: 'output', output: fault });

const cases: readonly Case[] = [
  { what: 'failed', fault: error, recovery: 'failed', renders: 7, dialects: ['A', 'B'] },
  { what: 'out of memory', fault: outOfMemory, recovery: 'out-of-memory', renders: 7, dialects: ['B'] },
  { what: 'interrupted by somebody', fault: interrupted, recovery: 'interrupted', renders: 7, dialects: ['A', 'N'] },
  { what: 'deleted by somebody', fault: deleted, recovery: 'deleted', renders: 6, dialects: ['A', 'N'] },
  { what: 'output missing', fault: output('missing'), recovery: 'output-missing', renders: 7, dialects: ['B'] },
  { what: 'output truncated', fault: output('truncated'), recovery: 'output-damaged', renders: 7, dialects: ['A'] },
  { what: 'output corrupt', fault: output('corrupt'), recovery: 'output-damaged', renders: 7, dialects: ['N'] },
  { what: 'no event sent', fault: { kind: 'unseen' }, recovery: 'silent-socket', renders: 6, dialects: ['A', 'B'] },
];

describe.each(cases)('one prompt of six: $what', ({ fault, recovery, renders, dialects }) => {
  test.each(dialects)('is told apart, and all six images are delivered (dialect %s)', async (dialect) => {
    bench = await RenderBench.start({ dialect, settings: { renderMs: 10 }, faults: [third(fault)] });
    const { summary, images, recoveries } = await bench.render(await bench.images(6));
    expect(recoveries).toMatchObject([{ kind: recovery, key: 'image-3' }]);
    expect(summary).toMatchObject({ delivered: 6, stopped: null, recoveries: { [recovery]: 1 } });
    for (const { path, image, promptId } of images) {
      const png = await readPng(path);
      if (typeof png === 'string') throw new Error(png);
      expect(JSON.parse(png.text.get('tower') ?? '{}')).toMatchObject({ key: image.key, prompt_id: promptId });
    }
    const { renders: ran, deepestQueue, requests } = bench.server.statistics();
    expect(ran).toHaveLength(renders);
    expect(deepestQueue).toBeLessThanOrEqual(2);
    expect(requests['POST /free']).toBe(recovery === 'out-of-memory' ? 1 : undefined);
  });
});

describe('again and again', () => {
  test.each([
    {
      fault: error,
      code: 'RENDER_FAILED',
      atMost: 4,
      retryable: false,
      says: /node 5 \(KSampler\) failed: RuntimeError: no luck/,
    },
    {
      fault: outOfMemory,
      code: 'RENDER_OUT_OF_MEMORY',
      atMost: 4,
      retryable: true,
      says: /out of GPU memory in node 5/,
    },
    {
      fault: interrupted,
      code: 'RENDER_INTERRUPTED',
      atMost: 6,
      retryable: true,
      says: /somebody interrupted it 3 times/,
    },
    {
      fault: output('missing'),
      code: 'RENDER_OUTPUT_BAD',
      atMost: 15,
      retryable: false,
      says: /_00001_\.png is not there/,
    },
    {
      fault: output('corrupt'),
      code: 'RENDER_OUTPUT_BAD',
      atMost: 15,
      retryable: false,
      says: /IDAT chunk is damaged/,
    },
  ])('$code ends the batch, and nothing stays in ComfyUI', async ({ fault, code, retryable, says, atMost }) => {
    bench = await RenderBench.start({ settings: { renderMs: 10 }, faults: [always(fault)] });
    const rendering = bench.render(await bench.images(6));
    await expect(rendering).rejects.toMatchObject({ code, retryable, message: expect.stringMatching(says) as string });
    expect(await bench.client.queue()).toEqual({ running: [], pending: [] });
    expect(bench.server.statistics().accepted).toBeLessThanOrEqual(atMost);
  });

  test.each([
    { what: 'out of memory', fault: outOfMemory, times: 2, code: 'RENDER_OUT_OF_MEMORY' },
    { what: 'interrupted', fault: interrupted, times: 3, code: 'RENDER_INTERRUPTED' },
    { what: 'output missing', fault: output('missing'), times: 3, code: 'RENDER_OUTPUT_BAD' },
  ])('$what: what an earlier batch has failed by does not count in the next', async ({ fault, times, code }) => {
    const rule = { prompt: { match: 'number image-2' }, times, fault };
    bench = await RenderBench.start({ settings: { renderMs: 10 }, faults: [rule] });
    const images = await bench.images(3);
    await expect(bench.render(images)).rejects.toMatchObject({ code });
    const again = await bench.render(images);
    expect(again.summary.delivered).toBe(3);
  });

  test('never taken: RENDER_LOST with what ComfyUI answers', async () => {
    const fault = { kind: 'status', status: 500, body: 'a custom node is broken' } as const;
    bench = await RenderBench.start({ faults: [{ route: 'POST /prompt', times: 100, fault }] });
    await expect(bench.render(await bench.images(3), { limits: { losses: 2 } })).rejects.toMatchObject({
      code: 'RENDER_LOST',
      retryable: true,
      message: expect.stringMatching(/did not take it: .*status 500: a custom node is broken/) as string,
    });
  });

  test('deleted from the queue: RENDER_LOST', async () => {
    bench = await RenderBench.start({
      settings: { renderMs: 150 },
      faults: [{ ...always(deleted), prompt: { match: 'number image-2' } }],
    });
    const rendering = bench.render(await bench.images(6), { limits: { losses: 2 } });
    await expect(rendering).rejects.toMatchObject({
      code: 'RENDER_LOST',
      retryable: true,
      message: expect.stringMatching(/image-2: lost 2 times, last because somebody took it out/) as string,
    });
  });
});
