import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import sharp from 'sharp';

import { endGroup } from '../../src/gpu/end-group.js';
import { createSimulatedKohyaDriver } from '../../src/kohya/driver.js';
import { parseKohyaOptions, type KohyaOptionsInput } from '../../src/kohya/options.js';
import type { KohyaRun } from '../../src/kohya/order.js';
import { kohyaSampleSchema } from '../../src/kohya/samples.js';
import { SeededRandom } from '../../src/seeded-random.js';
import type { SdScriptsSimulation } from '../../src/sims/sd-scripts/simulation.js';
import { livingLaunches } from '../../src/training/launch-record.js';
import { runDirectory } from '../../src/training/run-directory.js';
import type { TrainerDriver } from '../../src/training/trainer-driver.js';
import type { TrainingRequest } from '../../src/training/training-request.js';
import { log, python } from '../faults/fixtures/training-bench.js';

/** Writes pictures with captions into a folder. */
export async function writeImages(folder: string, count: number, side = 64): Promise<void> {
  await mkdir(folder, { recursive: true });
  for (let number = 1; number <= count; number += 1) {
    const name = `elara_${String(number).padStart(3, '0')}`;
    const random = new SeededRandom(name);
    const pixels = Buffer.from(Array.from({ length: 4 * 4 * 3 }, () => random.between(0, 255)));
    const image = sharp(pixels, { raw: { width: 4, height: 4, channels: 3 } }).resize(side, side);
    await image.png().toFile(join(folder, `${name}.png`));
    await writeFile(join(folder, `${name}.txt`), `elara, 1girl, pose ${number}\n`);
  }
}

export interface SimulatedKohya {
  readonly options?: Partial<KohyaOptionsInput>;
  readonly simulation?: SdScriptsSimulation;
  readonly images?: number;
  readonly run?: Partial<KohyaRun>;
}

/** A folder with one GPU lock and runs of the stand-in for sd-scripts, and an end for everything that was started. */
export class KohyaBench {
  readonly home: string;
  readonly #directories: string[] = [];

  private constructor(home: string) {
    this.home = home;
  }

  static async open(): Promise<KohyaBench> {
    return new KohyaBench(await mkdtemp(join(tmpdir(), 'tower-')));
  }

  async close(): Promise<void> {
    for (const directory of this.#directories) {
      for (const launch of await livingLaunches(runDirectory(directory))) await endGroup(launch.process, 0);
    }
    await rm(this.home, { recursive: true, force: true });
  }

  directory(id: string): string {
    return join(this.home, 'runs', id);
  }

  /** Eight images, one repeat, four epochs: seven are trained on, one is held out. */
  async run(id: string, { options, images = 8, run }: SimulatedKohya = {}): Promise<KohyaRun> {
    const directory = this.directory(id);
    const folder = join(this.home, 'images');
    const model = join(this.home, 'base.safetensors');
    await mkdir(directory, { recursive: true });
    await writeFile(model, '');
    if (!existsSync(folder)) await writeImages(folder, images);
    this.#directories.push(directory);
    return {
      runId: id,
      runDirectory: directory,
      baseModelKind: 'sd',
      options: parseKohyaOptions({
        pretrained_model_name_or_path: model,
        network_dim: 4,
        network_alpha: 2,
        max_train_epochs: 4,
        num_repeats: 1,
        resolution: 64,
        ...options,
      }),
      images: folder,
      oneSize: true,
      samples: [kohyaSampleSchema.parse({ prompt: 'elara, 1girl', width: 64, height: 64, steps: 2 })],
      outputName: 'elara_lora',
      log,
      ...run,
    };
  }

  async driver(id: string, simulated: SimulatedKohya = {}): Promise<TrainerDriver> {
    const simulation = { secondsPerStep: 0.002, ...simulated.simulation };
    return createSimulatedKohyaDriver({ ...(await this.run(id, simulated)), simulation });
  }

  async request(
    id: string,
    simulated: SimulatedKohya & { readonly request?: Partial<TrainingRequest> } = {},
  ): Promise<TrainingRequest> {
    return this.requestFor(id, await this.driver(id, simulated), simulated.request);
  }

  requestFor(id: string, driver: TrainerDriver, overrides: Partial<TrainingRequest> = {}): TrainingRequest {
    const directory = this.directory(id);
    return {
      driver,
      run: { id, directory, workflowId: `workflow-${id}`, workflowRunId: `run-${id}`, stateDirectory: this.home },
      generation: 0,
      gpu: { index: 0, lockPath: join(this.home, 'gpu-0.lock') },
      python,
      stall: { limitMs: 120_000 },
      graceMs: 500,
      minFreeBytes: 0,
      ...overrides,
    };
  }
}
