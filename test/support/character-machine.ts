import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

import { takeSnapshot, type ActivitySnapshot } from '../../src/cli/runs/workflow-snapshot.js';
import type { CharacterLoraHandle } from '../../src/cli/character/start-character-lora.js';
import { startCharacterLora, type CharacterLoraInput } from '../../src/client.js';
import { probeLock } from '../../src/gpu/kernel-lock.js';
import type { Settings as ComfyuiSettings } from '../../src/sims/comfyui/settings.js';
import { startComfyuiServer, type ComfyuiServer } from '../../src/sims/comfyui/server.js';
import { ComfyuiProcess } from './comfyui-process.js';
import { mergeTables, TowerMachine, type Settings, type TowerMachineOptions } from './tower-machine.js';
import { waitUntil } from './wait-until.js';

export interface CharacterMachineOptions extends TowerMachineOptions {
  /** Of the simulated ComfyUI. */
  readonly comfyui?: Partial<ComfyuiSettings>;
  /** ComfyUI as a process of its own, which can be killed. */
  readonly killable?: boolean;
}

/** A job of 12 small images; the stand-in trains two short epochs on them. */
export const smallJob = {
  name: 'Elara',
  description: '1girl, brown hair, blue eyes, fantasy armor, warrior',
  tags: ['1girl', 'brown hair'],
  count: 12,
  width: 64,
  height: 64,
  steps: 2,
  allowSimulated: true,
  deliver: { simulated: true },
  kohya: { max_train_epochs: 2, num_repeats: 1, network_dim: 4, network_alpha: 2 },
} as const;

/** A {@link TowerMachine} with a simulated ComfyUI and no sd-scripts, so that trainings are simulated. */
export class CharacterMachine {
  readonly tower: TowerMachine;
  readonly comfyui: ComfyuiServer | ComfyuiProcess;

  private constructor(tower: TowerMachine, comfyui: ComfyuiServer | ComfyuiProcess) {
    this.tower = tower;
    this.comfyui = comfyui;
  }

  static async create(options: CharacterMachineOptions = {}): Promise<CharacterMachine> {
    const tower = await TowerMachine.create(options);
    const directory = join(tower.home, 'comfyui');
    const settings = { renderMs: 50, ...options.comfyui };
    const comfyui = options.killable
      ? await ComfyuiProcess.start(directory, settings)
      : await startComfyuiServer({ directory, settings });
    const machine = new CharacterMachine(tower, comfyui);
    await machine.configure(options.settings ?? {});
    return machine;
  }

  /** Replaces what `create` has configured; workers read it when they start. */
  async configure(settings: Settings): Promise<void> {
    const base = {
      comfyui: { url: this.comfyui.address, directory: join(this.tower.home, 'comfyui'), awayMinutes: 0.5 },
      character: { datasets: this.datasets },
      train: { simulatedSecondsPerStep: 0.05 },
    };
    await this.tower.configure(mergeTables(base, settings));
  }

  /** Changes the simulated ComfyUI while it runs. */
  async change(settings: Partial<ComfyuiSettings>): Promise<void> {
    const response = await fetch(`${this.comfyui.address}/sim/settings`, {
      method: 'POST',
      body: JSON.stringify(settings),
    });
    if (!response.ok) throw new Error(`the settings were refused: ${await response.text()}`);
  }

  get datasets(): string {
    return join(this.tower.home, 'datasets');
  }

  get loras(): string {
    return join(this.tower.home, 'comfyui', 'models', 'loras');
  }

  start(
    job: Readonly<Record<string, unknown>> = {},
    more: Omit<CharacterLoraInput, 'job'> = {},
  ): Promise<CharacterLoraHandle> {
    return startCharacterLora(this.tower.client, { job: mergeTables(smallJob, job), ...more });
  }

  /** Waits until the rendering of a run has so many accepted images. */
  async accepted(workflowId: string, images: number): Promise<ActivitySnapshot> {
    return this.activity(workflowId, 'renderCharacter', ({ progress }) => (progress?.done ?? 0) >= images);
  }

  async trainingAtStep(workflowId: string, step: number): Promise<ActivitySnapshot> {
    return this.activity(workflowId, 'trainCharacter', ({ progress }) => (progress?.done ?? 0) >= step);
  }

  /** Waits until an activity of a run is pending and fits. */
  activity(
    workflowId: string,
    name: string,
    fits: (snapshot: ActivitySnapshot) => boolean = () => true,
    timeoutMs?: number,
  ): Promise<ActivitySnapshot> {
    const pending = async () => {
      const { activities, status } = await takeSnapshot(this.tower.client, workflowId);
      if (status !== 'running' && status !== 'paused') throw new Error(`${workflowId} is ${status}`);
      return activities.find((activity) => activity.activity === name && fits(activity));
    };
    return waitUntil(`${name} of ${workflowId}`, pending, timeoutMs);
  }

  async stage(workflowId: string, stage: string, timeoutMs?: number): Promise<void> {
    const reached = async () => (await takeSnapshot(this.tower.client, workflowId)).stage === stage;
    await waitUntil(`stage ${stage} of ${workflowId}`, reached, timeoutMs);
  }

  /** What ComfyUI lists. */
  async publishedLoras(): Promise<string[]> {
    return (await readdir(this.loras)).filter((name) => name.endsWith('.safetensors')).sort();
  }

  /** Image and caption of every file in a dataset, by name: pictures as hashes. */
  async datasetFiles(folder: string): Promise<Readonly<Record<string, string>>> {
    const images = join(folder, 'images');
    const files: Record<string, string> = {};
    for (const name of (await readdir(images)).sort()) {
      if (name.startsWith('.')) continue;
      const content = await readFile(join(images, name));
      files[name] = name.endsWith('.txt') ? content.toString() : createHash('sha256').update(content).digest('hex');
    }
    return files;
  }

  async isGpuHeld(): Promise<boolean> {
    return (await probeLock(this.tower.gpuLock(0), 'python3')).held;
  }

  async close(): Promise<void> {
    await this.tower.close();
    await this.comfyui.close();
  }
}
