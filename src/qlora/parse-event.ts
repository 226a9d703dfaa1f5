import { trainerEventSchema, type TrainerEvent } from '../training/trainer-events.js';

/** The event in a line on stdout. A program that was killed may leave a cut line, so what is no event is passed over. */
export function parseEvent(line: string, stream: 'stdout' | 'stderr'): TrainerEvent[] {
  if (stream !== 'stdout' || !line.startsWith('{')) return [];
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return [];
  }
  const { data } = trainerEventSchema.safeParse(value);
  return data === undefined ? [] : [data];
}
