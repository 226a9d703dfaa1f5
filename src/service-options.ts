import type { Log } from './log/logger.js';

/**
 * What a long-running service function takes beside its input. Services know nothing of Temporal: an activity passes its
 * cancellation signal, and its heartbeat as `onProgress`.
 */
export interface ServiceOptions<Progress = unknown> {
  readonly signal: AbortSignal;
  readonly onProgress?: (progress: Progress) => void;
  readonly log: Log;
}
