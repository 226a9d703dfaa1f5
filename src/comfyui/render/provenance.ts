import { isDeepStrictEqual } from 'node:util';

import { z } from 'zod';

import type { Graph } from '../graph.js';
import type { PngFacts } from '../png.js';
import { parsePythonJson } from '../python-json.js';

/** Key under which Tower's own mark goes into a prompt's PNGs and lies in ComfyUI's queue. */
export const markKey = 'tower';

const markSchema = z.looseObject({ run: z.string(), key: z.string(), prompt_id: z.string() });

export type PromptMark = z.output<typeof markSchema>;

/** The mark in `extra_pnginfo`, of whomever; `undefined` for a prompt that is not Tower's. */
export function markIn(pngInfo: unknown): PromptMark | undefined {
  return z.looseObject({ [markKey]: markSchema }).safeParse(pngInfo).data?.[markKey];
}

/**
 * Whose image a file is, by the texts that ComfyUI writes into it (contracts/comfyui.md section 9).
 *
 * - `own`: it carries this prompt's id.
 * - `same-graph`: it carries another id but this very graph, as from the cache.
 * - `foreign`: it was made by another graph.
 * - `unmarked`: it says nothing (`--disable-metadata`, or another format).
 */
export type Provenance = 'own' | 'same-graph' | 'foreign' | 'unmarked';

export function provenanceOf(png: PngFacts | undefined, prompt: { promptId: string; graph: Graph }): Provenance {
  const mark = markIn({ [markKey]: jsonIn(png?.text.get(markKey)) });
  if (mark?.prompt_id === prompt.promptId) return 'own';
  const graph = graphSchema.safeParse(jsonIn(png?.text.get('prompt'))).data;
  if (graph === undefined) return mark === undefined ? 'unmarked' : 'foreign';
  return isDeepStrictEqual(graph, graphSchema.parse(JSON.parse(JSON.stringify(prompt.graph))))
    ? 'same-graph'
    : 'foreign';
}

/** Without `is_changed`, which ComfyUI itself writes into the nodes of a graph as it runs. */
const graphSchema = z.record(
  z.string(),
  z.looseObject({}).transform((node) => ({ ...node, is_changed: undefined })),
);

function jsonIn(text: string | undefined): unknown {
  if (text === undefined) return undefined;
  try {
    return parsePythonJson(text);
  } catch {
    return undefined;
  }
}
