import { expect, test } from 'vitest';

import { allocatorEnvironment } from '../../src/gpu/allocator-environment.js';
import { trainerEnvironment } from '../../src/gpu/trainer-environment.js';
import { trainerCommand } from '../../src/kohya/trainer-command.js';
import { trainerProgram } from '../../src/qlora/trainer-program.js';

test('only the allow-listed part of the environment reaches a trainer, and one GPU', () => {
  const own = {
    PATH: '/bin',
    HOME: '/home/t',
    LC_ALL: 'C.UTF-8',
    HF_HOME: '/models',
    PYTORCH_CUDA_ALLOC_CONF: 'max_split_size_mb:64',
    XPYTORCH_ALLOC_CONF: 'canary',
    https_proxy: 'http://proxy',
    CUDA_HOME: '/cuda',
    CUDA_VISIBLE_DEVICES: '0,1',
    OMP_NUM_THREADS: '4',
    TOWER_SERVER_API_KEY: 'canary',
    TEMPORAL_API_KEY: 'canary',
    AWS_SECRET_ACCESS_KEY: 'canary',
    HOMEBREW_TOKEN: 'canary',
    XPATH: 'canary',
    LD_PRELOAD: 'canary',
  };
  const environment = trainerEnvironment(own, { PYTHONUNBUFFERED: '1', HF_HOME: '/other' }, 1);
  expect(environment).toEqual({
    PATH: '/bin',
    HOME: '/home/t',
    LC_ALL: 'C.UTF-8',
    HF_HOME: '/other',
    PYTORCH_CUDA_ALLOC_CONF: 'max_split_size_mb:64',
    https_proxy: 'http://proxy',
    CUDA_HOME: '/cuda',
    OMP_NUM_THREADS: '4',
    PYTHONUNBUFFERED: '1',
    CUDA_DEVICE_ORDER: 'PCI_BUS_ID',
    CUDA_VISIBLE_DEVICES: '1',
  });
  const launch = { config: 'c', dataset: 'd', resume: undefined, cuda: false };
  const visible = (hideGpus: boolean) => {
    const program = { argv: ['python3'] as const, workingDirectory: '/' };
    const { environment: explicit } = trainerCommand(program, { ...launch, hideGpus });
    return trainerEnvironment(own, explicit, 1)['CUDA_VISIBLE_DEVICES'];
  };
  expect([visible(true), visible(false)]).toEqual(['', '1']);
});

test('the allocator is told under both names that PyTorch has had for it, unless somebody has decided already', () => {
  const told = { PYTORCH_ALLOC_CONF: 'expandable_segments:True', PYTORCH_CUDA_ALLOC_CONF: 'expandable_segments:True' };
  expect(allocatorEnvironment({ PATH: '/bin' })).toEqual(told);
  expect(trainerProgram('python3', 'qlora').environment).toMatchObject(told);
  const kohya = trainerCommand(
    { argv: ['python3'], workingDirectory: '/' },
    { config: 'c', dataset: 'd', resume: undefined, cuda: true, hideGpus: false },
  );
  expect(kohya.environment).toMatchObject(told);
  for (const name of Object.keys(told)) expect(allocatorEnvironment({ [name]: 'backend:native' })).toEqual({});
});
