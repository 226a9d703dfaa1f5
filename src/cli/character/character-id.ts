import { type Client, WorkflowNotFoundError } from '@temporalio/client';

import { slugOf } from '../../character/names.js';
import { TowerError } from '../../errors.js';
import { towerSearchAttributes } from '../../temporal/search-attributes.js';
import { characterIdPrefix, characterWorkflowId } from '../../workflows/names.js';

/**
 * The workflow id that a person means: the id itself, `elara/2`, or `elara` for her newest run.
 *
 * @throws TowerError `NOT_FOUND` when a character has no run.
 */
export async function characterIdOf(client: Client, text: string): Promise<string> {
  if (text.startsWith(characterIdPrefix)) return text;
  const [, name, number] = /^(.+)\/(\d+)$/.exec(text) ?? [];
  if (name !== undefined) return characterWorkflowId(slugOf(name), Number(number));
  const slug = slugOf(text);
  const version = await newestVersion(client, slug);
  if (version > 0) return characterWorkflowId(slug, version);
  throw new TowerError('NOT_FOUND', `there is no run of a character ${text}`, {
    next: '`tower character list` shows all runs.',
  });
}

/** What people call a run: `elara/2`. */
export function shortIdOf(workflowId: string): string {
  return workflowId.slice(characterIdPrefix.length);
}

/** Ids of character runs, which are names of folders too. */
const runIdPattern = /^character_.+_v\d+$/;

/**
 * The run that a person means: `character_elara_v1`, or a workflow that has worked on it, as {@link characterIdOf} takes it.
 *
 * @throws TowerError `NOT_FOUND`
 */
export async function runIdOf(client: Client, text: string): Promise<string> {
  if (runIdPattern.test(text)) return text;
  const workflowId = await characterIdOf(client, text);
  const run = await runOfWorkflow(client, workflowId);
  if (run !== undefined) return run;
  throw new TowerError('NOT_FOUND', `there is no run of ${workflowId} that could go on`, {
    next: '`tower character list` shows all runs; one that failed before it made anything is started anew.',
  });
}

/** The run that a workflow works or has worked on; `undefined` when it has made none. */
export async function runOfWorkflow(client: Client, workflowId: string): Promise<string | undefined> {
  try {
    const { typedSearchAttributes } = await client.workflow.getHandle(workflowId).describe();
    return typedSearchAttributes.get(towerSearchAttributes.version);
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return undefined;
    throw error;
  }
}

/** The GPU host on which a run has last been at work; `undefined` when no workflow has told. */
export async function hostOfRun(client: Client, run: string): Promise<string | undefined> {
  const { host, version } = towerSearchAttributes;
  for await (const { typedSearchAttributes } of client.workflow.list({
    query: `${version.name} = ${JSON.stringify(run)}`,
  })) {
    const told = typedSearchAttributes.get(host);
    if (told !== undefined) return told;
  }
  return undefined;
}

/** Highest version of a character's runs that the server knows; 0 when there is none. */
export async function newestVersion(client: Client, slug: string): Promise<number> {
  const prefix = `${characterIdPrefix}${slug}/`;
  let newest = 0;
  for await (const { workflowId } of client.workflow.list({ query: `WorkflowId STARTS_WITH "${prefix}"` })) {
    const version = Number(workflowId.slice(prefix.length));
    if (Number.isInteger(version)) newest = Math.max(newest, version);
  }
  return newest;
}
