import { TowerError } from '../errors.js';
import type { NodeErrors } from './answers.js';
import type { Graph } from './graph.js';
import { nodeName } from './graph.js';

const reachNext = 'Check the address of ComfyUI and that it runs; the work goes on by itself when it answers.';

/** ComfyUI could not be reached, or the connection broke in the middle of an answer. Retryable. */
export class ComfyuiUnreachableError extends TowerError {
  constructor(request: string, cause: unknown) {
    const { code, message } = cause as { code?: string; message?: string };
    super('COMFYUI_UNREACHABLE', `${request}: the connection failed: ${[code, message].filter(Boolean).join(' ')}`, {
      retryable: true,
      retryAfterMs: 15_000,
      next: reachNext,
      details: { code: code ?? null },
    });
  }
}

/** Nothing moved for the time limit, or the whole took far too long: ComfyUI is wedged or very busy. Retryable. */
export class ComfyuiTimeoutError extends TowerError {
  constructor(request: string, timeoutMs: number, what: 'silence' | 'whole answer' = 'silence') {
    const seconds = timeoutMs / 1000;
    const sign = what === 'silence' ? `no answer and no byte for ${seconds} s` : 'the answer trickles and does not end';
    super('COMFYUI_TIMEOUT', `${request}: ${sign}`, {
      retryable: true,
      retryAfterMs: 15_000,
      next: 'Look at ComfyUI; if it answers nobody, restart it. The work goes on by itself.',
    });
  }
}

/** ComfyUI answered, but not with what the contract says. Not retryable. */
export class ComfyuiAnswerError extends TowerError {
  constructor(request: string, expectation: string, found: string) {
    super('COMFYUI_ANSWER_INVALID', `${request}: expected ${expectation}, found ${found}`, {
      next: 'Check that the address is that of ComfyUI itself, not of a proxy or login page.',
    });
  }
}

/** More than any answer to this request has, but for graphs of others that hold whole pictures. Not retryable. */
export class ComfyuiAnswerTooLargeError extends ComfyuiAnswerError {
  constructor(request: string, limitBytes: number) {
    super(request, `an answer of at most ${limitBytes / 1024 ** 2} MiB`, 'a larger one');
  }
}

/** What a proxy answers while the server behind it is away (520 to 530: Cloudflare's); ComfyUI itself says none of them. */
const gatewayStatuses = new Set([502, 503, 504, 520, 521, 522, 523, 524, 525, 526, 527, 530]);

/** An answer with an error status. 5xx is retryable. */
export function errorOfStatus(request: string, status: number, body: string): TowerError {
  const said = body.trim() === '' ? '' : `: ${body.trim().slice(0, 300)}`;
  const details = { status };
  if (gatewayStatuses.has(status)) {
    return new TowerError('COMFYUI_UNREACHABLE', `${request}: a proxy reaches no ComfyUI (status ${status})${said}`, {
      retryable: true,
      retryAfterMs: 15_000,
      details,
      next: reachNext,
    });
  }
  if (status >= 500) {
    return new TowerError('COMFYUI_FAILED', `${request}: ComfyUI failed with status ${status}${said}`, {
      retryable: true,
      retryAfterMs: 15_000,
      details,
      next: "Look at ComfyUI's log.",
    });
  }
  if (status === 404) return new TowerError('COMFYUI_NOT_FOUND', `${request}: no such thing (404)${said}`, { details });
  return new TowerError('COMFYUI_REFUSED', `${request}: ComfyUI refused with status ${status}${said}`, {
    details,
    ...(status < 400 && { next: 'It points elsewhere: check the address, and whether a proxy asks for a login.' }),
  });
}

/** What ComfyUI found wrong with a graph; `error` is absent when it took the rest of the graph (section 2.2). */
export interface GraphRejection {
  readonly error: { readonly type: string; readonly message: string; readonly details: string } | undefined;
  readonly nodeErrors: NodeErrors;
}

/** ComfyUI will not run the graph, or not all of it. Says for every node what is wrong. Not retryable. */
export class GraphRejectedError extends TowerError {
  readonly rejection: GraphRejection;

  constructor(graph: Graph, rejection: GraphRejection) {
    const reasons = describeNodeErrors(graph, rejection.nodeErrors);
    const { error } = rejection;
    const lead =
      error === undefined
        ? 'ComfyUI would run only a part of the graph'
        : `ComfyUI rejected the graph: ${[error.message, error.details].filter(Boolean).join(': ')}`;
    super('GRAPH_REJECTED', [lead, ...reasons].join('; '), {
      next: 'Correct the graph, or install what is missing in ComfyUI.',
      details: { errorType: error?.type ?? null, nodeErrors: reasons },
    });
    this.rejection = rejection;
  }
}

/** One line for each error of each node, in a steady order. */
function describeNodeErrors(graph: Graph, errors: NodeErrors): string[] {
  return Object.entries(errors)
    .flatMap(([id, node]) =>
      node.errors.map(({ message, details, type }) => {
        const what = [message || type, details.length > 300 ? `${details.slice(0, 300)}…` : details];
        return `node ${nodeName(id, graph[id])}: ${what.filter(Boolean).join(': ')}`;
      }),
    )
    .sort();
}
