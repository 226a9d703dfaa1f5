import { afterEach, describe, expect, test } from 'vitest';

import { graphOfAttempt } from '../../src/comfyui/render/output-prefix.js';
import { promptIdOf } from '../../src/comfyui/render/prompt-id.js';
import type { RenderImage } from '../../src/comfyui/render/types.js';
import { graphFor, RenderBench } from '../support/comfyui-render.js';
import { waitUntil } from '../support/wait-until.js';

let bench: RenderBench;
afterEach(() => bench.close());

const empty = { running: [], pending: [] };
const foreignId = '11111111-1111-4111-8111-111111111111';

/** Images that take `renderMs`, and heed an interrupt soon. */
async function slowImages(count: number): Promise<RenderImage[]> {
  const keys = Array.from({ length: count }, (_, index) => `image-${index + 1}`);
  return Promise.all(keys.map(async (key) => bench.image(key, await graphFor(key, { steps: 200 }))));
}

async function queued(running: number, pending: number): Promise<void> {
  await waitUntil(`${running} running and ${pending} pending`, async () => {
    const queue = await bench.client.queue();
    return queue.running.length === running && queue.pending.length === pending;
  });
}

test('a stop while ComfyUI is away does not wait for it to come back', async () => {
  bench = await RenderBench.start({
    settings: { renderMs: 100 },
    // The second image does not come while the server is being closed.
    faults: [{ prompt: { after: 1 }, fault: { kind: 'slow', renderMs: 60_000 } }],
  });
  const stop = { reason: 'daily training waits' };
  let isGone = false;
  const onImage = async () => {
    await bench.server.close();
    isGone = true;
    return 'accepted' as const;
  };
  const { summary } = await bench.render(await bench.images(10), {
    shouldStop: () => (isGone ? stop : undefined),
    onImage,
  });
  expect(summary).toMatchObject({ delivered: 1, stopped: stop });
});

describe.each(['A', 'N'] as const)('dialect %s', (dialect) => {
  test('a stop lets the running image be delivered and takes back the one that waits', async () => {
    bench = await RenderBench.start({ dialect, settings: { renderMs: 500 } });
    const stop = { reason: 'daily training waits' };
    let isDue = false;
    const rendering = bench.render(await bench.images(10), { shouldStop: () => (isDue ? stop : undefined) });
    await queued(1, 1);
    isDue = true;
    const { summary, images } = await rendering;
    expect(summary).toMatchObject({ delivered: 1, stopped: stop, recoveries: {} });
    expect(images.map(({ image }) => image.key)).toEqual(['image-1']);
    expect(await bench.client.queue()).toEqual(empty);
    expect(bench.server.statistics().renders).toHaveLength(1);
  });

  test('an abort deletes what waits and interrupts what runs', async () => {
    bench = await RenderBench.start({ dialect, settings: { renderMs: 20_000 } });
    const controller = new AbortController();
    const rendering = bench.render(await slowImages(10), { signal: controller.signal });
    const reason = new Error('paused');
    await queued(1, 1);
    controller.abort(reason);
    await expect(rendering).rejects.toBe(reason);
    expect(await bench.client.queue()).toEqual(empty);
    expect(bench.server.statistics().renders).toMatchObject([{ outcome: 'interrupted' }]);
  });

  test("an abort leaves others' prompts alone, running and waiting", async () => {
    bench = await RenderBench.start({ dialect, settings: { renderMs: 400 } });
    await bench.client.submit({ promptId: foreignId, graph: await graphFor('foreign', { seed: 77 }) });
    await queued(1, 0);
    const controller = new AbortController();
    const rendering = bench.render(await bench.images(10), { signal: controller.signal });
    await queued(1, 2);
    const waiting = foreignId.replaceAll('1', '2');
    await bench.client.submit({ promptId: waiting, graph: await graphFor('waiting', { seed: 78 }) });
    controller.abort(new Error('cancelled'));
    await expect(rendering).rejects.toThrow('cancelled');
    for (const promptId of [foreignId, waiting]) {
      const ended = await waitUntil('its end', () => bench.client.history(promptId));
      expect(ended.status?.status_str).toBe('success');
    }
    expect(bench.server.statistics().renders).toHaveLength(2);
  });
});

