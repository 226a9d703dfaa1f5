import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { startPromptTick, type PromptTickInput, type PromptTickResult } from '../../src/client.js';
import { llmFaultsFromRules, type LlmFaultRule, type LlmFaults } from '../../src/sims/llm/faults.js';
import { startLlmServer, type LlmServer } from '../../src/sims/llm/server.js';
import { startSyntxService, type SyntxService, type SyntxServiceOptions } from '../../src/sims/syntx/server.js';
import { stages, type StageName } from './syntx-queue.js';
import { mergeTables, TowerMachine, type Settings, type TowerMachineOptions } from './tower-machine.js';

export interface SyntxMachineOptions extends TowerMachineOptions {
  readonly service?: Omit<SyntxServiceOptions, 'directory'>;
  readonly llm?: { readonly latencyMs?: number; readonly faults?: readonly LlmFaultRule[] };
}

/** A {@link TowerMachine} with a SYNTX queue, a simulated wrapper service and a simulated endpoint that writes prompts. */
export class SyntxMachine {
  readonly tower: TowerMachine;
  readonly service: SyntxService;
  readonly llm: LlmServer;
  /** Holds the queue and its logs, as an installation of the original does. */
  readonly root: string;
  /** What goes wrong with the endpoint that writes prompts; may be changed at any time. */
  llmFaults: LlmFaults;

  private constructor(
    tower: TowerMachine,
    servers: { service: SyntxService; llm: LlmServer },
    root: string,
    faults: readonly LlmFaultRule[],
  ) {
    this.tower = tower;
    this.service = servers.service;
    this.llm = servers.llm;
    this.root = root;
    this.llmFaults = llmFaultsFromRules(faults);
  }

  static async create({ service, llm, ...options }: SyntxMachineOptions = {}): Promise<SyntxMachine> {
    const tower = await TowerMachine.create(options);
    const root = await mkdtemp(join(tmpdir(), 'tower-syntx-'));
    const servers = {
      service: await startSyntxService({ directory: join(tower.home, 'syntx-service'), ...service }),
      llm: await startLlmServer({
        ...(llm?.latencyMs !== undefined && { latencyMs: llm.latencyMs }),
        faults: (message) => machine.llmFaults(message),
      }),
    };
    const machine: SyntxMachine = new SyntxMachine(tower, servers, root, llm?.faults ?? []);
    await machine.configure(options.settings ?? {});
    return machine;
  }

  /** Replaces what `create` has configured; workers read it when they start. */
  async configure(settings: Settings): Promise<void> {
    await this.tower.configure(mergeTables({ syntx: this.settings }, settings));
  }

  /** The section `syntx` of this machine. */
  get settings(): Settings {
    return {
      ...{ queue: this.queue, createQueue: true, timezone: 'UTC' },
      generation: { baseUrl: this.llm.address },
      wrapper: { url: this.service.address },
      consume: { parallel: 4, retry: { firstSeconds: 0.2, longestSeconds: 0.5, lateSeconds: 0.2, onceSeconds: 0.2 } },
    };
  }

  get queue(): string {
    return join(this.root, 'queue');
  }

  /** Runs one tick to its end. */
  async tick(input: PromptTickInput): Promise<PromptTickResult> {
    const handle = await startPromptTick(this.tower.client, input);
    return handle.result();
  }

  /** Names of the prompts in a stage, without ending. */
  async jobs(stage: StageName | '.broken'): Promise<string[]> {
    const names = await readdir(join(this.queue, stage)).catch(() => []);
    const prompts = names.filter((name) => name.endsWith('.txt') && !name.endsWith('_response.txt'));
    return prompts.map((name) => name.slice(0, -'.txt'.length)).sort();
  }

  /** How many jobs each stage has. */
  async levels(): Promise<Record<StageName, number>> {
    const counts = await Promise.all(stages.map(async (stage) => [stage, (await this.jobs(stage)).length] as const));
    return Object.fromEntries(counts) as Record<StageName, number>;
  }

  /** The texts of all prompts, wherever they are. */
  async prompts(): Promise<ReadonlySet<string>> {
    const texts = new Set<string>();
    for (const stage of stages) {
      for (const name of await this.jobs(stage)) {
        texts.add(await readFile(join(this.queue, stage, `${name}.txt`), 'utf8'));
      }
    }
    return texts;
  }

  /** What is wrong with the queue at rest: a job twice, half a job, or something of Tower's left over. */
  async faults(): Promise<string[]> {
    const seen = new Map<string, string>();
    const faults: string[] = [];
    for (const stage of stages) {
      for (const name of await this.jobs(stage)) {
        const job = name.replace(/(__retry\d+)+$/, '');
        if (seen.has(job)) faults.push(`${job} is in ${seen.get(job) ?? ''} and in ${stage}`);
        seen.set(job, stage);
        const metadata = await readFile(join(this.queue, stage, `${name}.json`), 'utf8').catch(() => undefined);
        if (metadata === undefined) faults.push(`${stage}/${name} has no metadata`);
        else JSON.parse(metadata);
      }
    }
    for (const own of ['leases', 'claims', 'moves', 'answers']) {
      for (const name of await readdir(join(this.queue, '.tower', own)).catch(() => [])) {
        faults.push(`.tower/${own}/${name} is left over`);
      }
    }
    return faults;
  }

  async metadata(stage: StageName, job: string): Promise<Record<string, unknown>> {
    return JSON.parse(await readFile(join(this.queue, stage, `${job}.json`), 'utf8')) as Record<string, unknown>;
  }

  /** A log beside the queue; one that is not there is empty. */
  async log(name: string): Promise<string> {
    return readFile(join(this.root, 'logs', name), 'utf8').catch(() => '');
  }

  async close(): Promise<void> {
    await this.tower.close();
    await Promise.all([this.service.close(), this.llm.close()]);
    await rm(this.root, { recursive: true, force: true });
  }
}
