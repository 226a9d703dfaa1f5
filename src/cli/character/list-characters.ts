import type { Client } from '@temporalio/client';

import { towerSearchAttributes } from '../../temporal/search-attributes.js';
import type { CommandContext } from '../command-context.js';
import { agoText } from '../durations.js';
import { isPausedStage } from '../runs/workflow-snapshot.js';
import { tableText } from '../table.js';
import { withClient } from '../temporal-client.js';

/** One character run, as lists show it. Times are ISO 8601 UTC. */
export interface ListedCharacter {
  readonly workflowId: string;
  readonly name: string;
  readonly status: string;
  readonly stage: string | null;
  readonly priority: string;
  readonly host: string | null;
  readonly run: string | null;
  readonly simulated: boolean;
  readonly startedAt: string;
  readonly closedAt: string | null;
}

/** Runs that wait for a place have this stage. */
export const waitingStage = 'wait for a slot';

export async function listCharacters(
  options: { readonly open?: boolean; readonly n: number },
  context: CommandContext,
): Promise<void> {
  const characters = await withClient(context, ({ client }) => readCharacters(client, options));
  const now = new Date();
  const rows = characters.map(({ workflowId, name, status, stage, priority, startedAt }) => [
    ...[workflowId, name, status, stage ?? '-', priority],
    agoText(startedAt, now),
  ]);
  context.output.result(
    { characters },
    tableText(['ID', 'NAME', 'STATUS', 'STAGE', 'PRIORITY', 'STARTED'], rows) || 'no character run yet',
  );
}

/** Newest first. */
export async function readCharacters(
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
      name: textIn(memo, 'name'),
      status: statusOf(info.status.name, stage, simulated),
      stage,
      priority: textIn(memo, 'priority'),
      host: attributes.get(towerSearchAttributes.host) ?? null,
      run: attributes.get(towerSearchAttributes.version) ?? null,
      simulated,
      startedAt: info.startTime.toISOString(),
      closedAt: info.closeTime?.toISOString() ?? null,
    });
    if (characters.length === n) break;
  }
  return characters;
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
      return stage === waitingStage ? 'waiting' : 'running';
    case 'COMPLETED':
      return simulated ? 'simulated' : 'succeeded';
    default:
      return name.toLowerCase().replaceAll('_', ' ');
  }
}
