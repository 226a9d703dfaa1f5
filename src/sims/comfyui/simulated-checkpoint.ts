import { join } from 'node:path';

import { exists } from '../../files/exists.js';
import { writeFileDurable } from '../../files/durable-write.js';

/** Puts whole safetensors files without weights, which say `simulated`, where checkpoints are missing. */
export async function placeSimulatedCheckpoints(directory: string, names: readonly string[]): Promise<void> {
  for (const name of names) {
    const path = join(directory, name);
    if (await exists(path)) continue;
    const header = Buffer.from(JSON.stringify({ __metadata__: { simulated: 'true' } }));
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(header.length));
    await writeFileDurable(path, Buffer.concat([length, header]));
  }
}
