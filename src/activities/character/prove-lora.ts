import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

import { z } from 'zod';

import type { CharacterRun } from '../../character/character-run.js';
import { compareProof } from '../../character/compare-proof.js';
import { joinTags } from '../../character/prompts.js';
import { readDelivery } from '../../character/publish.js';
import type { ComfyuiClient } from '../../comfyui/client.js';
import { fillGraph, loadGraph } from '../../comfyui/graph-template.js';
import { renderImages } from '../../comfyui/render/render-images.js';
import type { RenderImage } from '../../comfyui/render/types.js';
import { withLora } from '../../comfyui/with-lora.js';
import { TowerError } from '../../errors.js';
import { writeJsonDurable } from '../../files/durable-write.js';
import { readJsonIfExists } from '../../files/read-json.js';
import type { ServiceOptions } from '../../service-options.js';
import { imageValues } from './image-values.js';
import type { ProofRecord } from './interfaces.js';
import { proofPromptOf } from './proof-prompt.js';
import { recordServer } from './server-record.js';

/** What a proof heartbeats. */
export interface ProofProgress {
  readonly stage: 'waiting for the list' | 'rendering';
  readonly image: string | null;
}

/** `proof.json` of the run. */
const proofSchema = z.object({
  loraName: z.string(),
  prompt: z.string(),
  seed: z.int(),
  strength: z.number(),
  withoutLora: z.string(),
  withLora: z.string(),
  meanAbsolute: z.number(),
  changedShare: z.number(),
  simulated: z.boolean(),
});

const minute = 60_000;
const listPollMs = 500;
const listLimitMs = 60_000;

/**
 * Proves that the published LoRA does something: ComfyUI lists it, and the same prompt and seed give another picture with it
 * than without (weakness W25). A repeat finds the proof it has made.
 *
 * @throws TowerError `LORA_NOT_LISTED`, `LORA_WITHOUT_EFFECT`; what `renderImages` throws.
 */
export async function proveLora(
  { run, client, awayMs }: { readonly run: CharacterRun; readonly client: ComfyuiClient; readonly awayMs: number },
  options: ServiceOptions<ProofProgress>,
): Promise<ProofRecord> {
  const { job, paths } = run;
  const delivery = await readDelivery(paths.delivery);
  if (delivery === undefined) {
    throw new TowerError('NOTHING_DELIVERED', `${paths.directory} has published no LoRA that could be proven`);
  }
  const { loraName } = delivery;
  const earlier = await readJsonIfExists(paths.proof, proofSchema);
  if (earlier?.loraName === loraName) return earlier;

  await untilListed(client, loraName, options);
  const template = await loadGraph(job.graph);
  const prompt = job.proof.prompt ?? proofPromptOf(job);
  const { seed, strength } = job.proof;
  const graph = (name: string) =>
    fillGraph(
      template,
      imageValues(job, {
        prompt,
        negative: joinTags(job.negative),
        seed,
        prefix: join('tower', run.reservation.run, name),
      }),
    );
  const image = (key: string, filled: RenderImage['graph']): RenderImage => ({
    ...{ key, graph: filled },
    target: join(paths.proofImages, `${key}.png`),
  });
  const without = image('without-lora', graph('without-lora'));
  const with_ = image('with-lora', withLora(graph('with-lora'), { loraName, strength }));
  const { server } = await renderImages(
    {
      ...{ client, runKey: `${run.reservation.run}/proof`, images: [without, with_] },
      onImage: () => Promise.resolve('accepted'),
      limits: { startMs: job.limits.imageStartMinutes * minute, runMs: job.limits.imageRenderMinutes * minute, awayMs },
    },
    { ...options, onProgress: ({ key }) => options.onProgress?.({ stage: 'rendering', image: key ?? null }) },
  );
  const { simulated } = await recordServer(paths.directory, server);
  const { meanAbsolute, changedShare } = await compareProof(without.target, with_.target);
  const proof = {
    ...{ loraName, prompt, seed, strength, withoutLora: without.target, withLora: with_.target },
    ...{ meanAbsolute, changedShare, simulated },
  };
  await writeJsonDurable(paths.proof, proof);
  return { meanAbsolute, changedShare, withLora: proof.withLora, withoutLora: proof.withoutLora, simulated };
}

/** ComfyUI reads its folders anew when they change; a shared file system may show a file late. */
async function untilListed(
  client: ComfyuiClient,
  loraName: string,
  { signal, onProgress }: ServiceOptions<ProofProgress>,
): Promise<void> {
  const deadline = performance.now() + listLimitMs;
  for (;;) {
    const listed = await client.models('loras', { signal });
    if (listed.includes(loraName)) return;
    if (performance.now() > deadline) {
      throw new TowerError('LORA_NOT_LISTED', `ComfyUI at ${client.baseUrl} does not list ${loraName}`, {
        retryable: true,
        retryAfterMs: 10_000,
        next: 'Check that comfyui.loraDirectory is the folder whose LoRAs this ComfyUI lists.',
        details: { loraName, listed: listed.length },
      });
    }
    onProgress?.({ stage: 'waiting for the list', image: null });
    await delay(listPollMs, undefined, { signal });
  }
}
