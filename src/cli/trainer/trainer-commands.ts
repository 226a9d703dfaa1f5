import { cacheDirectory } from '../../config/locations.js';
import { listDevices } from '../../gpu/devices.js';
import { createLog } from '../../log/create-log.js';
import { ensureTrainerEnvironment, findTrainerPython, type TrainerDevice } from '../../toolchain/python-environment.js';
import type { CommandContext } from '../command-context.js';
import { interruptible } from '../interruption.js';
import { createStatusLine } from '../status/status-line.js';

type AskedDevice = TrainerDevice | 'auto';

export async function installTrainer(asked: AskedDevice, context: CommandContext): Promise<void> {
  const { output, config, paths } = context;
  const device = await deviceFor(asked, context);
  const log = createLog({ file: paths.logFile, level: config.log.level, role: 'cli' });
  const progress = await createStatusLine(output);
  try {
    const { python, created, versions } = await interruptible((signal) =>
      ensureTrainerEnvironment(
        { device, cacheDirectory: cacheDirectory(process.env) },
        { signal, log, onProgress: ({ phase, message }) => progress.show(phase, message) },
      ),
    );
    progress.close();
    const how = created ? 'built and proved by a training step' : 'was complete already';
    const torch = versions['torch'] === undefined ? '' : `, torch ${versions['torch']}`;
    output.result(
      { device, python, created, versions },
      `The trainer environment for ${device} ${how}${torch}.\n${python}`,
    );
  } finally {
    progress.close();
  }
}

export async function printTrainerPath(asked: AskedDevice, { config, output }: CommandContext): Promise<void> {
  const device = asked === 'auto' ? config.train.device : asked;
  const configured = config.train.python;
  const python = configured ?? (await findTrainerPython({ device, cacheDirectory: cacheDirectory(process.env) }));
  output.result({ python, origin: configured === undefined ? 'installed' : 'train.python' }, python);
}

async function deviceFor(asked: AskedDevice, { config }: CommandContext): Promise<TrainerDevice> {
  const wanted = asked === 'auto' ? config.train.device : asked;
  if (wanted !== 'auto') return wanted;
  const devices = await listDevices(config.gpu.nvidiaSmi);
  return devices.some(({ kind }) => kind === 'cuda') ? 'cuda' : 'cpu';
}
