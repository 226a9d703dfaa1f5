import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { pipeline } from 'node:stream/promises';
import { setTimeout as pause } from 'node:timers/promises';

import type { Answer } from './answers.js';
import type { RequestFault } from './faults.js';
import { bytesOf } from './file-routes.js';

interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
}

/** Sends an answer, or what a fault makes of it. Never rejects: a receiver that goes away is its own matter. */
export async function sendAnswer(
  { request, response }: Exchange,
  answer: Answer,
  { fault, ended }: { readonly fault: RequestFault | undefined; readonly ended: (promptId: string) => Promise<void> },
): Promise<void> {
  response.setHeader('X-Simulated', 'true');
  response.setHeader('Server', 'ComfyUI (simulated)');
  try {
    switch (fault?.kind) {
      case undefined:
      case 'status':
      case 'replace':
        await sendPlain({ request, response }, answer);
        return;
      case 'reset':
        request.socket.destroy();
        return;
      case 'silence':
        return;
      case 'short-body': {
        const body = await bytesOf(answer);
        response.writeHead(answer.status, { ...headersOf(answer), 'content-length': body.length });
        response.write(body.subarray(0, fault.bytes), () => request.socket.destroy());
        return;
      }
      case 'slow':
        await pause(fault.delayMs, undefined, { ref: false });
        await sendPlain({ request, response }, answer);
        return;
      case 'answer-after-end':
        if (answer.promptId !== undefined) await ended(answer.promptId);
        await sendPlain({ request, response }, answer);
    }
  } catch {
    response.destroy();
  }
}

async function sendPlain({ request, response }: Exchange, answer: Answer): Promise<void> {
  if (answer.file !== undefined) {
    await sendFile({ request, response }, { ...answer, file: answer.file });
    return;
  }
  const body = await bytesOf(answer);
  response.writeHead(answer.status, { ...headersOf(answer), 'content-length': body.length });
  response.end(body);
}

/** A whole file, or the range that was asked for. */
async function sendFile({ request, response }: Exchange, answer: Answer & { readonly file: string }): Promise<void> {
  const { size } = await stat(answer.file);
  const range = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '');
  const start = Number(range?.[1] ?? 0);
  const end = Math.min(size - 1, range?.[2] === undefined || range[2] === '' ? size - 1 : Number(range[2]));
  if (range !== null && start > end) {
    response.writeHead(416, { 'content-range': `bytes */${size}` }).end();
    return;
  }
  response.writeHead(range === null ? answer.status : 206, {
    ...headersOf(answer),
    'content-length': end - start + 1,
    ...(range !== null && { 'content-range': `bytes ${start}-${end}/${size}` }),
  });
  if (size === 0) response.end();
  else await pipeline(createReadStream(answer.file, { start, end }), response);
}

function headersOf(answer: Answer): Record<string, string> {
  const type = answer.body?.type ?? (answer.json === undefined ? undefined : 'application/json; charset=utf-8');
  return { ...(type !== undefined && { 'content-type': type }), ...answer.headers };
}
