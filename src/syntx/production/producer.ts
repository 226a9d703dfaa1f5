import type { SyntxConfig } from '../../config/syntx-section.js';
import type { SyntxFiles } from '../open-syntx.js';

/** What a producer works with. */
export interface Producer {
  readonly files: SyntxFiles;
  readonly settings: Pick<SyntxConfig, 'generation' | 'learning' | 'timezone'>;
  /** Key of the endpoint that writes prompts; `undefined` when none is configured. */
  readonly readApiKey: () => Promise<string | undefined>;
  /** Folder of the runs' folders. */
  readonly runs: string;
  /** Names this Tower among those that serve the same queue. */
  readonly instance: string;
}
