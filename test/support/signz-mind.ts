import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { pino } from 'pino';

import { Ledger } from '../../src/signz-mind/ledger/ledger.js';
import { SignzMindClient, type SignzMindClientOptions } from '../../src/signz-mind/server/signz-mind-client.js';
import { ingestBatches } from '../../src/signz-mind/ingest/ingest-batches.js';
import type { IngestSummary } from '../../src/signz-mind/ingest/ingest-summary.js';
import type { Faults } from '../../src/sims/signz-mind/faults.js';
import { startSignzMindServer, type SignzMindServer } from '../../src/sims/signz-mind/server.js';
import { uploadBatchAsEditor } from '../../src/sims/signz-mind/upload-batch-as-editor.js';
import { roles } from '../../src/sims/signz-mind/users.js';

export const towerKey = 'tower-key-canary-5b1f0c7e9d';
export const editorKey = 'editor-key-canary-8a2d4f6b';
const silent = pino({ level: 'silent' });
export const options = { signal: new AbortController().signal, log: silent };

/** A server, a client and a ledger in a temporary folder, over real HTTP and real files. */
export class SignzWorld {
  readonly directory: string;
  readonly server: SignzMindServer;
  readonly client: SignzMindClient;
  readonly ledger: Ledger;
  readonly #faults: { current: Faults | undefined };

  private constructor(directory: string, server: SignzMindServer, faults: { current: Faults | undefined }) {
    this.directory = directory;
    this.server = server;
    this.client = this.clientWith({});
    this.ledger = Ledger.open(this.ledgerPath);
    this.#faults = faults;
  }

  static async create(): Promise<SignzWorld> {
    const directory = await mkdtemp(join(tmpdir(), 'tower-'));
    const faults: { current: Faults | undefined } = { current: undefined };
    const server = await startSignzMindServer({
      directory: join(directory, 'server'),
      users: [
        { username: 'admin', roles: [roles.admin], apiKey: 'admin-key', password: 'admin-password' },
        { username: 'tower', roles: [roles.tower, roles.consumer], apiKey: towerKey },
        { username: 'trainer-only', roles: [roles.tower], apiKey: 'trainer-only-key' },
        { username: 'ana', roles: [roles.contributor, roles.consumer], apiKey: editorKey },
        { username: 'bert', roles: [roles.contributor], apiKey: 'bert-key' },
      ],
      faults: (request) => faults.current?.(request),
    });
    return new SignzWorld(directory, server, faults);
  }

  get ledgerPath(): string {
    return join(this.directory, 'ledger.db');
  }

  get batchDirectory(): string {
    return join(this.directory, 'batches');
  }

  get serverDirectory(): string {
    return join(this.directory, 'server');
  }

  set faults(faults: Faults | undefined) {
    this.#faults.current = faults;
  }

  clientWith(changes: Partial<SignzMindClientOptions>): SignzMindClient {
    return new SignzMindClient({ baseUrl: this.server.address, apiKey: towerKey, ...changes });
  }

  upload(content: string | Uint8Array, apiKey = editorKey, clientId = 'laptop-7'): Promise<string> {
    return uploadBatchAsEditor({ address: this.server.address, apiKey, clientId, content });
  }

  ingest(cycle = '2025-07-01T13:00:00Z'): Promise<IngestSummary> {
    const { client, ledger, batchDirectory } = this;
    return ingestBatches({ client, ledger, batchDirectory, cycle }, options);
  }

  async close(): Promise<void> {
    this.ledger.close();
    await this.server.close();
    await rm(this.directory, { recursive: true, force: true });
  }
}

/** A snippet line; give what matters. */
export function snippet(fields: Record<string, unknown> = {}): string {
  return JSON.stringify({
    type: 'snippet',
    uuid: '3f0c9a6e5d2b4c17a8e0b1d2c3f4a5b6',
    path: '/home/ana/proj/geo.py',
    content: 'import math\n\ndef area(r):\n    return math.pi * r * r\n',
    quality_label: 'gut (Training)',
    timestamp_created_db: '2025-07-01 09:58:10',
    last_modified_utc: '2025-07-01T10:02:44.120Z',
    ...fields,
  });
}

/** A feedback line; give what matters. */
export function feedback(fields: Record<string, unknown> = {}): string {
  return JSON.stringify({
    type: 'feedback',
    uuid: 'b7d1e4c2907f4a55b3c6d8e9f0a1b2c3',
    timestamp_created_db: '2025-07-01 10:05:31',
    source_code_context: 'def area(r):\n    return ma',
    ai_action_type: 'suggestion',
    ai_generated_output: 'math.pi * r * r',
    user_feedback_type: 'suggestion_used',
    original_file_path: '/home/ana/proj/geo.py',
    notes: null,
    last_modified_utc: '2025-07-01T10:05:31.402Z',
    ...fields,
  });
}
