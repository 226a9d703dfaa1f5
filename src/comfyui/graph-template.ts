import { readFile } from 'node:fs/promises';

import { z } from 'zod';

import { describeError, TowerError } from '../errors.js';
import { defaultGraph } from './default-graph.js';
import { graphSchema, nodeName, type Graph } from './graph.js';

/** What a graph may leave open: the text `%name%` as an input, or inside one. */
export const placeholderNames = [
  'prompt',
  'negative',
  'seed',
  'width',
  'height',
  'checkpoint',
  'prefix',
  'steps',
  'cfg',
  'sampler',
  'scheduler',
] as const;

export type PlaceholderName = (typeof placeholderNames)[number];
export type GraphValues = Readonly<Partial<Record<PlaceholderName, string | number>>>;

export interface GraphTemplate {
  readonly graph: Graph;
  /** The placeholders that occur in it. */
  readonly placeholders: ReadonlySet<PlaceholderName>;
}

/** Without them every image would be the same, or could not be told from others in ComfyUI's output folder. */
const requiredPlaceholders: readonly PlaceholderName[] = ['prompt', 'seed', 'prefix'];

const placeholderPattern = new RegExp(`%(${placeholderNames.join('|')})%`, 'g');

/**
 * A graph in API format with placeholders: the built-in one, a JSON file, or an object.
 *
 * @throws TowerError `GRAPH_INVALID` when it is none, is the web page's own format, or lacks `%prompt%`, `%seed%` or `%prefix%`.
 */
export async function loadGraph(source: 'default' | (string & {}) | Readonly<object>): Promise<GraphTemplate> {
  if (source === 'default') return templateOf(defaultGraph, 'the built-in graph');
  if (typeof source === 'object') return templateOf(source, 'the graph');
  let value: unknown;
  try {
    value = JSON.parse(await readFile(source, 'utf8'));
  } catch (cause) {
    throw invalid(
      `${source} cannot be read as JSON: ${describeError(cause)}`,
      'Name a graph file in API format.',
      cause,
    );
  }
  return templateOf(value, source);
}

/**
 * The graph with its placeholders replaced. An input that is nothing but a placeholder takes the value with its type;
 * inside a longer text the value is put in as text. Other `%…%`, such as the save node's `%date%`, stay.
 *
 * @throws TowerError `GRAPH_INVALID` when a value is missing.
 */
export function fillGraph({ graph }: GraphTemplate, values: GraphValues): Graph {
  return mapConstants(graph, (text, where) => {
    const valueOf = (name: string): string | number => {
      const value = values[name as PlaceholderName];
      if (value !== undefined) return value;
      throw invalid(`${where} needs a value for %${name}%`, `Give a value for ${name}, or write it into the graph.`);
    };
    const [whole] = text.matchAll(placeholderPattern);
    if (whole?.[0] === text) return valueOf(whole[1] ?? '');
    return text.replaceAll(placeholderPattern, (_, name: string) => String(valueOf(name)));
  });
}

function templateOf(value: unknown, name: string): GraphTemplate {
  if (z.looseObject({ nodes: z.array(z.unknown()), links: z.array(z.unknown()) }).safeParse(value).success) {
    throw invalid(`${name} is a workflow of the web page, not a graph in API format`, 'Export it with "Export (API)".');
  }
  const parsed = graphSchema.safeParse(value);
  if (!parsed.success || Object.keys(parsed.data).length === 0) {
    const reason = parsed.success ? 'it has no node' : z.prettifyError(parsed.error).slice(0, 300);
    throw invalid(`${name} is no graph in API format: ${reason}`, 'Export it with "Export (API)".');
  }
  const placeholders = new Set<PlaceholderName>();
  mapConstants(parsed.data, (text) => {
    for (const [, placeholder] of text.matchAll(placeholderPattern)) placeholders.add(placeholder as PlaceholderName);
    return text;
  });
  const missing = requiredPlaceholders.filter((placeholder) => !placeholders.has(placeholder));
  if (missing.length === 0) return { graph: parsed.data, placeholders };
  throw invalid(
    `${name} lacks ${missing.map((placeholder) => `%${placeholder}%`).join(', ')}`,
    'Put %prompt% into the text of the positive prompt, %seed% into the seed of the sampler, and %prefix% into the ' +
      'filename_prefix of the save node.',
  );
}

/** The graph with every constant text of its inputs mapped, also inside lists and objects. Links stay as they are. */
function mapConstants(graph: Graph, map: (text: string, where: string) => string | number): Graph {
  const mapped = (value: unknown, where: string): unknown => {
    if (typeof value === 'string') return map(value, where);
    if (Array.isArray(value)) return value.map((item) => mapped(item, where));
    if (typeof value !== 'object' || value === null) return value;
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, mapped(item, where)]));
  };
  return Object.fromEntries(
    Object.entries(graph).map(([id, node]) => {
      const inputs = Object.entries(node.inputs).map(
        ([input, value]) => [input, mapped(value, `input ${input} of node ${nodeName(id, node)}`)] as const,
      );
      return [id, { ...node, inputs: Object.fromEntries(inputs) }];
    }),
  );
}

function invalid(message: string, next: string, cause?: unknown): TowerError {
  return new TowerError('GRAPH_INVALID', message, { next, cause });
}
