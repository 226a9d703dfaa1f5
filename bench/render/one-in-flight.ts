import { randomUUID } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { setTimeout as pause } from 'node:timers/promises';

import axios, { type AxiosInstance } from 'axios';
import { WebSocket } from 'ws';

import type { Side } from '../side.js';
import { graphsOf, saveNode, targetOf } from './images.js';

interface OutputFile {
  readonly filename: string;
  readonly subfolder: string;
  readonly type: string;
}

type History = Record<string, { outputs: Record<string, { images: OutputFile[] }> } | undefined>;

/** The usual loop, well written: submit, wait for the WebSocket to say that it is done, download, next. */
export const oneInFlight: Side = {
  async prepare({ directory, address = '', images = 0 }) {
    const graphs = await graphsOf('one-in-flight', images);
    const http = axios.create({ baseURL: address, proxy: false });
    const clientId = randomUUID();
    const socket = new WebSocket(`${address.replace('http', 'ws')}/ws?clientId=${clientId}`);
    await new Promise((resolve, reject) => {
      socket.once('open', resolve);
      socket.once('error', reject);
    });
    return async () => {
      for (const [index, graph] of graphs.entries()) {
        const id = randomUUID();
        const file = new Promise<OutputFile>((resolve) => {
          const hear = (data: Buffer, isBinary: boolean) => {
            const message = isBinary ? undefined : (JSON.parse(data.toString()) as Executed);
            if (message?.type !== 'executed' || message.data.prompt_id !== id || message.data.node !== saveNode) return;
            socket.off('message', hear);
            const [found] = message.data.output.images;
            if (found !== undefined) resolve(found);
          };
          socket.on('message', hear);
        });
        await http.post('/prompt', { prompt: graph, prompt_id: id, client_id: clientId });
        await download(http, await file, targetOf(directory, index));
      }
      socket.close();
    };
  },
};

interface Executed {
  readonly type: string;
  readonly data: { prompt_id: string; node: string; output: { images: OutputFile[] } };
}

/** As scripts do it that know no WebSocket: the history every second. */
export const historyPoll: Side = {
  async prepare({ directory, address = '', images = 0 }) {
    const graphs = await graphsOf('history-poll', images);
    const http = axios.create({ baseURL: address, proxy: false });
    return async () => {
      for (const [index, graph] of graphs.entries()) {
        const { data } = await http.post<{ prompt_id: string }>('/prompt', { prompt: graph });
        let file: OutputFile | undefined;
        while (file === undefined) {
          await pause(1_000);
          const history = (await http.get<History>(`/history/${data.prompt_id}`)).data;
          file = history[data.prompt_id]?.outputs[saveNode]?.images[0];
        }
        await download(http, file, targetOf(directory, index));
      }
    };
  },
};

async function download(http: AxiosInstance, file: OutputFile, target: string): Promise<void> {
  const { data } = await http.get<Readable>('/view', { params: file, responseType: 'stream' });
  await pipeline(data, createWriteStream(target));
}
