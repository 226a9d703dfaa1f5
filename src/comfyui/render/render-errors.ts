import { TowerError } from '../../errors.js';
import type { ExecutionError } from './outcome.js';

/** The image and the prompt that an error is about. */
export interface PromptName {
  readonly key: string;
  readonly promptId: string;
}

const nameOf = ({ key, promptId }: PromptName) => ({ key, promptId });

/** The graph fails while it runs; the same graph fails again. Not retryable. */
export function renderFailed(prompt: PromptName, error: ExecutionError): TowerError {
  return new TowerError(
    'RENDER_FAILED',
    `Image ${prompt.key}: node ${error.nodeId} (${error.nodeType}) failed: ${error.exception}: ${error.message}`,
    {
      details: { ...nameOf(prompt), ...error },
      next: "Correct the graph or the model file; ComfyUI's log has the traceback.",
    },
  );
}

export function renderOutOfMemory(prompt: PromptName, error: ExecutionError): TowerError {
  return new TowerError(
    'RENDER_OUT_OF_MEMORY',
    `Image ${prompt.key}: ComfyUI ran out of GPU memory in node ${error.nodeId} (${error.nodeType}), also after freeing it`,
    {
      retryable: true,
      retryAfterMs: 60_000,
      details: { ...nameOf(prompt), ...error },
      next: 'End what else uses the GPU, or render smaller images.',
    },
  );
}

export function renderInterrupted(prompt: PromptName, times: number): TowerError {
  return new TowerError(
    'RENDER_INTERRUPTED',
    `Image ${prompt.key}: somebody interrupted it ${times} times in ComfyUI`,
    {
      retryable: true,
      retryAfterMs: 60_000,
      details: nameOf(prompt),
      next: 'Find out who interrupts, or cancel the run with Tower.',
    },
  );
}

export function renderLost(prompt: PromptName, times: number, last: string): TowerError {
  return new TowerError('RENDER_LOST', `Image ${prompt.key}: lost ${times} times, last because ${last}`, {
    retryable: true,
    retryAfterMs: 60_000,
    details: nameOf(prompt),
    next: "Look at ComfyUI's log: it may crash on this very graph.",
  });
}

/** What ComfyUI says it made is not there, or is no image of this prompt. */
export function renderOutputBad(prompt: PromptName, detail: string): TowerError {
  return new TowerError('RENDER_OUTPUT_BAD', `Image ${prompt.key}: rendered, but ${detail}`, {
    details: nameOf(prompt),
    next: "Look at ComfyUI's output folder: its disk may be full, or another program may change it.",
  });
}

export function renderNotStarted(prompt: PromptName, waitedMs: number, ahead: readonly string[]): TowerError {
  return new TowerError(
    'RENDER_NOT_STARTED',
    `Image ${prompt.key} waited ${Math.round(waitedMs / 1000)} s in ComfyUI's queue behind ${ahead.length} prompts of others`,
    {
      retryable: true,
      retryAfterMs: 60_000,
      details: { ...nameOf(prompt), ahead },
      next: 'Wait for the other work in ComfyUI.',
    },
  );
}

/** It was interrupted when its limit had passed; ComfyUI itself is well. */
export function renderTooLong(prompt: PromptName, limitMs: number): TowerError {
  return new TowerError('RENDER_TOO_LONG', `Image ${prompt.key} was not rendered within ${limitMs / 1000} s`, {
    retryable: true,
    retryAfterMs: 60_000,
    details: nameOf(prompt),
    next: 'Raise the limit if the GPU is that slow.',
  });
}

/** ComfyUI answers, but its renderer stands still. */
export function comfyuiWedged(prompt: PromptName, sign: string): TowerError {
  return new TowerError('COMFYUI_WEDGED', `ComfyUI does not go on with image ${prompt.key}: ${sign}`, {
    retryable: true,
    retryAfterMs: 60_000,
    details: nameOf(prompt),
    next: 'Restart ComfyUI; the work goes on by itself.',
  });
}

export function comfyuiTooOld(version: string): TowerError {
  return new TowerError('COMFYUI_TOO_OLD', `ComfyUI ${version} ignores the prompt id that it is given`, {
    next: 'Update ComfyUI to 0.3.45 or newer: without ids nothing can be found again after a lost answer.',
  });
}
