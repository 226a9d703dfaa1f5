import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, expect, it } from 'vitest';

import type { CharacterLoraHandle } from '../../src/cli/character/start-character-lora.js';
import { listLivingWorkers } from '../../src/temporal/living-workers.js';
import { CharacterMachine } from '../support/character-machine.js';
import { waitUntil } from '../support/wait-until.js';

/** A host with two GPUs, on the second of which its ComfyUI renders. */
let machine: CharacterMachine;
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tower-'));
  const nvidiaSmi = join(folder, 'nvidia-smi');
  await writeFile(
    nvidiaSmi,
    `#!/bin/sh
case "$1" in
  --query-gpu=*) for gpu in 0 1; do echo "$gpu, GPU-$gpu, Simulated GPU, 24564, 500"; done ;;
esac
`,
  );
  await chmod(nvidiaSmi, 0o755);
  machine = await CharacterMachine.create({
    comfyui: { renderMs: 20 },
    settings: { gpu: { nvidiaSmi, devices: 'auto' }, comfyui: { gpu: 1 } },
  });
  await Promise.all([machine.tower.startControl(), machine.tower.startGpu(0), machine.tower.startGpu(1)]);
});
afterAll(async () => {
  await machine.close();
  await rm(folder, { recursive: true, force: true });
});

/** Which activities were sent to which GPU. */
async function gpuWork(handle: CharacterLoraHandle): Promise<[string | null | undefined, string | null | undefined][]> {
  const { events } = await handle.fetchHistory();
  return (events ?? []).flatMap(({ activityTaskScheduledEventAttributes: activity }) =>
    /^gpu-box-\d$/.test(activity?.taskQueue?.name ?? '')
      ? [[activity?.activityType?.name, activity?.taskQueue?.name] as [string | null | undefined, string | undefined]]
      : [],
  );
}

const quick = { count: 2, minImages: 1, kohya: { max_train_epochs: 1 } };

it('images and proof wait for the GPU of ComfyUI, the training takes another one and leaves ComfyUI alone (W19)', async () => {
  const handle = await machine.start({ ...quick, name: 'Two' });
  await handle.result();
  expect(await gpuWork(handle)).toEqual([
    ['renderCharacter', 'gpu-box-1'],
    ['trainCharacter', 'gpu-box-0'],
    ['proveLora', 'gpu-box-1'],
  ]);
  if (!('statistics' in machine.comfyui)) throw new Error('not this server');
  expect(machine.comfyui.statistics().requests['POST /free'] ?? 0).toBe(0);
});

it('a GPU that works is busier than one that does not, though nothing waits there', async () => {
  const { client } = machine.tower;
  const reported = (what: string, busy: readonly [number, number]) =>
    waitUntil(what, async () => {
      const workers = await listLivingWorkers(client);
      return busy.every((work, gpu) => workers.find(({ queue }) => queue === `gpu-box-${gpu}`)?.busy === work);
    });
  // A report that still tells of the run before would send this one elsewhere.
  await reported('reports of idle workers', [0, 0]);
  const long = await machine.start({ ...quick, name: 'Long', kohya: { max_train_epochs: 2_000 } });
  await machine.trainingAtStep(long.workflowId, 1);
  await reported('the report of the busy worker', [1, 0]);
  const second = await machine.start({ ...quick, name: 'Beside' });
  await second.result();
  expect(new Map(await gpuWork(second)).get('trainCharacter')).toBe('gpu-box-1');
  await long.cancel();
  await long.result().catch(() => undefined);
});