describe('what an earlier process has left in ComfyUI', () => {
  /** As a process that was killed: nobody waits for the prompt. */
  async function leave(image: RenderImage): Promise<string> {
    const graph = graphOfAttempt(image.graph, 1);
    const promptId = promptIdOf('run-1', image.key, 1, graph);
    const pngInfo = { tower: { run: 'run-1', key: image.key, prompt_id: promptId } };
    await bench.client.submit({ promptId, graph, pngInfo });
    return promptId;
  }

  test.each(['A', 'B'] as const)(
    'is taken over, or taken out of the queue, and not rendered twice (%s)',
    async (dialect) => {
      bench = await RenderBench.start({ dialect, settings: { renderMs: 400 } });
      const images = await bench.images(6);
      const [finished, running, waiting] = images as [RenderImage, RenderImage, RenderImage];
      const finishedId = await leave(finished);
      await waitUntil('the first image', () => bench.client.history(finishedId));
      await leave(running);
      await queued(1, 0);
      await leave(waiting);
      bench.server.change({ renderMs: 5 });
      const { summary, recoveries } = await bench.render(images);
      expect(summary.delivered).toBe(6);
      expect(recoveries.map(({ kind, key }) => ({ kind, key }))).toEqual([
        { kind: 'cleared', key: undefined },
        { kind: 'adopted', key: finished.key },
        { kind: 'adopted', key: running.key },
      ]);
      expect(bench.server.statistics().renders).toHaveLength(6);
    },
  );

  test('of another run is left alone', async () => {
    bench = await RenderBench.start({ settings: { renderMs: 50 } });
    const [image, other] = (await bench.images(2)) as [RenderImage, RenderImage];
    await leave(other);
    await bench.render([image], { runKey: 'run-2' });
    expect(bench.server.statistics().renders.map(({ outcome }) => outcome)).toEqual(['success', 'success']);
  });
});

test('a prompt that never ends is interrupted after its limit and rendered again', async () => {
  bench = await RenderBench.start({
    settings: { renderMs: 10 },
    faults: [{ prompt: { after: 1 }, fault: { kind: 'slow', renderMs: 20_000 } }],
  });
  const images = await bench.images(4);
  images[1] = await bench.image('image-2', await graphFor('image-2', { steps: 100 }));
  const { summary, recoveries } = await bench.render(images, { limits: { runMs: 1_500 } });
  expect(summary.delivered).toBe(4);
  expect(recoveries).toMatchObject([{ kind: 'timed-out', key: 'image-2' }]);
});

test('always too long: RENDER_TOO_LONG, and ComfyUI is left empty', async () => {
  bench = await RenderBench.start({ settings: { renderMs: 10_000 } });
  const rendering = bench.render(await slowImages(4), { limits: { runMs: 300, attempts: 2 } });
  await expect(rendering).rejects.toMatchObject({ code: 'RENDER_TOO_LONG', retryable: true });
  expect(await bench.client.queue()).toEqual(empty);
});

test('an interrupt that is not obeyed: COMFYUI_WEDGED', async () => {
  bench = await RenderBench.start({ faults: [{ prompt: {}, fault: { kind: 'stuck' } }] });
  const rendering = bench.render(await bench.images(3), { limits: { runMs: 300, obeyMs: 300 } });
  await expect(rendering).rejects.toMatchObject({ code: 'COMFYUI_WEDGED', retryable: true });
});

test('nothing begins though nobody else waits: COMFYUI_WEDGED', async () => {
  bench = await RenderBench.start({ settings: { wedged: 'renderer' } });
  const rendering = bench.render(await bench.images(3), { limits: { startMs: 300 } });
  await expect(rendering).rejects.toMatchObject({ code: 'COMFYUI_WEDGED', retryable: true });
  expect(await bench.client.queue()).toEqual(empty);
});

test("behind others' work for too long: RENDER_NOT_STARTED names it", async () => {
  bench = await RenderBench.start({ settings: { renderMs: 60_000 } });
  await bench.client.submit({ promptId: foreignId, graph: await graphFor('foreign') });
  await queued(1, 0);
  const rendering = bench.render(await bench.images(3), { limits: { startMs: 300 } });
  await expect(rendering).rejects.toMatchObject({
    code: 'RENDER_NOT_STARTED',
    retryable: true,
    details: { ahead: [foreignId] },
  });
  expect(await bench.client.queue()).toMatchObject({ running: [{ promptId: foreignId }], pending: [] });
});
