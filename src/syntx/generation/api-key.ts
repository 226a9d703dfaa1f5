import { TowerError } from '../../errors.js';
import type { GenerationOptions } from './options.js';

type Endpoint = Pick<GenerationOptions, 'baseUrl'>;

/** Where the endpoint is, as configured, else as the environment says; `undefined`: OpenAI's own. */
export function baseUrlOf({ baseUrl }: Endpoint): string | undefined {
  const { OPENAI_BASE_URL: named = '' } = process.env;
  return baseUrl ?? (named.trim() === '' ? undefined : named.trim());
}

/** Makes sure that a call can be tried at all. @throws TowerError `LLM_KEY_MISSING` */
export function requireApiKey(options: Endpoint, apiKey: string | undefined): void {
  if (apiKey !== undefined || baseUrlOf(options) !== undefined) return;
  throw new TowerError('LLM_KEY_MISSING', 'the key of the endpoint that writes prompts is not set', {
    next: 'Set OPENAI_API_KEY, or the base URL of an endpoint of your own that wants no key.',
  });
}
