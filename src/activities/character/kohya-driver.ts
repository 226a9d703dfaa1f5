import type { EpochCandidate } from '../../character/choose-epoch.js';
import type { TrainerDriver } from '../../training/trainer-driver.js';
import type { WorkerEnvironment } from '../worker-environment.js';

/** The driver of a character run's training, as its job and this host's configuration want it. */
export declare function kohyaDriver(
  environment: Pick<WorkerEnvironment, 'config' | 'paths' | 'log'>,
  run: string,
): Promise<TrainerDriver>;

export declare function readEpochs(runDirectory: string): Promise<EpochCandidate[]>;
