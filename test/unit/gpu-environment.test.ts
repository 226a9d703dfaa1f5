import { expect, test } from 'vitest';

import { trainerEnvironment } from '../../src/gpu/trainer-environment.js';

test('only the allow-listed part of the environment reaches a trainer, and one GPU', () => {
  const own = {
    PATH: '/bin',
    HOME: '/home/t',
    LC_ALL: 'C.UTF-8',
    HF_HOME: '/models',
    https_proxy: 'http://proxy',
    CUDA_HOME: '/cuda',
    CUDA_VISIBLE_DEVICES: '0,1',
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
    https_proxy: 'http://proxy',
    CUDA_HOME: '/cuda',
    PYTHONUNBUFFERED: '1',
    CUDA_DEVICE_ORDER: 'PCI_BUS_ID',
    CUDA_VISIBLE_DEVICES: '1',
  });
});
