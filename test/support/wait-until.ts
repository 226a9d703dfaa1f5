import { setTimeout as sleep } from 'node:timers/promises';

const shortestPauseMs = 50;
/** Of the time that a look has taken: looking never takes more than a third of a core that others work on. */
const pauseFactor = 2;
const longestPauseMs = 1_000;

/** Polls until `probe` gives a value that is not `undefined` or `false`; fails with what was awaited. */
export async function waitUntil<T>(
  what: string,
  probe: () => Promise<T | undefined | false> | T | undefined | false,
  timeoutMs = 60_000,
): Promise<T> {
  const deadline = Date.now() + timeoutMs;
  for (;;) {
    const began = Date.now();
    const value = await probe();
    if (value !== undefined && value !== false) return value;
    if (Date.now() > deadline) throw new Error(`waited ${timeoutMs} ms in vain for ${what}`);
    await sleep(Math.min(Math.max(shortestPauseMs, pauseFactor * (Date.now() - began)), longestPauseMs));
  }
}
