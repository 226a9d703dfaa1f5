import { pino } from 'pino';
import { afterEach, expect, test } from 'vitest';

import { clearPromptsOf } from '../../src/activities/character/clear-prompts.js';
import { graphFor, RenderBench } from '../support/comfyui-render.js';

const options = { signal: new AbortController().signal, log: pino({ level: 'silent' }) };
const ids = ['1', '2', '3'].map((digit) => '11111111-1111-4111-8111-111111111111'.replaceAll('1', digit));

let bench: RenderBench;
afterEach(() => bench.close());

const mark = (run: string, promptId: string) => ({ tower: { run, key: 'image-1', prompt_id: promptId } });

test('an ended run takes out its own prompts, not one of somebody who renders with their metadata (W11)', async () => {
  bench = await RenderBench.start({ settings: { renderMs: 2_000 } });
  const [foreign, own, copy] = ids as [string, string, string];
  await bench.client.submit({ promptId: foreign, graph: await graphFor('foreign', { seed: 1 }) });
  const marks = [
    { promptId: own, pngInfo: mark('run-1/proof', own) },
    { promptId: copy, pngInfo: mark('run-1', own) },
  ];
  for (const one of marks) await bench.client.submit({ ...one, graph: await graphFor(one.promptId, { seed: 2 }) });

  expect(await clearPromptsOf(bench.client, 'run-1', options)).toBe(1);
  const { running, pending } = await bench.client.queue();
  expect([...running, ...pending].map(({ promptId }) => promptId)).toEqual([foreign, copy]);
});

test('a ComfyUI that gives no good answer does not keep a run from its end', async () => {
  const broken = { kind: 'status', status: 500, body: 'a custom node is broken' } as const;
  bench = await RenderBench.start({ faults: [{ route: 'GET /queue', times: 100, fault: broken }] });
  // Not 0: nobody knows what is left.
  expect(await clearPromptsOf(bench.impatientClient(), 'run-1', options)).toBeNull();
  await bench.server.close();
  expect(await clearPromptsOf(bench.impatientClient(), 'run-1', options)).toBe(0);
});
