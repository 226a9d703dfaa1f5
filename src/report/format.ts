/** `2026-01-31 13:00:05 UTC`. */
export function timeText(time: string | null): string {
  return time === null ? '–' : `${time.slice(0, 10)} ${time.slice(11, 19)} UTC`;
}

/** Between two times: `42 s`, `3 min 20 s`, `2 h 5 min`. */
export function spanText(from: string | null, to: string | null): string {
  if (from === null || to === null) return '–';
  const seconds = Math.max(0, Math.round((Date.parse(to) - Date.parse(from)) / 1000));
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  return minutes < 60 ? `${minutes} min ${seconds % 60} s` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

export function bytesText(bytes: number | null): string {
  if (bytes === null) return '–';
  const units = ['bytes', 'KB', 'MB', 'GB'];
  const power = Math.min(units.length - 1, Math.floor(Math.log10(Math.max(1, bytes)) / 3));
  return `${(bytes / 1000 ** power).toFixed(power === 0 ? 0 : 1)} ${units[power]}`;
}

/** Thousands apart, as people read counts. */
export function countText(count: number): string {
  return count.toLocaleString('en');
}

export function lossText(loss: number | null | undefined): string {
  return loss === null || loss === undefined ? '–' : loss.toFixed(4);
}
