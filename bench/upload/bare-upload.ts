import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { request, type IncomingMessage } from 'node:http';
import { pipeline } from 'node:stream/promises';

import type { Side } from '../side.js';

const boundary = 'tower-bench-boundary';
const head =
  `--${boundary}\r\nContent-Disposition: form-data; name="model_version"\r\n\r\nbare\r\n` +
  `--${boundary}\r\nContent-Disposition: form-data; name="model_file"; filename="bare.zip"\r\n` +
  'Content-Type: application/zip\r\n\r\n';
const tail = `\r\n--${boundary}--\r\n`;

/** The file straight into one request: no look at the server before it, no hash, no progress. */
export const bareUpload: Side = {
  async prepare({ file = '', address, apiKey = '' }) {
    const { size } = await stat(file);
    return async () => {
      const post = request(`${address ?? ''}/model/upload`, {
        method: 'POST',
        headers: {
          'x-api-key': apiKey,
          'content-type': `multipart/form-data; boundary=${boundary}`,
          'content-length': head.length + size + tail.length,
        },
      });
      const answered = new Promise<IncomingMessage>((resolve, reject) => {
        post.once('response', resolve).once('error', reject);
      });
      post.write(head);
      await pipeline(createReadStream(file), post, { end: false });
      post.end(tail);
      const answer = await answered;
      answer.resume();
      if (answer.statusCode !== 200) throw new Error(`the server answered ${String(answer.statusCode)}`);
    };
  },
};
