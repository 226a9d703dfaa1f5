import { realpath } from 'node:fs/promises';
import { join, resolve } from 'node:path';

import { pythonOf } from '../../activities/character/kohya-driver.js';
import { undefinedIfAbsent } from '../../files/absent.js';
import { packageRoot } from '../../files/package-root.js';
import { probeInstallation } from '../../kohya/installation.js';
import type { AcceptanceOptions } from './options.js';

/** sd-scripts to be proven with; `undefined`: Tower's stand-in, for a look at the acceptance run itself. */
export type SdScriptsFolder = string | undefined;

/** @throws TowerError `SD_SCRIPTS_NOT_FOUND`, `SD_SCRIPTS_TOO_OLD`, `KOHYA_PYTHON_NOT_FOUND` */
export async function findSdScripts({ sdScripts, python }: AcceptanceOptions): Promise<SdScriptsFolder> {
  const folder = resolve(sdScripts);
  const standIn = join(packageRoot, 'dist', 'sims', 'sd-scripts');
  if ((await realpath(folder).catch(undefinedIfAbsent)) === (await realpath(standIn))) return undefined;
  await probeInstallation({ folder, python: await pythonOf(folder, python) });
  return folder;
}
