import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import axios from 'axios';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { SeededRandom } from '../../src/seeded-random.js';
import { drawLandscape, landscapeSchema, type Landscape } from '../../src/sims/syntx/landscape.js';
import { startSyntxService, type SyntxService } from '../../src/sims/syntx/server.js';
import { formatOf, writeAnswer } from '../../src/sims/syntx/write-answer.js';
import { scoreAnswer } from '../../src/syntx/scores/quality-score.js';

let directory: string;
let service: SyntxService;

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'syntx-service-'));
  service = await startSyntxService({ directory });
});
afterEach(async () => {
  await service.close();
  rmSync(directory, { recursive: true });
});

interface Answer {
  readonly status: number;
  readonly data: {
    readonly response: string;
    readonly metadata: { readonly wrapper_chain: string[] };
    detail: unknown;
  };
}

async function post(path: string, body: unknown): Promise<Answer> {
  return axios.post(`${service.address}${path}`, body, { validateStatus: null });
}

async function put(path: string, body: unknown): Promise<number> {
  return (await axios.put(`${service.address}/sim/${path}`, body, { validateStatus: null })).status;
}

async function scoreOf(prompt: string, wrapper: string): Promise<number | undefined> {
  const { data } = await post('/resonanz/chat', { prompt, mode: `syntex_wrapper_${wrapper}` });
  return scoreAnswer(data.response)?.score.total_score;
}

const flat = (mean: number, noise = 0): Landscape =>
  landscapeSchema.parse({ means: { '*': { casual: { harmlos: mean } } }, noise, otherwise: 50 });
const prompt = 'Erkläre locker, was an Brettspielen reizt. Brettspiele';

describe('an answer', () => {
  it.each(['syntex_system', 'sigma', 'human'])(
    'of %s scores exactly what it was written for, and meets every wish on average',
    (wrapper) => {
      const format = formatOf(wrapper);
      const random = new SeededRandom(wrapper);
      const best = format === 'SYNTEX_SYSTEM' ? 100 : 98;
      for (let wished = 0; wished <= 100; wished += 10) {
        const totals = Array.from({ length: 150 }, () => {
          const { text, total } = writeAnswer(wished, format, random);
          expect(scoreAnswer(text)?.score.total_score).toBe(total);
          return total;
        });
        const mean = totals.reduce((sum, total) => sum + total, 0) / totals.length;
        expect(Math.abs(mean - Math.min(wished, best)), `${wished}: ${mean}`).toBeLessThan(4);
      }
    },
  );

  it('has what the contract shows, and says that it is simulated', async () => {
    const { data, status } = await post('/resonanz/chat', { prompt, mode: 'syntex_wrapper_sigma' });
    expect(status).toBe(200);
    expect(data).toEqual({
      response: expect.stringContaining('(simulated)') as string,
      metadata: {
        request_id: expect.stringMatching(/^[0-9a-f-]{36}$/) as string,
        wrapper_chain: ['syntex_wrapper_sigma'],
        ...{ format: null, format_fields: [], style: null, latency_ms: expect.any(Number) as number, simulated: true },
      },
      ...{ field_flow: [], debug_info: null, style_info: null },
    });
  });
});

describe('the hidden landscape', () => {
  it('decides by the style and the topic that a prompt shows, and can be swapped', async () => {
    service.landscape = flat(76);
    expect(await scoreOf(prompt, 'syntex_system')).toBe(76);
    expect(await put('landscape', { ...flat(100), otherwise: 53 })).toBe(200);
    expect(await scoreOf(prompt, 'syntex_system')).toBe(100);
    expect(await scoreOf('Ein Text ohne Stil.', 'syntex_system')).toBe(53);
    expect(service.calls().map(({ total, cell }) => [total, cell?.category])).toEqual([
      [76, 'harmlos'],
      [100, 'harmlos'],
      [53, null],
    ]);
  });

  it('may differ by wrapper', async () => {
    service.landscape = landscapeSchema.parse({
      means: { sigma: { casual: { harmlos: 98 } }, syntex_system: { casual: { harmlos: 53 } } },
      noise: 0,
    });
    expect([await scoreOf(prompt, 'sigma'), await scoreOf(prompt, 'syntex_system')]).toEqual([98, 53]);
  });

  it('gives a prompt that shows only one of the two the mean of what it may be', async () => {
    service.landscape = landscapeSchema.parse({
      means: { '*': { casual: { harmlos: 100, bildung: 53 }, kreativ: { harmlos: 52, bildung: 53 } } },
      noise: 0,
    });
    expect(await scoreOf('Robotik? Nein: Brettspiele.', 'syntex_system')).toBe(76);
    expect(await scoreOf('Physik verstehen', 'syntex_system')).toBe(53);
  });

  it('gives the same prompt the same score, and different ones scattered about the mean', async () => {
    service.landscape = flat(70, 10);
    const scores: number[] = [];
    for (let index = 0; index < 100; index++) scores.push((await scoreOf(`${prompt} ${index}`, 'human')) ?? 0);
    const mean = scores.reduce((sum, score) => sum + score, 0) / scores.length;
    expect(Math.abs(mean - 70)).toBeLessThan(5);
    expect(new Set(scores).size).toBeGreaterThan(10);
    expect(await scoreOf(`${prompt} 0`, 'human')).toBe(scores[0]);
  });

  it('is drawn anew from another seed', () => {
    expect(drawLandscape('a')).toEqual(drawLandscape('a'));
    expect(drawLandscape('a').means).not.toEqual(drawLandscape('b').means);
  });

  it('refuses what is none', async () => {
    expect(await put('landscape', { means: { sigma: 3 } })).toBe(400);
    expect(await put('faults', [{ fault: { kind: 'unknown' } }])).toBe(400);
  });
});

describe('the defects of the real service', () => {
  it('the misplaced route demands query parameters, until it is repaired', async () => {
    const refused = await post('/api/chat', { prompt });
    expect(refused.status).toBe(422);
    const wanted = (refused.data.detail as { loc: string[] }[]).map(({ loc }) => loc.join('.'));
    expect(wanted).toEqual(['query.filename_base', 'query.format_name', 'query.response_text']);
    expect(await put('defects', { misplacedRoute: false })).toBe(200);
    expect((await post('/api/chat', { prompt })).status).toBe(200);
  });

  it('an unknown wrapper is silently replaced, or is none', async () => {
    const asked = { prompt, mode: 'syntex_wrapper_mistyped' };
    expect((await post('/resonanz/chat', asked)).data.metadata.wrapper_chain).toEqual([
      'syntex_wrapper_deepsweep (fallback)',
    ]);
    await put('defects', { fallbackWrapper: null });
    expect((await post('/resonanz/chat', asked)).data.metadata.wrapper_chain).toEqual([]);
  });

  it('the version of December 2025 answers with less', async () => {
    await put('defects', { oldAnswer: true });
    const { data } = await post('/resonanz/chat', { prompt });
    expect(Object.keys(data)).toEqual(['response', 'metadata']);
    expect(Object.keys(data.metadata)).toEqual(['request_id', 'wrapper_chain', 'latency_ms', 'simulated']);
  });

  it.each([[{}], [{ prompt: '' }], [{ prompt, max_new_tokens: 5000 }], [{ prompt, temperature: 3 }]])(
    '%j is refused',
    async (body) => {
      expect((await post('/resonanz/chat', body)).status).toBe(422);
    },
  );
});
