import { join } from 'node:path';

import { exists } from '../../files/exists.js';
import { writeFileDurable } from '../../files/durable-write.js';

/** A tensor by which programs tell kinds of models, and what the names of such models have in them. */
const kinds = [
  [/flux/i, 'model.diffusion_model.double_blocks.0.img_attn.proj.weight'],
  [/xl/i, 'conditioner.embedders.0.transformer.text_model.final_layer_norm.weight'],
  [/^/, 'cond_stage_model.transformer.text_model.final_layer_norm.weight'],
] as const;

/**
 * Puts whole safetensors files, which say `simulated`, where checkpoints are missing: with one weight, that of an SDXL or a FLUX
 * model where the name tells so, else of Stable Diffusion 1.x.
 */
export async function placeSimulatedCheckpoints(directory: string, names: readonly string[]): Promise<void> {
  for (const name of names) {
    const path = join(directory, name);
    if (await exists(path)) continue;
    const [, tensor] = kinds.find(([pattern]) => pattern.test(name)) ?? kinds[2];
    const weight = { dtype: 'F16', shape: [1], data_offsets: [0, 2] };
    const header = Buffer.from(JSON.stringify({ __metadata__: { simulated: 'true' }, [tensor]: weight }));
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(header.length));
    await writeFileDurable(path, Buffer.concat([length, header, Buffer.alloc(2)]));
  }
}
