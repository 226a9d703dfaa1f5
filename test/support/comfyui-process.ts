import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

import { packageRoot } from '../../src/files/package-root.js';
import type { FaultRule } from '../../src/sims/comfyui/faults.js';
import type { Settings } from '../../src/sims/comfyui/settings.js';
import type { StatisticsReport } from '../../src/sims/comfyui/statistics.js';

/** The simulated ComfyUI as a process of its own: it can be killed, and started again at the same address. */
export class ComfyuiProcess {
  readonly #directory: string;
  readonly #settings: Partial<Settings>;
  #child: ChildProcess;
  #port: number;

  private constructor(
    place: { readonly directory: string; readonly settings: Partial<Settings> },
    { child, port }: { readonly child: ChildProcess; readonly port: number },
  ) {
    this.#directory = place.directory;
    this.#settings = place.settings;
    this.#child = child;
    this.#port = port;
  }

  static async start(directory: string, settings: Partial<Settings>): Promise<ComfyuiProcess> {
    return new ComfyuiProcess({ directory, settings }, await spawnServer(directory, settings, 0));
  }

  get address(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  /** Ends by itself with SIGKILL, for faults of the kind `kill`. */
  async exited(): Promise<void> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) await once(this.#child, 'exit');
  }

  async kill(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.exited();
  }

  /** Starts again after its end; queue and history are empty then. */
  async startAgain(): Promise<void> {
    ({ child: this.#child, port: this.#port } = await spawnServer(this.#directory, this.#settings, this.#port));
  }

  async addFaults(rules: readonly FaultRule[]): Promise<void> {
    const response = await fetch(`${this.address}/sim/faults`, { method: 'POST', body: JSON.stringify(rules) });
    if (!response.ok) throw new Error(`the faults were refused: ${await response.text()}`);
  }

  async readStatistics(): Promise<StatisticsReport> {
    return (await (await fetch(`${this.address}/sim/statistics`)).json()) as StatisticsReport;
  }

  async close(): Promise<void> {
    await this.kill();
  }
}

async function spawnServer(
  directory: string,
  settings: Partial<Settings>,
  port: number,
): Promise<{ child: ChildProcess; port: number }> {
  const program = join(packageRoot, 'dist', 'sims', 'comfyui', 'main.js');
  const args = ['--directory', directory, '--port', String(port), '--settings', JSON.stringify(settings)];
  const child = spawn(process.execPath, [program, ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
  for await (const line of createInterface({ input: child.stdout })) {
    const { address } = JSON.parse(line) as { address: string };
    return { child, port: Number(new URL(address).port) };
  }
  throw new Error('the simulated ComfyUI ended before it was ready');
}
