import type { Client } from '@temporalio/client';

import { slugOf } from '../../character/names.js';
import { TowerError } from '../../errors.js';
import { characterIdPrefix, characterWorkflowId } from '../../workflows/names.js';

/**
 * The workflow id that a person means: the id itself, `elara/2`, or `elara` for her newest run.
 *
 * @throws TowerError `NOT_FOUND` when a character has no run.
 */
export async function characterIdOf(client: Client, text: string): Promise<string> {
  if (text.startsWith(characterIdPrefix)) return text;
  if (/^[^/]+\/\d+$/.test(text)) return `${characterIdPrefix}${text}`;
  const slug = slugOf(text);
  const version = await newestVersion(client, slug);
  if (version > 0) return characterWorkflowId(slug, version);
  throw new TowerError('NOT_FOUND', `there is no run of a character ${text}`, {
    next: '`tower character list` shows all runs.',
  });
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
