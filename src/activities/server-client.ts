import { TowerError } from '../errors.js';
import { SignzMindClient } from '../signz-mind/server/signz-mind-client.js';
import type { WorkerEnvironment } from './worker-environment.js';

const megabyte = 2 ** 20;

/** The client of the configured server, with the key read now. @throws TowerError `SERVER_NOT_CONFIGURED` */
export async function createServerClient({ config, readApiKey }: WorkerEnvironment): Promise<SignzMindClient> {
  const { url, downloadLimitMegabytes } = config.server;
  if (url === undefined) {
    throw new TowerError('SERVER_NOT_CONFIGURED', 'server.url is not set: the daily cycle has no server to ask', {
      next: 'Set server.url in the configuration (`tower config init` writes a file).',
    });
  }
  return new SignzMindClient({
    baseUrl: url,
    apiKey: await readApiKey(),
    maxBatchBytes: downloadLimitMegabytes * megabyte,
  });
}
