import { Refusal } from './answers.js';

/**
 * `batch_user_{user id}_{safe client id}_{UTC YYYYMMDD_HHMMSS_ffffff}.jsonl` (contract signz-mind 2.3). Letters and digits of
 * any script survive in the client id, everything else but `-` and `_` becomes `_`.
 */
export function batchFileName(userId: number, clientId: string, microseconds: number): string {
  const safe = clientId.replace(/[^\p{L}\p{N}_-]/gu, '_');
  const moment = new Date(Math.floor(microseconds / 1000)).toISOString();
  const date = moment.slice(0, 10).replaceAll('-', '');
  const time = moment.slice(11, 19).replaceAll(':', '');
  const fraction = String(microseconds % 1_000_000).padStart(6, '0');
  return `batch_user_${userId}_${safe}_${date}_${time}_${fraction}.jsonl`;
}

/** The name in the last part of an address. @throws Refusal 400 for a name that could leave the directory */
export function nameInPath(part: string): string {
  let name: string;
  try {
    name = decodeURIComponent(part);
  } catch {
    throw new Refusal(400, 'Ungültiger Dateiname (simulated)');
  }
  if (name === '' || /[/\\\0]/.test(name) || name.includes('..')) {
    throw new Refusal(400, 'Ungültiger Dateiname (simulated)');
  }
  return name;
}
