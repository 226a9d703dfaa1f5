import { readdirSync } from 'node:fs';
import { join } from 'node:path';

import { ESLint } from 'eslint';
import { beforeAll, expect, it } from 'vitest';

import { packageRoot } from '../../src/files/package-root.js';

const sources = join(packageRoot, 'src');
/** These sit on top of the services, each with rules of its own. */
const upper = ['workflows', 'activities', 'cli'];
const services = readdirSync(sources, { withFileTypes: true })
  .filter((entry) => entry.isDirectory() && !upper.includes(entry.name))
  .map(({ name }) => name);

let eslint: ESLint;

beforeAll(() => {
  eslint = new ESLint({
    cwd: packageRoot,
    // Types are not needed for this, and looking them up takes long.
    overrideConfig: { languageOptions: { parserOptions: { projectService: false } } },
    ruleFilter: ({ ruleId }) => ['import-x/no-restricted-paths', 'no-restricted-imports'].includes(ruleId),
  });
});

/** What the linter says of a file of this folder with these imports. */
async function faultsOf(folder: string, ...imported: string[]): Promise<string[]> {
  const filePath = join(sources, folder, 'some-file.ts');
  const code = imported.map((name) => `import '${name}';\n`).join('');
  const [result] = await eslint.lintText(code, { filePath });
  return result?.messages.map(({ message }) => message) ?? [];
}

it.each(services)('src/%s may import neither workflows, activities, command line nor worker', async (service) => {
  const above = ['../workflows/names.js', '../activities/interfaces.js', '../cli/output.js', '../worker.js'];
  expect(await faultsOf(service, ...above)).toHaveLength(above.length);
  expect(await faultsOf(service, '../errors.js', '../files/durable-write.js')).toEqual([]);
});

it('workflow code imports names and interfaces of activities, nothing that works outside the sandbox', async () => {
  const forbidden = ['node:fs', 'fs', '../gpu/launcher.js', '../temporal/connection.js', '../cli/output.js'];
  expect(await faultsOf('workflows', ...forbidden)).toHaveLength(forbidden.length);
  const allowed = ['../activities/interfaces.js', '../temporal/task-queues.js', '@temporalio/workflow'];
  expect(await faultsOf('workflows', ...allowed)).toEqual([]);
});

it('nothing of activities imports the command line or the worker', async () => {
  expect(await faultsOf('activities', '../cli/output.js', '../worker.js')).toHaveLength(2);
});
