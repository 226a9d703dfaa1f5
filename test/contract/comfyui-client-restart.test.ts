import { afterEach, expect, test } from 'vitest';

import { RenderBench } from '../support/comfyui-render.js';

let bench: RenderBench;
afterEach(() => bench.close());

/** How long ComfyUI is away. */
const downMs = 200;

test.each([
  { when: 'at-start', nth: 1, dialect: 'A' },
  { when: 'in-step', nth: 2, dialect: 'B' },
  { when: 'before-save', nth: 20, dialect: 'N' },
  { when: 'after-save', nth: 39, dialect: 'A' },
  { when: 'after-history', nth: 40, dialect: 'B' },
] as const)(
  'ComfyUI restarts $when of image $nth: forty of forty, at most two rendered again (dialect $dialect)',
  async ({ when, nth, dialect }) => {
    bench = await RenderBench.start({
      dialect,
      settings: { renderMs: 2 },
      faults: [{ prompt: { after: nth - 1 }, fault: { kind: 'restart', when, downMs } }],
    });
    const { summary, images } = await bench.render(await bench.images(40));
    expect(summary).toMatchObject({ delivered: 40, stopped: null });
    expect(new Set(images.map(({ image }) => image.key)).size).toBe(40);
    const { renders, deepestQueue, restarts, idleGaps } = bench.server.statistics();
    expect(restarts).toBe(1);
    expect(renders.length).toBeLessThanOrEqual(42);
    expect(deepestQueue).toBeLessThanOrEqual(2);
    // Back at work within two seconds of its answer.
    expect(Math.max(...idleGaps.map(({ ms }) => ms))).toBeLessThan(downMs + 2_000);
  },
);

test('ComfyUI restarts again and again with the same image: RENDER_LOST', async () => {
  bench = await RenderBench.start({
    settings: { renderMs: 20 },
    faults: [{ prompt: { match: 'number image-2' }, times: 9, fault: { kind: 'restart', when: 'in-step', downMs: 0 } }],
  });
  const rendering = bench.render(await bench.images(4), { limits: { losses: 3 } });
  await expect(rendering).rejects.toMatchObject({
    code: 'RENDER_LOST',
    retryable: true,
    // The last restart may meet the prompt while it is being submitted.
    message: expect.stringMatching(/lost 3 times, last because ComfyUI (was restarted|did not take it)/) as string,
  });
});
