import type { Client } from '@temporalio/client';

import { towerSearchAttributes } from '../../temporal/search-attributes.js';
import type { CommandContext } from '../command-context.js';
import { agoText } from '../durations.js';
import { isPausedStage } from '../runs/workflow-snapshot.js';
import type { WaitingWorkflow } from '../status/running-workflow.js';
import { explainWaiting } from '../status/waiting-characters.js';
import { tableText } from '../table.js';
import { runsOnDisk } from './runs-on-disk.js';
import { withClient } from '../temporal-client.js';
import { reviewStage, waitingStage } from './waiting-stages.js';

/** One character run, as lists show it. Times are ISO 8601 UTC. */
interface ListedCharacter extends WaitingWorkflow {
  readonly name: string;
  readonly status: string;
  readonly priority: string;
  readonly host: string | null;
  readonly run: string | null;
  readonly simulated: boolean;
  readonly startedAt: string;
  readonly closedAt: string | null;
}

const longestName = 40;

export async function listCharacters(
  options: { readonly open?: boolean; readonly n: number },
  context: CommandContext,
): Promise<void> {
  const characters = await withClient(context, async ({ client }) => {
    const found = await readCharacters(client, options);
    const open = await explainWaiting(
      client,
      found.filter(({ closedAt }) => closedAt === null),
    );
    const explained = new Map(open.map((character) => [character.runId, character]));
    return found.map((character) => explained.get(character.runId) ?? character);
  });
  // Of a list that was cut, nobody can tell what the server does not know.
  const isWhole = options.open !== true && characters.length < options.n;
  const known = new Set(characters.flatMap(({ run }) => run ?? []));
  const onDisk = isWhole ? await runsOnDisk(context.paths.runs, known) : [];
  const now = new Date();
  const rows = characters.map(({ workflowId, name, status, stage, priority, startedAt, waitsFor }) => [
    ...[workflowId, shortened(name), status, stage ?? '-', priority],
    ...[agoText(startedAt, now), waitsFor ?? ''],
  ]);
  const older = onDisk.map(({ run, name, status, priority, endedAt }) => [
    ...[run, shortened(name), status, '-', priority],
    endedAt === null ? '-' : `ended ${agoText(endedAt, now)}`,
  ]);
  context.output.result(
    { characters, onDisk },
    tableText(['ID', 'NAME', 'STATUS', 'STAGE', 'PRIORITY', 'STARTED', 'WAITS FOR'], [...rows, ...older]) ||
      'no character run yet',
  );
  for (const { run, fault } of onDisk) if (fault !== null) context.output.say(`${run}: ${fault}`);
  if (older.length > 0) {
    context.output.say(
      'The server does not know the runs without a workflow id any more; `--run <id>` goes on with one.',
    );
  }
}

/** Newest first; without what they wait for. */
async function readCharacters(
  client: Client,
  { open = false, n }: { readonly open?: boolean; readonly n: number },
): Promise<ListedCharacter[]> {
  const query = `${towerSearchAttributes.loop.name} = "character"${open ? ' AND ExecutionStatus = "Running"' : ''}`;
  const characters: ListedCharacter[] = [];
  for await (const info of client.workflow.list({ query })) {
    const { typedSearchAttributes: attributes, memo = {} } = info;
    const stage = attributes.get(towerSearchAttributes.stage) ?? null;
    const simulated = attributes.get(towerSearchAttributes.simulated) ?? false;
    characters.push({
      workflowId: info.workflowId,
      runId: info.runId,
      name: textIn(memo, 'name'),
      status: statusOf(info.status.name, stage, simulated),
      stage,
      priority: textIn(memo, 'priority'),
      host: attributes.get(towerSearchAttributes.host) ?? null,
      run: attributes.get(towerSearchAttributes.version) ?? null,
      simulated,
      startedAt: info.startTime.toISOString(),
      closedAt: info.closeTime?.toISOString() ?? null,
      waitsFor: null,
    });
    if (characters.length === n) break;
  }
  return characters;
}

/** A name may have a thousand characters. */
function shortened(name: string): string {
  const characters = [...name];
  return characters.length <= longestName ? name : `${characters.slice(0, longestName - 1).join('')}…`;
}

function textIn(memo: Readonly<Record<string, unknown>>, key: string): string {
  const value = memo[key];
  return typeof value === 'string' ? value : '-';
}

/** The four ends of a run are told apart: succeeded, simulated, failed, cancelled. */
function statusOf(name: string, stage: string | null, simulated: boolean): string {
  switch (name) {
    case 'RUNNING':
      if (isPausedStage(stage)) return 'paused';
      // Nothing happens until a person has looked.
      return stage === waitingStage || stage === reviewStage ? 'waiting' : 'running';
    case 'COMPLETED':
      return simulated ? 'simulated' : 'succeeded';
    default:
      return name.toLowerCase().replaceAll('_', ' ');
  }
}
