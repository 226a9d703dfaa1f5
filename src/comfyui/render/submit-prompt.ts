import { TowerError } from '../../errors.js';
import { GraphRejectedError } from '../comfyui-errors.js';
import { lookUp } from './look-up.js';
import { markKey, type PromptMark } from './provenance.js';
import type { RenderContext } from './render-context.js';
import { comfyuiTooOld } from './render-errors.js';
import type { TrackedPrompt } from './tracked-prompt.js';
import { clearPrompts } from './withdraw.js';

/**
 * Submits a prompt once. When the answer is lost, what became of it is looked up, because ComfyUI would run it twice
 * (contracts/comfyui.md section 2.5).
 *
 * @returns why ComfyUI does not have it; `undefined`: it has.
 * @throws GraphRejectedError; TowerError `COMFYUI_TOO_OLD`, or of the connection when ComfyUI stays away.
 */
export async function submitPrompt(prompt: TrackedPrompt, context: RenderContext): Promise<string | undefined> {
  const { client, server, log, patience, signal, onRecovery } = context;
  const { promptId, key, graph } = prompt;
  const mark: PromptMark = { run: context.runKey, key, prompt_id: promptId };
  prompt.submittedAt = performance.now();
  try {
    const submission = { promptId, graph, clientId: prompt.clientId, pngInfo: { [markKey]: mark } };
    const taken = await client.submit(submission, { signal: context.submitSignal });
    if (taken.promptId !== promptId) {
      await clearPrompts(client, [taken.promptId], { server, log });
      throw comfyuiTooOld(server.version);
    }
    prompt.accepted = true;
    return undefined;
  } catch (error) {
    if (!isDoubtful(error)) {
      const isPartlyTaken = error instanceof GraphRejectedError && error.rejection.error === undefined;
      if (isPartlyTaken) await clearPrompts(client, [promptId], { server, log });
      throw error;
    }
    const { state } = await patience.with(() => lookUp(client, promptId, signal));
    prompt.accepted = state !== 'unknown';
    onRecovery(
      'answer-lost',
      prompt,
      `${prompt.accepted ? 'it had been taken' : 'it had not been taken; submitted again'} (${error.message})`,
    );
    return prompt.accepted ? undefined : error.message;
  }
}

/** Whether ComfyUI may have the prompt all the same. */
function isDoubtful(error: unknown): error is TowerError {
  return error instanceof TowerError && (error.retryable || error.code === 'COMFYUI_ANSWER_INVALID');
}
