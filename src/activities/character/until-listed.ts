import { setTimeout as delay } from 'node:timers/promises';

import type { ComfyuiClient } from '../../comfyui/client.js';
import { Patience, type Absence } from '../../comfyui/render/patience.js';
import { TowerError } from '../../errors.js';
import type { ServiceOptions } from '../../service-options.js';

const pollMs = 500;
const listLimitMs = 60_000;

export interface ListedLora {
  readonly client: ComfyuiClient;
  readonly loraName: string;
  /** How long ComfyUI may be away, in milliseconds: at a stretch, and since its first answer all in all. */
  readonly awayMs: number;
  /** What was waited of it before. */
  readonly absence?: Absence;
  /** How long it may answer without listing the LoRA, in milliseconds. */
  readonly limitMs?: number;
}

/**
 * Waits until ComfyUI lists a LoRA: it reads its folders anew when they change, and a shared file system may show a file late. While
 * ComfyUI is away, the limit does not run; one that goes and comes back again and again uses up `awayMs`, and then it runs on.
 *
 * @throws TowerError `LORA_NOT_LISTED`; what ComfyUI's client throws when it is away for too long.
 */
export async function untilListed(
  { client, loraName, limitMs = listLimitMs, ...patient }: ListedLora,
  { signal, onProgress, log }: ServiceOptions<{ readonly waitsFor?: TowerError }>,
): Promise<void> {
  let firstAnswer: number | undefined;
  let goneMs = 0;
  let wasGone: boolean;
  const onRecovery = (recovery: string, detail: string) => {
    log.warn({ recovery, detail }, 'ComfyUI answers again');
    wasGone = true;
  };
  const onAway = (waitsFor: TowerError) => onProgress?.({ waitsFor });
  const patience = new Patience({ ...patient, signal, log, onRecovery, onAway });
  for (;;) {
    onProgress?.({});
    const askedAt = performance.now();
    wasGone = false;
    const listed = await patience.with(() => client.models('loras', { signal }));
    if (listed.includes(loraName)) return;
    const now = performance.now();
    if (firstAnswer !== undefined && wasGone) goneMs += now - askedAt;
    firstAnswer ??= now;
    if (now - firstAnswer - Math.min(goneMs, patient.awayMs) > limitMs) {
      throw new TowerError('LORA_NOT_LISTED', `ComfyUI at ${client.baseUrl} does not list ${loraName}`, {
        retryable: true,
        retryAfterMs: 10_000,
        next: 'Check that comfyui.loraDirectory is the folder whose LoRAs this ComfyUI lists.',
        details: { loraName, listed: listed.length },
      });
    }
    await delay(pollMs, undefined, { signal });
  }
}
