import { stat } from 'node:fs/promises';
import { join } from 'node:path';

import { pino } from 'pino';

import { sha256OfFile } from '../../src/files/sha256.js';
import { uploadPackage } from '../../src/signz-mind/delivery/upload-package.js';
import { Ledger } from '../../src/signz-mind/ledger/ledger.js';
import { SignzMindClient } from '../../src/signz-mind/server/signz-mind-client.js';
import type { Side } from '../side.js';

const version = 'adapter_ft_20250701_130000';

/** The upload step of a delivery, as it is: the package is checked, the server is looked at, the ledger is written. */
export const towerUpload: Side = {
  async prepare({ directory, file = '', address = '', apiKey = '' }) {
    const ledger = Ledger.open(join(directory, 'ledger.db'));
    const run = { run: version, version, cycle: '2025-07-01T13:00:00.000Z', fingerprint: 'bench', simulated: true };
    await ledger.runs.plan(
      { ...run, trainingSetSha256: 'bench', trainSamples: 1, heldOutSamples: 1 },
      new Map<number, number>(),
    );
    const [{ size: bytes }, sha256] = await Promise.all([stat(file), sha256OfFile(file)]);
    await ledger.deliveries.recordPackage(version, { bytes, sha256 });
    const client = new SignzMindClient({ baseUrl: address, apiKey });
    return async () => {
      const { sent } = await uploadPackage(
        { client, ledger, version, file, trainingDate: '2025-07-01' },
        { signal: new AbortController().signal, log: pino({ level: 'silent' }) },
      );
      if (!sent) throw new Error('the server had the package already');
      ledger.close();
    };
  },
};
