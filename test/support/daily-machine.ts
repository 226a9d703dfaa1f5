import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import type { WorkflowHandleWithFirstExecutionRunId } from '@temporalio/client';

import { takeSnapshot, type ActivitySnapshot } from '../../src/cli/runs/workflow-snapshot.js';
import { startDailyCycle, type DailyCycleInput } from '../../src/client.js';
import { serverApiKeyVariable } from '../../src/config/secrets.js';
import { probeLock, type LockState } from '../../src/gpu/kernel-lock.js';
import type { CycleRecord } from '../../src/signz-mind/ledger/cycles.js';
import { Ledger } from '../../src/signz-mind/ledger/ledger.js';
import type { SimulatedFault } from '../../src/sims/qlora-trainer/config.js';
import { editorBatches, type EditorDay } from '../../src/sims/signz-mind/editor-batches.js';
import type { Faults } from '../../src/sims/signz-mind/faults.js';
import type { Operation } from '../../src/sims/signz-mind/operation-log.js';
import { startSignzMindServer, type SignzMindServer } from '../../src/sims/signz-mind/server.js';
import { uploadBatchAsEditor } from '../../src/sims/signz-mind/upload-batch-as-editor.js';
import { newKey, roles } from '../../src/sims/signz-mind/users.js';
import type { GuardedProcess } from '../../src/temporal/guarded-process.js';
import { livingLaunches, readLaunches, type Launch } from '../../src/training/launch-record.js';
import { listRuns } from '../../src/training/list-runs.js';
import { runDirectory } from '../../src/training/run-directory.js';
import { settledSchema, type Settled } from '../../src/training/settle.js';
import type { dailyCycle } from '../../src/workflows/daily-cycle.js';
import { mergeTables, TowerMachine, type Settings, type TowerMachineOptions } from './tower-machine.js';
import { waitUntil } from './wait-until.js';

export interface DailyMachineOptions extends TowerMachineOptions {
  /** Where the workers find the key of the Signz-Mind server; a file has mode 0600. */
  readonly keyIn?: 'environment' | 'file';
  /** The Signz-Mind server's clock, from which batches get their names. */
  readonly now?: () => Date;
}

/** A {@link TowerMachine} with a simulated Signz-Mind server and, unless set otherwise, the simulated trainer. */
export class DailyMachine {
  readonly tower: TowerMachine;
  readonly signz: SignzMindServer;
  readonly towerKey: string;
  /** Chooses what goes wrong with requests to the Signz-Mind server. */
  faults: Faults | undefined;
  readonly #editorKey: string;

  private constructor(tower: TowerMachine, signz: SignzMindServer, keys: { tower: string; editor: string }) {
    this.tower = tower;
    this.signz = signz;
    this.towerKey = keys.tower;
    this.#editorKey = keys.editor;
  }

  static async create(options: DailyMachineOptions = {}): Promise<DailyMachine> {
    const keys = { tower: newKey(), editor: newKey() };
    const inFile = options.keyIn === 'file';
    const tower = await TowerMachine.create({
      ...options,
      environment: { ...options.environment, ...(!inFile && { [serverApiKeyVariable]: keys.tower }) },
    });
    const current: { machine?: DailyMachine } = {};
    const signz = await startSignzMindServer({
      directory: join(tower.home, 'signz-mind'),
      users: [
        { username: 'tower', roles: [roles.tower], apiKey: keys.tower },
        { username: 'ana', roles: [roles.contributor], apiKey: keys.editor },
      ],
      faults: (request) => current.machine?.faults?.(request),
      ...(options.now && { now: options.now }),
    });
    const machine = new DailyMachine(tower, signz, keys);
    current.machine = machine;
    if (inFile) await writeFile(machine.keyFile, `${keys.tower}\n`, { mode: 0o600 });
    const keySettings = inFile ? { server: { apiKeyFile: machine.keyFile } } : {};
    await machine.configure(mergeTables(options.settings ?? {}, keySettings));
    return machine;
  }

  get keyFile(): string {
    return join(this.tower.home, 'server.key');
  }

  /** Replaces what `create` has configured; workers read it when they start. */
  async configure(settings: Settings): Promise<void> {
    await this.tower.configure(mergeTables(base(this.signz.address), settings));
  }

  /** A GPU worker whose simulated trainers have this fault. */
  ensureFaultyGpu(fault: SimulatedFault): Promise<GuardedProcess> {
    return this.tower.ensureGpu(0, { TOWER_SIMULATED_TRAINER_FAULT: JSON.stringify(fault) });
  }

