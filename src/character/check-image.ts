import { stat } from 'node:fs/promises';

import sharp from 'sharp';
import sharpPhash from 'sharp-phash';

import { describeError } from '../errors.js';
import { sha256OfFile } from '../files/sha256.js';
import type { CheckThresholds } from './check-thresholds.js';
import type { rejectCodes } from './journal-events.js';
import type { HashIndex } from './hash-index.js';

// Each file is looked at once: libvips would only keep memory and file handles.
sharp.cache(false);

/** The package's declarations name a default export; its code is the function itself. */
const perceptualHash = sharpPhash as unknown as (path: string) => Promise<string>;

export interface ImageFacts {
  readonly width: number;
  readonly height: number;
  readonly bytes: number;
  readonly sha256: string;
  /** 64 bits as 16 hex digits. */
  readonly perceptualHash: string;
}

export type ImageCheck =
  | { readonly ok: true; readonly facts: ImageFacts }
  | { readonly ok: false; readonly code: (typeof rejectCodes)[number]; readonly reason: string };

export interface ImageExpectation {
  readonly width: number;
  readonly height: number;
  readonly thresholds: CheckThresholds;
  /** Hashes of the images that are in the dataset. */
  readonly known: HashIndex;
}

/** Decides whether a file is an image for the dataset: decodes whole, right size, not blank, not there already. */
export async function checkImage(path: string, expected: ImageExpectation): Promise<ImageCheck> {
  const { thresholds, known } = expected;
  let decoded: { width: number; height: number; deviation: number; hash: string };
  try {
    const { width, height } = await sharp(path).metadata();
    // Before it is decoded: a small file may claim a picture that fills the memory.
    if (width !== expected.width || height !== expected.height) {
      return reject('wrong-size', `${width}×${height} pixels instead of ${expected.width}×${expected.height}`);
    }
    decoded = { width, height, ...(await decode(path)) };
  } catch (error) {
    return reject('undecodable', `cannot be decoded: ${describeError(error)}`);
  }
  const { width, height, deviation, hash } = decoded;
  const blank = blankReason(deviation, thresholds);
  if (blank !== undefined) return reject('blank', blank);
  const nearest = thresholds.nearDuplicates ? known.nearest(hash) : undefined;
  if (nearest !== undefined && nearest.distance <= thresholds.nearDuplicateBits) {
    const bits = `${nearest.distance} of 64 bits of the perceptual hash differ`;
    return reject('near-duplicate', `nearly the same as image ${nearest.index}: ${bits}`);
  }
  const { size: bytes } = await stat(path);
  return { ok: true, facts: { width, height, bytes, sha256: await sha256OfFile(path), perceptualHash: hash } };
}

/** Why a picture counts as a plain surface. @throws Error when it cannot be decoded */
export async function whyBlank(path: string, thresholds: CheckThresholds): Promise<string | undefined> {
  return blankReason(await deviationOf(path), thresholds);
}

function blankReason(deviation: number, { minimumDeviation }: CheckThresholds): string | undefined {
  if (deviation >= minimumDeviation) return undefined;
  return `a plain surface: its colours deviate by ${deviation.toFixed(2)}, at least ${minimumDeviation} are expected`;
}

async function decode(path: string): Promise<{ deviation: number; hash: string }> {
  const deviation = await deviationOf(path);
  const bits = await perceptualHash(path);
  const hash = BigInt(`0b${bits}`).toString(16).padStart(16, '0');
  return { deviation, hash };
}

/** `failOn: 'warning'`: a file that ends early is a fault, not a picture with a grey rest. */
async function deviationOf(path: string): Promise<number> {
  const { channels } = await sharp(path, { failOn: 'warning' }).removeAlpha().stats();
  return Math.max(...channels.map(({ stdev }) => stdev));
}

function reject(code: (typeof rejectCodes)[number], reason: string): ImageCheck {
  return { ok: false, code, reason };
}
