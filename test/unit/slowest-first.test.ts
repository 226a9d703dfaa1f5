import { existsSync } from 'node:fs';
import { join } from 'node:path';

import { expect, it } from 'vitest';

import { packageRoot } from '../../src/files/package-root.js';
import { slowFiles } from '../support/slowest-first.js';

it('the files that are begun first are there', () => {
  expect(slowFiles.filter((file) => !existsSync(join(packageRoot, file)))).toEqual([]);
});
