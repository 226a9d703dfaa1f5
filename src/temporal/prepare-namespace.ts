import { setTimeout as sleep } from 'node:timers/promises';

import { isGrpcServiceError, type Connection } from '@temporalio/client';
import type { SearchAttributeType } from '@temporalio/common';
import { msToTs } from '@temporalio/common/lib/time.js';

import { TowerError } from '../errors.js';
import type { ServiceOptions } from '../service-options.js';

export interface NamespaceNeeds {
  readonly namespace: string;
  /** How long finished runs can be looked at, in days. */
  readonly retentionDays: number;
  readonly searchAttributes: readonly SearchAttribute[];
}

/** A key as `defineSearchAttributeKey` makes it. */
interface SearchAttribute {
  readonly name: string;
  readonly type: SearchAttributeType;
}

const msPerDay = 86_400_000;
const grpcNotFound = 5;
const deadlineMs = 30_000;

/** Codes of `temporal.api.enums.v1.IndexedValueType`, the wire's form of a search attribute's type. */
const indexedValueType: Readonly<Record<SearchAttributeType, number>> = {
  TEXT: 1,
  KEYWORD: 2,
  INT: 3,
  DOUBLE: 4,
  BOOL: 5,
  DATETIME: 6,
  KEYWORD_LIST: 7,
};

/**
 * Gives a namespace what Tower needs, on a fresh database and on an old one: the dev server's own flags do nothing on a
 * file that exists, and leave a retention of one day. Changes only what differs.
 *
 * @throws TowerError `SEARCH_ATTRIBUTE_CONFLICT` when a name is registered with another type; `NAMESPACE_NOT_READY`
 * (retryable) when the server does not show a change within 30 s.
 */
export async function prepareNamespace(
  connection: Connection,
  needs: NamespaceNeeds,
  { signal, log }: Pick<ServiceOptions, 'signal' | 'log'>,
): Promise<void> {
  const { namespace } = needs;
  if ((await readRetentionDays(connection, namespace)) === undefined) {
    await connection.workflowService.registerNamespace({
      namespace,
      workflowExecutionRetentionPeriod: msToTs(needs.retentionDays * msPerDay),
    });
    log.info({ namespace }, 'namespace registered');
  }
  await until(`namespace ${namespace}`, signal, async () => {
    return (await readRetentionDays(connection, namespace)) !== undefined;
  });
  await setRetention(connection, needs);
  await registerSearchAttributes(connection, needs, { signal, log });
}

async function setRetention(connection: Connection, { namespace, retentionDays }: NamespaceNeeds): Promise<void> {
  if ((await readRetentionDays(connection, namespace)) === retentionDays) return;
  await connection.workflowService.updateNamespace({
    namespace,
    config: { workflowExecutionRetentionTtl: msToTs(retentionDays * msPerDay) },
  });
}

async function readRetentionDays(connection: Connection, namespace: string): Promise<number | undefined> {
  try {
    const { config } = await connection.workflowService.describeNamespace({ namespace });
    return (Number(config?.workflowExecutionRetentionTtl?.seconds ?? 0) * 1_000) / msPerDay;
  } catch (error) {
    if (isGrpcServiceError(error) && (error.code as number) === grpcNotFound) return undefined;
    throw error;
  }
}

async function registerSearchAttributes(
  connection: Connection,
  { namespace, searchAttributes }: NamespaceNeeds,
  { signal, log }: Pick<ServiceOptions, 'signal' | 'log'>,
): Promise<void> {
  const missing = await missingSearchAttributes(connection, namespace, searchAttributes);
  if (Object.keys(missing).length === 0) return;
  await connection.operatorService.addSearchAttributes({ namespace, searchAttributes: missing });
  log.info({ namespace, searchAttributes: Object.keys(missing) }, 'search attributes registered');
  await until('the search attributes', signal, async () => {
    return Object.keys(await missingSearchAttributes(connection, namespace, searchAttributes)).length === 0;
  });
}

async function missingSearchAttributes(
  connection: Connection,
  namespace: string,
  wanted: readonly SearchAttribute[],
): Promise<Record<string, number>> {
  const { customAttributes } = await connection.operatorService.listSearchAttributes({ namespace });
  const missing: Record<string, number> = {};
  for (const { name, type } of wanted) {
    const registered = customAttributes[name];
    if (registered === undefined) missing[name] = indexedValueType[type];
    else if (Number(registered) !== indexedValueType[type]) {
      throw new TowerError(
        'SEARCH_ATTRIBUTE_CONFLICT',
        `Expected search attribute ${name} of type ${type} in namespace ${namespace}, found type code ${registered}`,
        { next: `Remove it with: temporal operator search-attribute remove --namespace ${namespace} --name ${name}` },
      );
    }
  }
  return missing;
}

async function until(what: string, signal: AbortSignal, ready: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + deadlineMs;
  while (!(await ready())) {
    if (Date.now() > deadline) {
      throw new TowerError(
        'NAMESPACE_NOT_READY',
        `${what} did not appear on the server within ${deadlineMs / 1000} s`,
        {
          retryable: true,
        },
      );
    }
    await sleep(100, undefined, { signal });
  }
}
