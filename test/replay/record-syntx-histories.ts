import { afterAll, beforeAll, it } from 'vitest';

import { startConsumePrompts, startProducePrompts, startPromptTick } from '../../src/client.js';
import { llmFaultsFromRules } from '../../src/sims/llm/faults.js';
import { SyntxMachine } from '../support/syntx-machine.js';
import { waitUntil } from '../support/wait-until.js';
import { writeHistory } from './write-history.js';

/**
 * Run by `npm run record-histories`, not by the tests. `…-before` are of older Towers and cannot be recorded anew: `consume-prompts-before`
 * of one whose consumers said nothing of simulated services, `consume-prompts-marked-before` of one where they said it at their end,
 * `produce-prompts-before` of one that did not tell a run how long its generation may take, `produce-prompts-cancelled-before` of one
 * that did not wait for what it had cancelled.
 */

let machine: SyntxMachine;

beforeAll(async () => {
  machine = await SyntxMachine.create({ service: { latencyMs: 300 } });
  await machine.tower.startControl();
});
afterAll(() => machine.close());

async function record(name: string, workflowId: string): Promise<void> {
  await writeHistory(machine.tower.client, name, workflowId);
}

it('each run of the prompt evolution', async () => {
  const { client } = machine.tower;
  await machine.tick({ kind: 'produce', batch: 12 });
  await record('produce-prompts', 'syntx-produce');
  const tick = await startPromptTick(client, { kind: 'consume', wrapper: 'sigma', batch: 5 });
  await waitUntil('the consumer', async () => ((await machine.levels()).processing > 0 ? true : undefined));
  const skipped = await startPromptTick(client, { kind: 'consume', wrapper: 'sigma' });
  await skipped.result();
  await tick.result();
  await record('prompt-tick-ran', tick.workflowId);
  await record('prompt-tick-skipped', skipped.workflowId);
  await record('consume-prompts', 'syntx-consume/sigma');
  await machine.tick({ kind: 'produce', batch: 12 });
  await record('produce-prompts-learned', 'syntx-produce');
  await machine.tick({ kind: 'monitor' });
  await record('monitor-queue', 'syntx-monitor');
  await machine.tick({ kind: 'clean', dryRun: true });
  await record('clean-queue', 'syntx-clean');
});

it('a consumer whose service refuses, and one that is cancelled', async () => {
  machine.service.faults = [{ times: 50, fault: { kind: 'status', status: 403, detail: 'no' } }];
  await machine.tick({ kind: 'consume', wrapper: 'human', batch: 8 });
  await record('consume-prompts-given-up', 'syntx-consume/human');
  machine.service.faults = [{ times: 50, fault: { kind: 'slow', delayMs: 60_000 } }];
  const run = await startConsumePrompts(machine.tower.client, { wrapper: 'sigma', batch: 4 });
  await waitUntil('calls', async () => ((await machine.levels()).processing > 0 ? true : undefined));
  await run.cancel();
  await run.result().catch(() => undefined);
  await record('consume-prompts-cancelled', 'syntx-consume/sigma');
});

it('a producer that is cancelled while it pays', async () => {
  const { length: before } = machine.llm.requests;
  machine.llmFaults = llmFaultsFromRules([{ times: 50, fault: { kind: 'silence' } }]);
  const run = await startProducePrompts(machine.tower.client, { count: 4, force: true });
  await waitUntil('calls', () => machine.llm.requests.length > before);
  await run.cancel();
  await run.result().catch(() => undefined);
  await record('produce-prompts-cancelled', 'syntx-produce');
});
