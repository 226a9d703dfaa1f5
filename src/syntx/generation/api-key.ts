import { TowerError } from '../../errors.js';
import type { GenerationOptions } from './options.js';

/** Makes sure that a call can be tried at all. @throws TowerError `LLM_KEY_MISSING` */
export function requireApiKey(options: Pick<GenerationOptions, 'baseUrl'>, apiKey: string | undefined): void {
  if (apiKey !== undefined || options.baseUrl !== undefined) return;
  throw new TowerError('LLM_KEY_MISSING', 'the key of the endpoint that writes prompts is not set', {
    next: 'Set OPENAI_API_KEY, or the base URL of an endpoint of your own that wants no key.',
  });
}
