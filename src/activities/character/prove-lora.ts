import { join } from 'node:path';

import type { CharacterRun } from '../../character/character-run.js';
import { compareProof } from '../../character/compare-proof.js';
import { joinTags } from '../../character/prompts.js';
import { proofRecordSchema } from '../../character/proof-record.js';
import { readDelivery } from '../../character/publish.js';
import type { ComfyuiClient } from '../../comfyui/client.js';
import { fillGraph, loadGraph } from '../../comfyui/graph-template.js';
import type { Absence } from '../../comfyui/render/patience.js';
import { renderImages } from '../../comfyui/render/render-images.js';
import type { RenderImage } from '../../comfyui/render/types.js';
import { withLora } from '../../comfyui/with-lora.js';
import { TowerError } from '../../errors.js';
import { writeJsonDurable } from '../../files/durable-write.js';
import { readJsonIfExists } from '../../files/read-json.js';
import type { ServiceOptions } from '../../service-options.js';
import { waitsForOf, type WaitsFor } from '../../temporal/waiting-reasons.js';
import { gaveWay, waitInTurn, type GpuTurn } from '../gpu-turn.js';
import { imageValues } from './image-values.js';
import type { ProofRecord } from './interfaces.js';
import { proofPromptOf } from './proof-prompt.js';
import { recordComfyui } from '../../character/comfyui-record.js';
import { untilListed } from './until-listed.js';

/** What a proof heartbeats. */
export interface ProofProgress {
  readonly stage: 'waiting for the list' | 'rendering';
  readonly image: string | null;
  /** A ComfyUI that is away. */
  readonly waitsFor: WaitsFor | null;
}

const minute = 60_000;

export interface Proof {
  readonly run: CharacterRun;
  readonly client: ComfyuiClient;
  /** How long ComfyUI may be away at a stretch, in milliseconds. */
  readonly awayMs: number;
  /** What was waited of it before. */
  readonly absence?: Absence;
  readonly turn: GpuTurn;
}

/**
 * Proves that the published LoRA does something: ComfyUI lists it, and the same prompt and seed give another picture with it
 * than without (weakness W25). A repeat finds the proof, and the images, it has made.
 *
 * @throws TowerError `LORA_NOT_LISTED`, `LORA_WITHOUT_EFFECT`, `PROOF_BLANK`, `PROOF_INVALID`; `GPU_GIVEN_BACK` when the turn is to end first; what
 * `renderImages` throws.
 */
export async function proveLora(
  { run, client, awayMs, absence, turn }: Proof,
  options: ServiceOptions<ProofProgress>,
): Promise<ProofRecord> {
  const { job, paths } = run;
  const delivery = await readDelivery(paths.delivery);
  if (delivery === undefined) {
    throw new TowerError('NOTHING_DELIVERED', `${paths.directory} has published no LoRA that could be proven`);
  }
  const { loraName } = delivery;
  const earlier = await readJsonIfExists(paths.proof, proofRecordSchema);
  // One that does not say whether it was simulated is made again.
  if (earlier?.loraName === loraName && earlier.simulated !== undefined) return resultOf(earlier, earlier.simulated);

  const known = absence !== undefined && { absence };
  const givenUp = await waitInTurn(turn, (signal) =>
    untilListed(
      { client, loraName, awayMs, ...known },
      {
        ...options,
        signal,
        onProgress: ({ waitsFor }) => options.onProgress?.(progress('waiting for the list', undefined, waitsFor)),
      },
    ),
  );
  if (givenUp !== undefined) throw gaveWay(givenUp);
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
  const images = [without, with_];
  const { server, stopped, delivered } = await renderImages(
    {
      ...{ client, runKey: `${run.reservation.renderKey}/proof`, images, shouldStop: () => turn.yieldRequested },
      ...known,
      onImage: () => Promise.resolve('accepted'),
      limits: { startMs: job.limits.imageStartMinutes * minute, runMs: job.limits.imageRenderMinutes * minute, awayMs },
    },
    { ...options, onProgress: ({ key, waitsFor }) => options.onProgress?.(progress('rendering', key, waitsFor)) },
  );
  const isStopped = stopped !== null && delivered < images.length;
  if (isStopped || server === undefined) throw gaveWay(stopped ?? { reason: 'ComfyUI had not answered' });
  const { simulated } = await recordComfyui(paths.directory, server);
  const { meanAbsolute, changedShare } = await compareProof(without.target, with_.target, job.check);
  const proof = {
    ...{ loraName, prompt, seed, strength, withoutLora: without.target, withLora: with_.target },
    ...{ meanAbsolute, changedShare, simulated },
  };
  await writeJsonDurable(paths.proof, proof);
  return resultOf(proof, simulated);
}

function resultOf(
  { meanAbsolute, changedShare, withLora, withoutLora }: Omit<ProofRecord, 'simulated'>,
  simulated: boolean,
): ProofRecord {
  return { meanAbsolute, changedShare, withLora, withoutLora, simulated };
}

function progress(stage: ProofProgress['stage'], image?: string, waitsFor?: TowerError): ProofProgress {
  return { stage, image: image ?? null, waitsFor: waitsFor === undefined ? null : waitsForOf(waitsFor) };
}
