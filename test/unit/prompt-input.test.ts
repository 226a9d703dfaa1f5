import type * as Workflow from '@temporalio/workflow';
import { expect, it, vi } from 'vitest';

import { checkPromptInput } from '../../src/workflows/prompt-input.js';

// As in a run that begins now.
vi.mock('@temporalio/workflow', async (original) => ({ ...(await original<typeof Workflow>()), patched: () => true }));

const check = (wrapper: string) => () => {
  checkPromptInput({ kind: 'consume', wrapper }, { names: ['kind', 'wrapper'], required: ['wrapper'] });
};

it('a wrapper has one name, so that it is one consumer, whoever starts it', () => {
  for (const name of ['sigma', 'syntex_system', 'höhe-2']) expect(check(name)).not.toThrow();
  expect(check('syntex_wrapper_sigma')).toThrow(
    'wrapper: expected the name of a wrapper without `syntex_wrapper_`, such as sigma, found "syntex_wrapper_sigma"',
  );
  expect(check('sigma/2')).toThrow('wrapper: expected');
});
