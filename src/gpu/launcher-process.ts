import type { Readable } from 'node:stream';

import { join } from 'node:path';

import { packageRoot } from '../files/package-root.js';

/** How the launcher is started: isolated from the caller's Python settings, without writing byte code beside it. */
export function launcherArguments(mode: 'run' | 'hold' | 'probe', target: string): string[] {
  return ['-E', '-s', '-B', join(packageRoot, 'trainers', 'launcher.py'), mode, target];
}

/**
 * Reads the launcher's one-line answer.
 *
 * @returns the line without its end; `undefined` when the launcher ended without one.
 * @throws DOMException `TimeoutError` after `deadlineMs`.
 */
export async function readAnswer(stdout: Readable, deadlineMs: number): Promise<string | undefined> {
  return await new Promise((resolve, reject) => {
    let text = '';
    const timer = setTimeout(() => {
      finish(() => {
        reject(new DOMException(`no answer within ${deadlineMs} ms`, 'TimeoutError'));
      });
    }, deadlineMs);
    const finish = (settle: () => void): void => {
      clearTimeout(timer);
      stdout.removeAllListeners('data');
      settle();
    };
    stdout.setEncoding('utf8');
    stdout.on('data', (chunk: string) => {
      text += chunk;
      const end = text.indexOf('\n');
      if (end >= 0) {
        finish(() => {
          resolve(text.slice(0, end));
        });
      }
    });
    stdout.once('error', (error) => {
      finish(() => {
        reject(error);
      });
    });
    stdout.once('close', () => {
      finish(() => {
        resolve(undefined);
      });
    });
  });
}
