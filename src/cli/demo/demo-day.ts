import type { Client } from '@temporalio/client';

import { TowerError } from '../../errors.js';
import { editorBatches } from '../../sims/signz-mind/editor-batches.js';
import { uploadBatchAsEditor } from '../../sims/signz-mind/upload-batch-as-editor.js';
import { dailyCycleWorkflowId } from '../../workflows/names.js';
import type { DailyCycleResult } from '../../workflows/daily-cycle.js';
import type { DeliverAdapterResult } from '../../workflows/deliver-adapter.js';
import type { DailyTickResult } from '../../workflows/daily-tick.js';
import type { DemoMachine } from './demo-machine.js';
import { livingTrainers } from '../status/living-trainers.js';
import { createProgressView, type ProgressView } from '../runs/progress-view.js';
import { startTick } from '../runs/start-workflows.js';
import { watchWorkflow } from '../runs/watch-workflow.js';
import { takeSnapshot } from '../runs/workflow-snapshot.js';
import type { TemporalSession } from '../temporal-client.js';

export interface DemoDay {
  readonly cycle: DailyCycleResult;
  readonly deliveries: readonly DeliverAdapterResult[];
  /** The trainer that outlived its killed worker; only on the day of the kill. */
  readonly survivor: { readonly pid: number; readonly atStep: number } | null;
}

interface DemoDayPlan {
  readonly number: number;
  readonly logicalTime: string;
  readonly killWorker: boolean;
}

/** Share of the steps after which the worker is killed. */
const killAfterShare = 1 / 3;

/**
 * One day: the editors upload, a tick starts the cycle, and on the day of the kill the GPU worker dies in the middle.
 *
 * @throws TowerError `DEMO_FAILED` when the cycle or a delivery did not end as it should.
 */
export async function runDemoDay(machine: DemoMachine, day: DemoDayPlan): Promise<DemoDay> {
  const { output } = machine.context;
  await uploadDay(machine, day.number);
  const view = await createProgressView(output);
  try {
    return await machine.withSession((session) => runDay(machine, day, { session, view }));
  } finally {
    view.close();
  }
}

async function runDay(
  machine: DemoMachine,
  day: DemoDayPlan,
  { session, view }: { readonly session: Pick<TemporalSession, 'client' | 'connection'>; readonly view: ProgressView },
): Promise<DemoDay> {
  const { client } = session;
  const tick = await startTick(client, { scheduledTime: day.logicalTime });
  const watching = watchWorkflow(session, { workflowId: tick.workflowId }, view, machine.signal);
  const survivor = day.killWorker ? killWorker(machine, client, view) : Promise.resolve(null);
  const [outcome, survived] = await Promise.all([watching, survivor]);
  if (outcome.status !== 'completed') throw failed(`the cycle of day ${day.number} ended as ${outcome.status}`);
  const result = outcome.result as DailyTickResult;
  if (result.outcome === 'skipped') throw failed(`the tick of day ${day.number} was skipped: ${result.reason}`);
  const deliveries: DeliverAdapterResult[] = [];
  for (const workflowId of result.cycle.deliveries) {
    deliveries.push((await client.workflow.getHandle(workflowId).result()) as DeliverAdapterResult);
  }
  return { cycle: result.cycle, deliveries, survivor: survived };
}

async function uploadDay({ context, signz, editorKey }: DemoMachine, number: number): Promise<void> {
  const batches = editorBatches({ seed: 'tower demo', day: number - 1 });
  for (const { clientId, content } of batches) {
    await uploadBatchAsEditor({ address: signz.address, apiKey: editorKey, clientId, content });
  }
  context.output.say(`Day ${number}: ${batches.length} editors uploaded a batch each`);
}

async function killWorker(machine: DemoMachine, client: Client, view: ProgressView): Promise<DemoDay['survivor']> {
  const atStep = await untilInTheMiddle(machine, client);
  const [before] = await livingTrainers(machine.context);
  await machine.killGpuWorker();
  const [after] = await livingTrainers(machine.context);
  if (before === undefined || after?.pid !== before.pid) throw failed('the trainer did not outlive its killed worker');
  view.note(`Killed the GPU worker (kill -9) at step ${atStep}: trainer ${after.pid} goes on; starting a new worker`);
  await machine.startGpuWorker();
  return { pid: after.pid, atStep };
}

async function untilInTheMiddle({ signal }: DemoMachine, client: Client): Promise<number> {
  for (;;) {
    signal.throwIfAborted();
    const snapshot = await takeSnapshot(client, dailyCycleWorkflowId).catch(notThereYet);
    const progress = snapshot?.activities.find(({ activity }) => activity === 'trainAdapter')?.progress;
    const { done, total } = progress ?? {};
    if (done != null && total != null && done >= total * killAfterShare) return done;
    if (snapshot !== undefined && snapshot.closedAt !== null)
      throw failed('the training ended before it could be disturbed');
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}

function notThereYet(error: unknown): undefined {
  if (error instanceof TowerError && error.code === 'NOT_FOUND') return undefined;
  throw error;
}

function failed(message: string): TowerError {
  return new TowerError('DEMO_FAILED', message, { next: 'Look at logs/tower.log in the state directory of the demo.' });
}
