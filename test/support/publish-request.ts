import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import type { PublishRequest } from '../../src/character/publish.js';
import { sha256OfFile } from '../../src/files/sha256.js';
import type { CharacterFolders } from './character-run.js';

/** A LoRA with one tensor and some metadata, different for every content. */
export async function lora(folders: CharacterFolders, content: string, comment = content): Promise<string> {
  const data = Buffer.alloc(64, content);
  const header = JSON.stringify({
    __metadata__: { ss_training_comment: comment, ss_new_sd_model_hash: 'abc' },
    'lora_unet_x.lora_up.weight': { dtype: 'U8', shape: [64], data_offsets: [0, 64] },
  });
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  const path = join(folders.root, `${content}.safetensors`);
  await writeFile(path, Buffer.concat([length, Buffer.from(header), data]));
  return path;
}

/** To publish a LoRA of that run as `elara_lora`, whatever the fields do not change. */
export async function publishRequest(
  folders: CharacterFolders,
  run: string,
  fields: Partial<PublishRequest> = {},
): Promise<PublishRequest> {
  const source = fields.source ?? (await lora(folders, run));
  return {
    ...{ run, source, sha256: await sha256OfFile(source), loras: folders.loras, output: 'elara_lora' },
    ...{ alias: false, simulated: false, deliverSimulated: false, record: join(folders.root, `${run}.json`) },
    ...fields,
  };
}
