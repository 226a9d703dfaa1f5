import { chmod, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import type { Client } from '@temporalio/client';
import { MockActivityEnvironment } from '@temporalio/testing';
import { pino } from 'pino';
import { afterEach, beforeEach, expect, it } from 'vitest';

import { createCharacterGpuActivities } from '../../src/activities/character/gpu.js';
import type { WorkerEnvironment } from '../../src/activities/worker-environment.js';
import type { CharacterRun } from '../../src/character/character-run.js';
import { configSchema } from '../../src/config/schema.js';
import { statePaths } from '../../src/config/state-paths.js';
import { characterFolders, preparedRun, type CharacterFolders } from '../support/character-run.js';
import { graphFor, RenderBench } from '../support/comfyui-render.js';

let folders: CharacterFolders;
let bench: RenderBench;
beforeEach(async () => {
  folders = await characterFolders();
  // Nothing that is in the queue comes to its end by itself; an interrupt is heeded between two steps.
  bench = await RenderBench.start({ settings: { renderMs: 600_000 } });
});
afterEach(async () => {
  await bench.close();
  await folders.remove();
});

/** Two cards that others fill. */
const fullCards = `#!/bin/sh
case "$1" in
  --query-gpu=*) echo "0, GPU-aa, NVIDIA RTX 3060, 12288, 12000"; echo "1, GPU-bb, NVIDIA RTX 3060, 12288, 12000" ;;
esac
`;

/** A server whose queues all hold one activity of the daily training. */
const urgentWorkWaits = {
  options: { namespace: 'default' },
  connection: {
    workflowService: {
      describeTaskQueue: () => Promise.resolve({ statsByPriorityKey: { 2: { approximateBacklogCount: 1 } } }),
    },
  },
} as unknown as Client;

async function environment(settings: Readonly<Record<string, object>> = {}): Promise<WorkerEnvironment> {
  const nvidiaSmi = join(folders.root, 'nvidia-smi');
  await writeFile(nvidiaSmi, fullCards);
  await chmod(nvidiaSmi, 0o755);
  return {
    config: configSchema.parse({
      ...settings,
      comfyui: { url: bench.server.address, ...settings['comfyui'] },
      gpu: { nvidiaSmi, lockDirectory: folders.root },
      worker: { heartbeatSeconds: 0.2 },
    }),
    paths: { ...statePaths(folders.root), runs: folders.runs },
    ...{ host: 'box', log: pino({ level: 'silent' }), client: urgentWorkWaits },
    readApiKey: () => Promise.reject(new Error('no key is needed')),
  };
}

const idOf = (digit: number) => '11111111-1111-4111-8111-111111111111'.replaceAll('1', String(digit));

/** A prompt that a worker which was killed has left in ComfyUI. */
async function leave(run: CharacterRun, digit: number, part = ''): Promise<void> {
  const promptId = idOf(digit);
  const mark = { run: `${run.reservation.renderKey}${part}`, key: `${digit}-0`, prompt_id: promptId };
  await bench.client.submit({ promptId, graph: await graphFor(promptId, { steps: 3_000 }), pngInfo: { tower: mark } });
}

it('a turn that is given back before anything was begun leaves nothing of an earlier one in the queue (W8, W11)', async () => {
  const images = await preparedRun(folders);
  const proof = await preparedRun(folders, { name: 'Ida' });
  await leave(images, 1);
  await leave(images, 2);
  await leave(proof, 3, '/proof');
  await bench.client.submit({ promptId: idOf(4), graph: await graphFor('somebody else') });
  const gpu = createCharacterGpuActivities(await environment());
  const run = <Result>(work: () => Promise<Result>) =>
    new MockActivityEnvironment({ priority: { priorityKey: 4 } }).run(work);
  // Both wait for room on their GPU when the daily training asks for it.
  const [turn, given] = await Promise.allSettled([
    run(() => gpu.renderCharacter({ run: images.reservation.run, gpuIndex: 0 })),
    run(() => gpu.proveLora({ run: proof.reservation.run, gpuIndex: 1 })),
  ]);
  expect(turn).toMatchObject({ value: { accepted: 0, stopped: expect.stringContaining('priority 2') as string } });
  expect(given).toMatchObject({ reason: { code: 'GPU_GIVEN_BACK', retryable: true } });
  const { running, pending } = await bench.client.queue();
  expect([...running, ...pending].map(({ promptId }) => promptId)).toEqual([idOf(4)]);
});

it('a rendering says that it waits for ComfyUI, and gives up when that was away for long enough, over all its turns (W10, W19)', async () => {
  const { reservation } = await preparedRun(folders);
  await bench.server.close();
  // A turn lasts at least 6 s.
  const settings = { comfyui: { awayMinutes: 0.15 }, character: { imageVramGigabytes: 0 } };
  const gpu = createCharacterGpuActivities(await environment(settings));
  const told = new Set<string>();
  const turn = () => {
    const activity = new MockActivityEnvironment({ priority: { priorityKey: 4 } });
    activity.on('heartbeat', (beat: { waitsFor?: { code: string } } | undefined) =>
      told.add(beat?.waitsFor?.code ?? ''),
    );
    return activity.run(() => gpu.renderCharacter({ run: reservation.run, gpuIndex: 0 }));
  };
  expect(await turn()).toMatchObject({ stopped: expect.stringContaining('priority 2') as string });
  expect(told).toContain('COMFYUI_UNREACHABLE');
  await expect(turn()).rejects.toMatchObject({ code: 'COMFYUI_UNREACHABLE', retryable: true });
  // The next try has all the time again.
  expect(await turn()).toMatchObject({ stopped: expect.stringContaining('priority 2') as string });
});
