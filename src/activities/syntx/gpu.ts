import { checked } from '../inputs.js';
import { endingUnexpected } from '../unexpected.js';
import type { WorkerEnvironment } from '../worker-environment.js';
import { calibratePrompt } from './consume.js';
import { calibrationSchema } from './inputs.js';
import type { SyntxGpuActivities } from './interfaces.js';
import { QueueAccess } from './queue-access.js';

/** Activities of the prompt evolution on the `gpu-<host>-<index>` queue. */
export function createSyntxGpuActivities(environment: WorkerEnvironment): SyntxGpuActivities {
  const access = new QueueAccess(environment);
  return endingUnexpected<SyntxGpuActivities>({
    calibratePrompt: async (input) => calibratePrompt(environment, access, checked(calibrationSchema, input)),
  });
}
