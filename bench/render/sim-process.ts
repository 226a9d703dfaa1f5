import { once } from 'node:events';
import { join } from 'node:path';

import axios from 'axios';
import { execa } from 'execa';

import { packageRoot } from '../../src/files/package-root.js';
import type { StatisticsReport } from '../../src/sims/comfyui/statistics.js';

export interface SimProcess {
  readonly address: string;
  /** Makes it forget all jobs and counts, so that every side finds it the same. */
  fresh(): Promise<void>;
  statistics(): Promise<StatisticsReport>;
  stop(): Promise<void>;
}

/** The simulated ComfyUI in a process of its own. */
export async function startComfyuiProcess(directory: string, renderMs: number): Promise<SimProcess> {
  const program = join(packageRoot, 'dist', 'sims', 'comfyui', 'main.js');
  const args = [program, '--directory', directory, '--settings', JSON.stringify({ renderMs })];
  const child = execa(process.execPath, args, { stderr: 'inherit', reject: false });
  // Its first line says where it listens.
  const [line] = (await once(child.stdout, 'data')) as [Buffer];
  const { address } = JSON.parse(line.toString()) as { address: string };
  const http = axios.create({ baseURL: address, proxy: false });
  return {
    address,
    async fresh() {
      await http.post('/history', { clear: true });
      await http.post('/free', { unload_models: true, free_memory: true });
      await http.delete('/sim/statistics');
    },
    statistics: async () => (await http.get<StatisticsReport>('/sim/statistics')).data,
    async stop() {
      child.kill();
      await child;
    },
  };
}
