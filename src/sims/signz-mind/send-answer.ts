import { readFile } from 'node:fs/promises';
import { createReadStream } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { setTimeout as pause } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';

import type { Answer } from './answers.js';
import type { Fault } from './faults.js';

/** Sends an answer, or what a fault makes of it. Never rejects: a receiver that goes away is its own matter. */
export async function sendAnswer(
  request: IncomingMessage,
  response: ServerResponse,
  answer: Answer,
  fault: Fault | undefined,
): Promise<void> {
  response.setHeader('X-Simulated', 'true');
  response.setHeader('Server', 'signz-mind (simulated)');
  try {
    if (fault === undefined) await sendPlain(response, answer);
    else await sendFaulty({ request, response, answer }, fault);
  } catch {
    response.destroy();
  }
}

async function sendPlain(response: ServerResponse, answer: Answer): Promise<void> {
  if (answer.file === undefined) {
    const body = answer.json === undefined ? '' : JSON.stringify(answer.json);
    send(response, { ...answer, body, type: 'application/json' });
    return;
  }
  response.writeHead(answer.status, { 'content-length': answer.bytes, ...answer.headers });
  await pipeline(createReadStream(answer.file), response);
}

interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly answer: Answer;
}

async function sendFaulty({ request, response, answer }: Exchange, fault: Fault): Promise<void> {
  switch (fault.kind) {
    case 'status':
      send(response, {
        status: fault.status,
        headers: fault.headers,
        body: '{"detail":"simulated fault"}',
        type: 'application/json',
      });
      return;
    case 'replace':
    case 'text-answer':
      send(response, { status: 200, body: fault.body, type: fault.contentType });
      return;
    case 'empty-answer':
      response.writeHead(204).end();
      return;
    case 'reset':
      request.socket.destroy();
      return;
    case 'silence':
      return;
    case 'gzip':
      send(response, {
        status: answer.status,
        headers: { ...answer.headers, 'content-encoding': 'gzip' },
        body: gzipSync(await wholeBody(answer)),
        type: 'application/json',
      });
      return;
    case 'short-body': {
      const body = await wholeBody(answer);
      response.writeHead(answer.status, { 'content-length': body.length, ...answer.headers });
      response.write(body.subarray(0, fault.bytes), () => request.socket.destroy());
      return;
    }
    case 'slow': {
      const body = await wholeBody(answer);
      response.writeHead(answer.status, { 'content-length': body.length, ...answer.headers });
      await pipeline(Readable.from(slowly(body, fault)), response);
      return;
    }
    case 'endless-body':
      response.writeHead(fault.status ?? answer.status, answer.headers);
      await pipeline(Readable.from(endlessLines()), response);
      return;
    case 'wrong-length': {
      const body = await wholeBody(answer);
      const length = Math.max(0, body.length + fault.by);
      response.writeHead(answer.status, { 'content-length': length, ...answer.headers });
      response.write(body.subarray(0, length));
      return;
    }
  }
}

async function* slowly(body: Buffer, { bytes, pauseMs }: { readonly bytes: number; readonly pauseMs: number }) {
  for (let start = 0; start < body.length; start += bytes) {
    yield body.subarray(start, start + bytes);
    await pause(pauseMs);
  }
}

function* endlessLines() {
  const lines = Buffer.from('{"type":"endless"}\n'.repeat(1000));
  for (;;) yield lines;
}

function send(
  response: ServerResponse,
  answer: {
    status: number;
    headers?: Readonly<Record<string, string>> | undefined;
    body: string | Buffer;
    type: string;
  },
): void {
  const length = Buffer.byteLength(answer.body);
  response.writeHead(answer.status, { 'content-type': answer.type, 'content-length': length, ...answer.headers });
  response.end(answer.body);
}

async function wholeBody(answer: Answer): Promise<Buffer> {
  return answer.file === undefined ? Buffer.from(JSON.stringify(answer.json)) : readFile(answer.file);
}
