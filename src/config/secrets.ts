import { readFile, stat } from 'node:fs/promises';

import { TowerError } from '../errors.js';
import { isLegacyFile, readLegacyKey } from './legacy-file.js';
import { isServerKey } from './legacy-keys.js';
import type { Config } from './schema.js';

/** Environment variable with the Signz-Mind key. It comes before `server.apiKeyFile`. */
export const serverApiKeyVariable = 'TOWER_SERVER_API_KEY';

/**
 * The key of the Signz-Mind server, read at the time of use and never stored in the configuration.
 *
 * @throws TowerError `API_KEY_MISSING` or `API_KEY_FILE_UNSAFE`, neither retryable.
 */
export async function readServerApiKey(
  config: Config,
  env: Readonly<Record<string, string | undefined>>,
): Promise<string> {
  const fromEnvironment = env[serverApiKeyVariable]?.trim();
  if (fromEnvironment) return fromEnvironment;
  const file = config.server.apiKeyFile;
  if (file === undefined) {
    throw new TowerError('API_KEY_MISSING', 'the key of the Signz-Mind server is not set', {
      next: `Set ${serverApiKeyVariable}, or write the key into a file (mode 0600) and name it in server.apiKeyFile.`,
    });
  }
  return isLegacyFile(file) ? readOldFile(file) : readSecretFile(file);
}

/** Environment variable with the key of the endpoint that writes prompts. It comes before `syntx.apiKeyFile`. */
const openAiKeyVariable = 'OPENAI_API_KEY';

/**
 * The key of the endpoint that writes prompts, read at the time of use; `undefined` for an endpoint that wants none.
 *
 * @throws TowerError `API_KEY_MISSING` or `API_KEY_FILE_UNSAFE` for a file that is named and cannot be used.
 */
export async function readOpenAiKey(
  config: Pick<Config, 'syntx'>,
  env: Readonly<Record<string, string | undefined>>,
): Promise<string | undefined> {
  const fromEnvironment = env[openAiKeyVariable]?.trim();
  if (fromEnvironment) return fromEnvironment;
  const file = config.syntx.apiKeyFile;
  return file === undefined ? undefined : readSecretFile(file, 'syntx.apiKeyFile');
}

/** The original keeps the key among its settings, readable by others as it may be: it runs as it is, with a warning. */
async function readOldFile(file: string): Promise<string> {
  const key = await readLegacyKey(file);
  if (isServerKey(key)) return key.trim();
  throw new TowerError('API_KEY_MISSING', `${file} has no tower_api_key, or still the placeholder`, {
    next: `Set ${serverApiKeyVariable}, or put the key from the admin page there.`,
  });
}

async function readSecretFile(file: string, setting = 'server.apiKeyFile'): Promise<string> {
  let mode: number;
  let text: string;
  try {
    mode = (await stat(file)).mode;
    text = await readFile(file, 'utf8');
  } catch (error) {
    throw new TowerError('API_KEY_MISSING', `cannot read the key file ${file}`, {
      cause: error,
      next: `Check ${setting}.`,
    });
  }
  if ((mode & 0o077) !== 0) {
    throw new TowerError('API_KEY_FILE_UNSAFE', `${file} can be read by others (mode ${(mode & 0o777).toString(8)})`, {
      next: `chmod 600 ${file}`,
    });
  }
  if (text.trim() === '') {
    throw new TowerError('API_KEY_MISSING', `the key file ${file} is empty`, { next: 'Write the key into it.' });
  }
  return text.trim();
}
