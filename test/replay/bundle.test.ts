import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { builtinModules } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { bundleWorkflowCode, DefaultLogger } from '@temporalio/worker';
import { expect, it } from 'vitest';

const limitBytes = 4 * 1024 * 1024;
const said: string[] = [];
const logger = new DefaultLogger('ERROR', ({ message }) => said.push(message));
const entry = fileURLToPath(new URL('../../src/workflows/index.ts', import.meta.url));

/** Names of Node's modules that the code asks for at run time. */
function builtinsIn(code: string): string[] {
  const asked = [...code.matchAll(/\brequire\(\\?["'](?:node:)?([\w/]+)\\?["']\)/g)].map(([, name = '']) => name);
  return asked.filter((name) => builtinModules.includes(name));
}

it('the workflow bundle is small and asks for nothing of Node', async () => {
  const { code } = await bundleWorkflowCode({ workflowsPath: entry, logger });
  expect(Buffer.byteLength(code)).toBeLessThan(limitBytes);
  const ownCode = code.replace(/\/\/# sourceMappingURL=.*/s, '');
  expect(ownCode).toContain('dailyCycle');
  expect(builtinsIn(ownCode)).toEqual([]);
});

it('a workflow that imports a module of Node is not bundled', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'tower-'));
  try {
    const workflowsPath = join(folder, 'workflow.js');
    await writeFile(workflowsPath, "export { readFileSync } from 'fs';\n");
    await expect(bundleWorkflowCode({ workflowsPath, logger })).rejects.toThrow('Webpack');
    expect(said.join('\n')).toMatch(/\bfs\b/);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});
