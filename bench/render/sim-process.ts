import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';

import axios, { AxiosError, type AxiosInstance } from 'axios';
import { execa } from 'execa';

import { packageRoot } from '../../src/files/package-root.js';
import { graphsOf } from './images.js';
import type { FaultRule } from '../../src/sims/comfyui/faults.js';
import type { StatisticsReport } from '../../src/sims/comfyui/statistics.js';

export interface SimProcess {
  readonly address: string;
  /** Makes it forget all jobs and counts, so that every side finds it the same, and sets what is to go wrong. */
  fresh(faults: readonly FaultRule[]): Promise<void>;
  statistics(): Promise<StatisticsReport>;
  stop(): Promise<void>;
}

const warmUpImages = 10;

interface QueueLength {
  readonly exec_info: { readonly queue_remaining: number };
}

/** The simulated ComfyUI in a process of its own. */
export async function startComfyuiProcess(directory: string, renderMs: number): Promise<SimProcess> {
  const program = join(packageRoot, 'dist', 'sims', 'comfyui', 'main.js');
  // Room for young objects, and some prompts before it counts: its own collections and compilations are not to be measured.
  const args = ['--max-semi-space-size=128', program, '--directory', directory];
  const child = execa(process.execPath, args, { stderr: 'inherit', reject: false });
  // Its first line says where it listens.
  const [line] = (await once(child.stdout, 'data')) as [Buffer];
  const { address } = JSON.parse(line.toString()) as { address: string };
  const http = axios.create({ baseURL: address, proxy: false });
  await warmUp(http);
  await http.post('/sim/settings', { renderMs });
  return {
    address,
    async fresh(faults) {
      await answering(http);
      await http.delete('/sim/faults');
      await http.post('/queue', { clear: true });
      await http.post('/interrupt', {});
      await idle(http);
      await http.post('/history', { clear: true });
      await http.post('/free', { unload_models: true, free_memory: true });
      await http.post('/sim/faults', faults);
      await http.delete('/sim/statistics');
    },
    async statistics() {
      await answering(http);
      return (await http.get<StatisticsReport>('/sim/statistics')).data;
    },
    async stop() {
      child.kill();
      await child;
    },
  };
}

async function warmUp(http: AxiosInstance): Promise<void> {
  for (const prompt of await graphsOf('warm-up', warmUpImages)) await http.post('/prompt', { prompt });
  await idle(http);
}

async function idle(http: AxiosInstance): Promise<void> {
  while ((await http.get<QueueLength>('/prompt')).data.exec_info.queue_remaining > 0) await pause(50);
}

/** Waits while it is restarting. */
async function answering(http: AxiosInstance): Promise<void> {
  for (;;) {
    try {
      await http.get('/sim/settings');
      return;
    } catch (error) {
      if (!(error instanceof AxiosError) || error.code !== 'ECONNREFUSED') throw error;
      await pause(100);
    }
  }
}
