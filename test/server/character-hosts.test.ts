import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { WorkflowFailedError } from '@temporalio/client';
import { parse, stringify } from 'smol-toml';
import { afterAll, beforeAll, expect, it } from 'vitest';

import { readJournal } from '../../src/character/journal.js';
import { statePaths } from '../../src/config/state-paths.js';
import { failureOf } from '../../src/cli/runs/workflow-failure.js';
import { startCharacterLora, type CharacterLoraResult } from '../../src/client.js';
import { namesIn } from '../../src/files/absent.js';
import { CharacterMachine, smallJob } from '../support/character-machine.js';
import { mergeTables } from '../support/tower-machine.js';

/** Host `a` is the machine of the test; `b` has a state directory, a GPU lock and workers of its own, and the same server. */
let machine: CharacterMachine;
let homeOfB: string;

beforeAll(async () => {
  const hosts = ['a', 'b'].map((name) => ({ name, gpus: 1 }));
  machine = await CharacterMachine.create({ settings: { host: 'a', hosts } });
  const { tower } = machine;
  homeOfB = join(tower.home, 'host-b');
  const configOfB = join(tower.home, 'host-b.toml');
  const own = {
    host: 'b',
    gpu: { lockDirectory: join(homeOfB, 'locks') },
    character: { datasets: join(homeOfB, 'datasets') },
  };
  await writeFile(configOfB, stringify(mergeTables(parse(await readFile(tower.configFile, 'utf8')), own)));
  const ofB = { TOWER_HOME: homeOfB, TOWER_CONFIG: configOfB, TEMPORAL_ADDRESS: tower.server.address };
  await Promise.all([tower.startControl(), tower.startGpu(), tower.startControl(ofB), tower.startGpu(0, ofB)]);
});
afterAll(() => machine.close());

const runsOfB = () => statePaths(homeOfB).runs;
const job = ['--description', smallJob.description, '--size', '64x64', '--steps', '2'];

async function start(...args: string[]) {
  const { exitCode, stdout } = await machine.tower.tower('character', 'start', ...args, '--json');
  return { exitCode, outcome: JSON.parse(String(stdout)) as { workflowId: string; failure?: unknown } };
}

it('a run is made on the host that was asked for, and goes on there from its files', async () => {
  await machine.change({ renderMs: 1_000 });
  const training = ['--epochs', '1', '--network-dim', '2', '--network-alpha', '1', '--with', 'kohya.num_repeats=1'];
  const simulated = ['--allow-simulated', '--deliver-simulated'];
  const more = ['--count', '6', ...training, ...simulated];
  const { outcome } = await start('--name', 'Bea', ...job, ...more, '--host', 'b');
  const first = machine.tower.client.workflow.getHandle(outcome.workflowId);
  await machine.accepted(outcome.workflowId, 1);
  await first.cancel();
  await expect(first.result()).rejects.toThrow(WorkflowFailedError);
  const journal = join(runsOfB(), 'character_bea_v1', 'images.jsonl');
  const before = (await readJournal(journal)).accepted;
  expect(before.size).toBeGreaterThanOrEqual(1);

  await machine.change({ renderMs: 10 });
  const { outcome: end } = await start('--run', 'bea/1', '--wait');
  const { result } = end as unknown as { result: CharacterLoraResult };
  expect(result).toMatchObject({ host: 'b', run: 'character_bea_v1', images: { accepted: 6 } });
  expect(result.dataset).toBe(join(homeOfB, 'datasets', 'Bea-v1'));
  expect(result.lora?.outcome).toBe('published');
  const { accepted } = await readJournal(journal);
  for (const [index, { promptId }] of before) expect(accepted.get(index)?.promptId).toBe(promptId);
  // Also where nobody has looked up the host before.
  const again = await (await startCharacterLora(machine.tower.client, { run: 'character_bea_v1' })).result();
  expect(again).toMatchObject({ host: 'b', run: 'character_bea_v1' });
  // The other host has done nothing of it.
  expect(await namesIn(machine.tower.paths.runs)).toEqual([]);
  expect(await namesIn(machine.datasets)).toEqual([]);
});

it('a host that is none is named, with those that there are, before anything is started', async () => {
  const named = {
    code: 'UNKNOWN_HOST',
    message: expect.stringContaining('no GPU host is called c; there are: a, b') as string,
  };
  const whole = ['--name', 'Nobody', ...job, '--allow-simulated'];
  for (const args of [
    [...whole, '--host', 'c'],
    [...whole, '--with', 'host=c', '--wait'],
    ['--run', 'character_bea_v1', '--host', 'c'],
  ]) {
    const { exitCode, outcome } = await start(...args);
    expect({ exitCode, outcome }).toMatchObject({ exitCode: 5, outcome: { error: named } });
  }
  const query = 'WorkflowId STARTS_WITH "character-lora/nobody/"';
  for await (const { workflowId } of machine.tower.client.workflow.list({ query })) throw new Error(workflowId);

  // Whoever starts it in another way is told by the workflow.
  const handle = await startCharacterLora(machine.tower.client, { job: { ...smallJob, name: 'Nobody' }, host: 'c' });
  const error: unknown = await handle.result().catch((thrown: unknown) => thrown);
  if (!(error instanceof WorkflowFailedError)) throw new Error('it has not failed');
  expect(failureOf(error.cause)).toMatchObject(named);
  expect((await namesIn(runsOfB())).filter((name) => name.includes('nobody'))).toEqual([]);
});

it('a host that only its workers know is one', async () => {
  const elsewhere = join(machine.tower.home, 'elsewhere.toml');
  await writeFile(elsewhere, stringify({ host: 'laptop' }));
  const whole = ['--name', 'Away', ...job, '--allow-simulated', '--count', '1', '--config', elsewhere];
  const refused = await start(...whole, '--host', 'c');
  expect(refused.outcome).toMatchObject({
    error: { message: expect.stringMatching(/no GPU host is called c; there are: laptop, a, b$/) as string },
  });
  const { exitCode, outcome } = await start(...whole, '--host', 'b');
  expect({ exitCode, outcome }).toMatchObject({ exitCode: 0, outcome: { status: 'started' } });
  await machine.tower.client.workflow.getHandle(outcome.workflowId).cancel();
});