  /** Uploads what editors do on one day, a batch per client. */
  async uploadDay(day: number, size: Partial<Pick<EditorDay, 'clients' | 'filesPerDay'>> = {}): Promise<string[]> {
    const names: string[] = [];
    for (const { clientId, content } of editorBatches({ seed: 'test', day, ...size })) {
      names.push(await this.upload(content, clientId));
    }
    return names;
  }

  /** Uploads one batch as an editor does. @returns the name that the server gave it. */
  upload(content: string | Uint8Array, clientId = 'desk'): Promise<string> {
    const { address } = this.signz;
    return uploadBatchAsEditor({ address, apiKey: this.#editorKey, clientId, content });
  }

  startCycle(input: DailyCycleInput = {}): Promise<WorkflowHandleWithFirstExecutionRunId<typeof dailyCycle>> {
    return startDailyCycle(this.tower.client, input);
  }

  /** The pending training activity of the cycle, once it has reported this step. */
  trainingAtStep(step: number): Promise<ActivitySnapshot> {
    return waitUntil(`step ${step}`, async () => {
      const { activities } = await takeSnapshot(this.tower.client, 'daily-cycle');
      return activities.find(({ activity, progress }) => activity === 'trainAdapter' && (progress?.done ?? 0) >= step);
    });
  }

  /** The pending training activity of the cycle, once it is in this attempt. */
  trainingAtAttempt(attempt: number): Promise<ActivitySnapshot> {
    return waitUntil(`attempt ${attempt}`, async () => {
      const { activities } = await takeSnapshot(this.tower.client, 'daily-cycle');
      const training = activities.find(({ activity }) => activity === 'trainAdapter');
      return training?.state === 'running' && training.attempt >= attempt ? training : undefined;
    });
  }

  /** The launch whose trainer lives now. */
  livingLaunch(): Promise<Launch> {
    return waitUntil('a living trainer', async () => {
      for (const run of await this.runs()) {
        const living = (await livingLaunches(run)).find(({ process }) => process.trainerPid !== null);
        if (living !== undefined) return living;
      }
      return undefined;
    });
  }

  async launches(): Promise<Launch[]> {
    return (await Promise.all((await this.runs()).map(readLaunches))).flat();
  }

  /** The settled outcome of the newest run. */
  async settled(): Promise<Settled> {
    const run = (await this.runs()).at(-1);
    return settledSchema.parse(JSON.parse(await readFile(run?.settled ?? '', 'utf8')));
  }

  /** Who holds the lock of GPU 0. */
  gpuState(): Promise<LockState> {
    return probeLock(this.tower.gpuLock(0), 'python3');
  }

  /** The newest cycle, as the ledger has it. */
  lastCycle(): CycleRecord | undefined {
    return this.readLedger((ledger) => ledger.cycles.list(1)[0]);
  }

  readLedger<Result>(read: (ledger: Ledger) => Result): Result {
    const ledger = Ledger.openReadOnly(this.tower.paths.ledger);
    try {
      return read(ledger);
    } finally {
      ledger.close();
    }
  }

  /** Requests of the tower that change the server: uploads and marks. */
  effects(): string[] {
    const changing = (operation: Operation) =>
      operation.user === 'tower' && operation.method === 'POST' && operation.status < 400;
    return this.signz
      .operations()
      .filter(changing)
      .map(({ route, name }) => `${route} ${name}`);
  }

  /** Waits for the deliveries that a cycle has started. */
  async delivered(workflowIds: readonly string[]): Promise<void> {
    for (const id of workflowIds) await this.tower.client.workflow.getHandle(id).result();
  }

  async close(): Promise<void> {
    await this.tower.close();
    await this.signz.close();
  }

  /** Folders of the trainings, oldest first. */
  async runs() {
    return (await this.#runFolders()).filter(({ directory }) => !isEvaluation(directory));
  }

  /** Folders of the evaluations. */
  async evaluations() {
    return (await this.#runFolders()).filter(({ directory }) => isEvaluation(directory));
  }

  async #runFolders() {
    return (await listRuns(this.tower.paths.runs)).map((run) => runDirectory(join(this.tower.paths.runs, run)));
  }
}

function isEvaluation(directory: string): boolean {
  return directory.includes('-evaluation');
}

function base(url: string): Settings {
  return {
    server: { url, deliverSimulated: true },
    // A small day has too few held-out samples for a measurement.
    evaluate: { whenUnmeasured: 'promote' },
    train: {
      simulatedSecondsPerStep: 0.02,
      hyperparameters: { epochs: 2, batchSize: 1, gradientAccumulation: 1, checkpointEverySteps: 20 },
    },
  };
}
