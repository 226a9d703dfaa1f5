import { Client, Connection, isGrpcServiceError } from '@temporalio/client';

import { TowerError } from '../errors.js';
import { resolveConnection, type ResolvedConnection } from '../temporal/connection.js';

/** A connected client, and what it is connected to. */
export interface TemporalSession {
  readonly client: Client;
  readonly connection: Connection;
  readonly server: ResolvedConnection;
}

/** How long a server may take to answer the first call. */
const connectTimeout = '5s';

/** Status codes of gRPC that commands tell apart. */
const grpc = { deadlineExceeded: 4, permissionDenied: 7, unavailable: 14, unauthenticated: 16 } as const;

/**
 * Runs `work` with a client of the configured server, and closes the connection. The one place where commands connect.
 *
 * @throws TowerError of {@link resolveConnection}; `TEMPORAL_UNREACHABLE` (retryable) when nothing answers there, also
 * later in `work`; `TEMPORAL_REJECTED` when the server refuses the credentials.
 */
export async function withClient<Result>(
  { home, embeddedOnly }: { readonly home: string; readonly embeddedOnly?: boolean },
  work: (session: TemporalSession) => Promise<Result>,
): Promise<Result> {
  const server = await resolveConnection({
    home,
    env: process.env,
    ...(embeddedOnly !== undefined && { embeddedOnly }),
  });
  try {
    const connection = await Connection.connect({ ...server.client, connectTimeout });
    try {
      return await work({ client: new Client({ connection, namespace: server.namespace }), connection, server });
    } finally {
      await connection.close();
    }
  } catch (error) {
    throw asTowerError(error, server.address);
  }
}

/** Whether a call failed because the server is away at the moment. */
export function isUnreachable(error: unknown): boolean {
  return (
    (isGrpcServiceError(error) && [grpc.unavailable, grpc.deadlineExceeded].some((code) => code === grpcCode(error))) ||
    (error instanceof Error && error.message.startsWith('Failed to connect before the deadline'))
  );
}

/** The error of a call to the server as one with a code and a next step, where it is about the connection. */
export function asTowerError(error: unknown, address: string): unknown {
  const cause = error instanceof Error && isGrpcServiceError(error.cause) ? error.cause : error;
  if (isUnreachable(cause)) {
    return new TowerError('TEMPORAL_UNREACHABLE', `the Temporal server at ${address} does not answer`, {
      cause,
      retryable: true,
      next: 'Start Tower with `tower up`, or check TEMPORAL_ADDRESS.',
    });
  }
  if (isGrpcServiceError(cause) && [grpc.permissionDenied, grpc.unauthenticated].some((c) => c === grpcCode(cause))) {
    return new TowerError('TEMPORAL_REJECTED', `the Temporal server at ${address} refuses this client`, {
      cause,
      next: 'Check TEMPORAL_API_KEY or the TLS certificates.',
    });
  }
  return error;
}

function grpcCode(error: { readonly code: number }): number {
  return error.code;
}
