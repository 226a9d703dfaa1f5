import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, expect, it } from 'vitest';

import { configSchema, type Config } from '../../src/config/schema.js';
import { readServerApiKey } from '../../src/config/secrets.js';

let folder: string;
let file: string;
let config: Config;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tower-'));
  file = join(folder, 'key');
  await writeFile(file, ' from-file \n', { mode: 0o600 });
  config = configSchema.parse({ server: { apiKeyFile: file } });
});

afterEach(async () => {
  await rm(folder, { recursive: true, force: true });
});

it('takes the key from the environment first, then from the file', async () => {
  expect(await readServerApiKey(config, { TOWER_SERVER_API_KEY: ' from-environment ' })).toBe('from-environment');
  expect(await readServerApiKey(config, { TOWER_SERVER_API_KEY: ' ' })).toBe('from-file');
});

it.each([0o640, 0o604, 0o644])(
  'refuses a file that others can read (mode %o), and says how to close it',
  async (mode) => {
    await chmod(file, mode);
    await expect(readServerApiKey(config, {})).rejects.toMatchObject({
      code: 'API_KEY_FILE_UNSAFE',
      next: `chmod 600 ${file}`,
    });
  },
);

it('tells a key that is not set from a file that is missing or empty', async () => {
  await expect(readServerApiKey(configSchema.parse({}), {})).rejects.toMatchObject({
    code: 'API_KEY_MISSING',
    next: expect.stringContaining('TOWER_SERVER_API_KEY') as string,
  });
  await writeFile(file, '\n');
  await expect(readServerApiKey(config, {})).rejects.toThrow('is empty');
  await rm(file);
  await expect(readServerApiKey(config, {})).rejects.toThrow(`cannot read the key file ${file}`);
});
