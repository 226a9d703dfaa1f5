import { TowerError } from '../../errors.js';
import { sha256OfFile } from '../../files/sha256.js';
import type { ServiceOptions } from '../../service-options.js';
import type { Ledger } from '../ledger/ledger.js';
import type { SignzMindClient } from '../server/signz-mind-client.js';
import type { UploadProgress } from '../server/upload-model.js';

export interface UploadInput {
  readonly client: SignzMindClient;
  readonly ledger: Ledger;
  readonly version: string;
  /** Path of the package. */
  readonly file: string;
  /** UTC date of the run's logical time, `YYYY-MM-DD`. */
  readonly trainingDate: string;
}

export interface UploadRecord {
  readonly version: string;
  readonly bytes: number;
  /** `false`: the server already had this very package. */
  readonly sent: boolean;
  readonly evidence: string;
}

/**
 * Uploads the package of a version that `recordPackage` has noted, once in effect, and notes the result: the batches of the
 * version are delivered then. The notes carry the hash, so that a later look can tell this package from another.
 *
 * @throws TowerError `PACKAGE_CHANGED` when the file is not the package that was noted; or of the connection
 */
export async function uploadPackage(
  { client, ledger, version, file, trainingDate }: UploadInput,
  { signal, onProgress, log }: ServiceOptions<UploadProgress>,
): Promise<UploadRecord> {
  const delivery = ledger.deliveries.get(version);
  if (delivery === undefined) {
    throw new TowerError('PACKAGE_MISSING', `Version ${version} was not packaged`, { next: 'Package it first.' });
  }
  const { bytes, packageSha256, state } = delivery;
  if (state === 'uploaded' || state === 'marked') {
    return { version, bytes, sent: false, evidence: 'uploaded before' };
  }
  if ((await sha256OfFile(file, signal)) !== packageSha256) {
    throw new TowerError('PACKAGE_CHANGED', `${file} is not the package of ${version} that was noted`, {
      next: 'Package the version again.',
    });
  }
  await ledger.deliveries.recordAttempt(version);
  const simulated = ledger.runs.byVersion(version)?.simulated === true ? ' simulated;' : '';
  const notes = `Trained and uploaded by Tower;${simulated} ${version}; sha256 ${packageSha256}`;
  try {
    const { outcome, evidence } = await client.uploadModel(
      { version, trainingDate, notes, file },
      { signal, onProgress },
    );
    await ledger.deliveries.recordUpload(version, evidence);
    log.info({ version, bytes, outcome, evidence }, 'adapter uploaded');
    return { version, bytes, sent: outcome === 'uploaded', evidence };
  } catch (error) {
    if (error instanceof TowerError) await ledger.deliveries.recordFailure(version, error.message);
    throw error;
  }
}
