/** User and client that uploaded a batch, as far as its name says. */
export interface BatchSource {
  /** Rows are unique by this key and their uuid. */
  readonly key: string;
  readonly userId: string | null;
  readonly clientId: string | null;
}

/** File systems limit a name to 255 bytes; the raw file is kept under the batch's own name. */
const longestName = 255;

/**
 * Names that the real server can make hold letters and digits of any script, `-` and `_` only (contract signz-mind
 * 2.3); so none of them can leave a directory or change the meaning of an address.
 */
const safeName = /^[\p{L}\p{N}_-]+\.jsonl$/u;

/** `batch_user_{user id}_{client id}_{UTC YYYYMMDD_HHMMSS_ffffff}.jsonl` (contract signz-mind 2.3). */
const serverName = /^batch_user_(?<user>\d+)_(?<client>[\p{L}\p{N}_-]*)_\d{8}_\d{6}_\d{6}\.jsonl$/u;

/** Why a name from a listing cannot be used as a file name and in an address; `undefined` when it can. */
export function batchNameFault(name: string): string | undefined {
  if (Buffer.byteLength(name) > longestName) return `longer than ${longestName} bytes`;
  if (!safeName.test(name)) return 'expected letters, digits, - and _ and the suffix .jsonl';
  return undefined;
}

/** Names of another form share the source `unknown`; their uuids still tell rows apart. */
export function batchSource(name: string): BatchSource {
  const groups = serverName.exec(name)?.groups;
  if (groups === undefined) return { key: 'unknown', userId: null, clientId: null };
  const userId = groups['user'] ?? '';
  const clientId = groups['client'] ?? '';
  return { key: `${userId}/${clientId}`, userId, clientId };
}
