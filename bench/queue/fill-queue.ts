import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const styles = ['akademisch', 'technisch', 'casual', 'kreativ'];
const categories = ['bildung', 'harmlos', 'kritisch', 'technologie', 'gesellschaft', 'grenzwertig', 'kontrovers'];
const stages = ['incoming', 'processing', 'processed', 'error', 'archive', '.tmp', '.tower'];
const answer = 'Die Driftkörperanalyse zeigt, wie sich die Kalibrierung verschiebt. '.repeat(40);

/** An empty queue directory, as the original's first run leaves it. */
export function makeQueue(root: string): void {
  for (const stage of stages) mkdirSync(join(root, stage), { recursive: true });
}

/** One waiting job; a higher number is newer. */
export function addWaiting(root: string, number: number): void {
  const { baseName, metadata } = jobOf(number);
  writeFileSync(join(root, 'incoming', `${baseName}.json`), JSON.stringify(metadata, null, 2));
  writeFileSync(join(root, 'incoming', `${baseName}.txt`), `Schreibe über Thema ${number}.`);
}

/** One scored job that has taught. */
export function addArchived(root: string, number: number): void {
  const { baseName, metadata } = jobOf(number);
  const total = 40 + (number % 61);
  const score = { total_score: total, field_completeness: total, structure_adherence: 100, detail_breakdown: {} };
  const scored = {
    ...metadata,
    syntex_result: { quality_score: score, duration_ms: 1000, wrapper: 'sigma', response_text: answer },
    ...{ processed_at: '2026-01-05T05:00:00.000000', status: 'success' },
  };
  writeFileSync(join(root, 'archive', `${baseName}.json`), JSON.stringify(scored, null, 2));
}

function jobOf(number: number): { baseName: string; metadata: Record<string, unknown> } {
  const style = styles[number % styles.length] ?? '';
  const category = categories[number % categories.length] ?? '';
  const clock = String(number).padStart(12, '0');
  const baseName = `20260105_${clock.slice(0, 6)}_${clock.slice(6)}__topic_${category}__style_${style}`;
  return {
    baseName,
    metadata: {
      ...{ topic: category, style, language: 'de', category, model: 'gpt-4o', duration_ms: 5000 },
      ...{ created_at: '2026-01-05T04:00:10.464884', filename: `${baseName}.txt` },
    },
  };
}
