import { join } from 'node:path';

import { stringify } from 'smol-toml';

/** Configuration of the demo: a tiny model that trains in a minute on a CPU, heartbeats every second. */
export function demoConfig({ home, simulate }: { readonly home: string; readonly simulate: boolean }): string {
  return stringify({
    host: 'demo',
    server: { deliverSimulated: true },
    train: {
      trainer: simulate ? 'simulated' : 'qlora',
      device: 'cpu',
      simulatedSecondsPerStep: 0.03,
      minimumFreeGigabytes: 0,
      hyperparameters: {
        baseModel: tinyModelDirectory(home),
        epochs: 30,
        batchSize: 4,
        gradientAccumulation: 1,
        maxLength: 128,
        learningRate: 2e-3,
        gradientCheckpointing: false,
        checkpointEverySteps: 50,
        checkpointEveryMinutes: null,
      },
    },
    gpu: { devices: [0], nvidiaSmi: 'none', lockDirectory: join(home, 'gpu'), stopGraceSeconds: 5 },
    worker: { heartbeatSeconds: 1 },
    comfyui: { directory: comfyuiDirectory(home) },
    syntx: { queue: join(home, 'prompts', 'queue'), createQueue: true, consume: { parallel: 4 } },
  });
}

export function comfyuiDirectory(home: string): string {
  return join(home, 'comfyui');
}

export function tinyModelDirectory(home: string): string {
  return join(home, 'models', 'tiny-llama');
}
