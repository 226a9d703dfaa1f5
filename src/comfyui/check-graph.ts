import { TowerError } from '../errors.js';
import type { NodeDeclaration } from './answers.js';
import type { ComfyuiClient, RequestOptions } from './client.js';
import { isLink, nodeName, type Graph, type GraphNode } from './graph.js';

/** One thing that ComfyUI would refuse. */
export interface GraphProblem {
  readonly node: string;
  readonly input: string | null;
  readonly value: unknown;
  readonly problem: string;
  /** For a value that is none of a list: the list, shortened. */
  readonly choices?: readonly string[];
}

const choicesShown = 20;

/**
 * Checks a filled graph against the nodes and models that this ComfyUI has (`object_info`, contracts/comfyui.md section 10),
 * without rendering: classes, required inputs, links, choices (checkpoint, LoRA, sampler, scheduler) and number ranges.
 *
 * @throws TowerError `GRAPH_UNUSABLE` with all problems in `details.problems`, each a {@link GraphProblem}.
 */
export async function checkGraph(client: ComfyuiClient, graph: Graph, options: RequestOptions = {}): Promise<void> {
  const types = [...new Set(Object.values(graph).map((node) => node.class_type))];
  const declarations = new Map<string, NodeDeclaration | undefined>();
  for (const type of types) declarations.set(type, await client.objectInfo(type, options));

  const problems = Object.entries(graph).flatMap(([id, node]) =>
    nodeProblems(graph, { id, node, declaration: declarations.get(node.class_type) }),
  );
  if (![...declarations.values()].some((declaration) => declaration?.output_node === true)) {
    problems.push({ node: '', input: null, value: null, problem: 'no node puts anything out, such as SaveImage' });
  }
  if (problems.length === 0) return;
  const said = problems.slice(0, 5).map(describeProblem).join('; ');
  const more = problems.length > 5 ? `; and ${problems.length - 5} more` : '';
  throw new TowerError('GRAPH_UNUSABLE', `ComfyUI at ${client.baseUrl} cannot run the graph: ${said}${more}`, {
    next: 'Correct the graph or the name, or install the node or model in ComfyUI.',
    details: { problems },
  });
}

interface CheckedNode {
  readonly id: string;
  readonly node: GraphNode;
  readonly declaration: NodeDeclaration | undefined;
}

function nodeProblems(graph: Graph, { id, node, declaration }: CheckedNode): GraphProblem[] {
  const name = nodeName(id, node);
  if (declaration === undefined) {
    return [{ node: name, input: null, value: node.class_type, problem: 'this kind of node is not installed' }];
  }
  const required = declaration.input.required ?? {};
  const declared = new Map(Object.entries({ ...declaration.input.optional, ...required }));
  const missing = Object.entries(required)
    .filter(([input, [type]]) => !Object.hasOwn(node.inputs, input) && !isGroup(type))
    .map(([input]) => ({ node: name, input, value: null, problem: 'a required input is missing' }));
  const wrong = Object.entries(node.inputs).flatMap(([input, value]) => {
    const fault = isLink(value) ? linkProblem(graph, value[0]) : constantProblem(value, declared.get(input));
    return fault === undefined ? [] : [{ node: name, input, value, ...fault }];
  });
  return [...missing, ...wrong];
}

/** A group of inputs of newer nodes, such as `COMFY_AUTOGROW_V3`: the graph has its members, as `group.member`, or none. */
function isGroup(type: unknown): boolean {
  return typeof type === 'string' && type.startsWith('COMFY_') && type.endsWith('_V3');
}

type Fault = Pick<GraphProblem, 'problem' | 'choices'>;

function linkProblem(graph: Graph, target: string): Fault | undefined {
  return Object.hasOwn(graph, target) ? undefined : { problem: `it is linked to node ${target}, which does not exist` };
}

/** `declaration` is `[type or list of choices, options]`; unknown inputs are ignored by ComfyUI. */
function constantProblem(value: unknown, declaration: readonly unknown[] | undefined): Fault | undefined {
  if (declaration === undefined) return undefined;
  const [type, given] = declaration;
  const options = (typeof given === 'object' && given !== null ? given : {}) as Readonly<Record<string, unknown>>;
  const choices = choicesOf(type, options);
  if (choices !== undefined) {
    if (choices.includes(value)) return undefined;
    const shown = nearest(String(value), choices.map(String));
    return { problem: `it is none of the ${choices.length} choices`, choices: shown };
  }
  if (type !== 'INT' && type !== 'FLOAT') return undefined;
  const number = Number(value);
  if (typeof value === 'object' || value === '' || Number.isNaN(number)) return { problem: 'a number is expected' };
  const { min, max } = options;
  if (typeof min === 'number' && number < min) return { problem: `it is smaller than ${min}` };
  if (typeof max === 'number' && number > max) return { problem: `it is larger than ${max}` };
  return undefined;
}

/** A bare list, or `["COMBO", {options}]` of newer nodes. Uploaded files are not checked against the list. */
function choicesOf(type: unknown, options: Readonly<Record<string, unknown>>): readonly unknown[] | undefined {
  if (Object.keys(options).some((key) => key.endsWith('_upload') && options[key] === true)) return undefined;
  if (Array.isArray(type)) return type as readonly unknown[];
  const { options: listed, multiselect } = options;
  return type === 'COMBO' && Array.isArray(listed) && multiselect !== true ? listed : undefined;
}

/** All choices where they are few, else those that look like the value first. */
function nearest(value: string, choices: readonly string[]): string[] {
  const stem = value.toLowerCase().slice(0, 4);
  const rank = (choice: string) => (choice.toLowerCase().includes(stem) ? 0 : 1);
  return choices.toSorted((one, other) => rank(one) - rank(other)).slice(0, choicesShown);
}

function describeProblem({ node, input, value, problem, choices }: GraphProblem): string {
  if (node === '') return problem;
  const where = input === null ? `node ${node}` : `node ${node}, input ${input} = ${JSON.stringify(value)}`;
  const listed = choices === undefined || choices.length === 0 ? '' : ` (${choices.slice(0, 8).join(', ')})`;
  return `${where}: ${problem}${listed}`;
}
