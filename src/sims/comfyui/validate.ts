import type { DialectFacts } from './dialect.js';
import { constantOf, isLink, linkOf, type Graph } from './graph.js';
import { inputConfig, nodeClasses } from './node-classes.js';
import type { InputDeclaration, ListedFolders } from './node-class.js';

/** A reason in `node_errors` (contract comfyui 2.3). */
interface NodeFault {
  readonly type: string;
  readonly message: string;
  readonly details: string;
  readonly extra_info: Readonly<Record<string, unknown>>;
}

export interface NodeErrors {
  readonly class_type: string;
  readonly dependent_outputs: string[];
  readonly errors: readonly NodeFault[];
}

export type Validation = { readonly nodeErrors: Readonly<Record<string, NodeErrors>> } & (
  { readonly ok: true; readonly outputs: readonly string[] } | { readonly ok: false; readonly error: NodeFault }
);

interface Judged {
  readonly ok: boolean;
  readonly faults: readonly NodeFault[];
}

/** As Python says it; texts hold server paths in the real one. */
class PythonError extends Error {
  readonly type: string;

  constructor(type: string, message: string) {
    super(message);
    this.type = type;
  }
}

/** Checks a graph as `POST /prompt` does; only what its output nodes need is looked at. */
export function validateGraph(
  graph: Graph,
  {
    folders,
    dialect,
    targets,
  }: {
    readonly folders: ListedFolders;
    readonly dialect: DialectFacts;
    readonly targets: readonly string[] | undefined;
  },
): Validation {
  const unknown = unknownNode(graph, dialect);
  if (unknown !== undefined) return { ok: false, error: unknown, nodeErrors: {} };
  const outputs = Object.keys(graph).filter(
    (node) => nodeClasses.get(graph[node]?.class_type ?? '')?.isOutput === true && (targets?.includes(node) ?? true),
  );
  if (outputs.length === 0) {
    return { ok: false, error: fault('prompt_no_outputs', 'Prompt has no outputs', ''), nodeErrors: {} };
  }
  if (dialect.dependencyCycles && hasCycle(graph)) {
    return { ok: false, error: fault('dependency_cycle', 'Prompt has a dependency cycle', ''), nodeErrors: {} };
  }
  return judgeOutputs(new GraphCheck(graph, folders, dialect), graph, outputs);
}

function judgeOutputs(check: GraphCheck, graph: Graph, outputs: readonly string[]): Validation {
  const nodeErrors: Record<string, NodeErrors> = {};
  const good: string[] = [];
  const bad: NodeFault[] = [];
  for (const output of outputs) {
    const judged = check.judgeOutput(output);
    if (judged.ok) {
      good.push(output);
      continue;
    }
    bad.push(...judged.faults);
    // Nodes that are invalid only because of others have no reasons of their own.
    for (const [node, { ok, faults: errors }] of check.judged) {
      if (ok || errors.length === 0) continue;
      const found = (nodeErrors[node] ??= {
        errors,
        dependent_outputs: [],
        class_type: graph[node]?.class_type ?? '',
      });
      found.dependent_outputs.push(output);
    }
  }
  if (good.length > 0) return { ok: true, outputs: good, nodeErrors };
  const details = bad.map((reason) => `${reason.message}: ${reason.details}`).join('\n');
  const error = fault('prompt_outputs_failed_validation', 'Prompt outputs failed validation', details);
  return { ok: false, error, nodeErrors };
}

class GraphCheck {
  readonly judged = new Map<string, Judged>();
  readonly #graph: Graph;
  readonly #folders: ListedFolders;
  readonly #dialect: DialectFacts;

  constructor(graph: Graph, folders: ListedFolders, dialect: DialectFacts) {
    this.#graph = graph;
    this.#folders = folders;
    this.#dialect = dialect;
  }

  judgeOutput(node: string): Judged {
    try {
      return this.#judge(node);
    } catch (error) {
      const judged = { ok: false, faults: [exceptionFault('exception_during_validation', error, {})] };
      this.judged.set(node, judged);
      return judged;
    }
  }

  /** @throws PythonError for a link to a node or an output that is not there, RangeError for a cycle */
  #judge(node: string): Judged {
    const known = this.judged.get(node);
    if (known !== undefined) return known;
    const entry = this.#graph[node];
    const declared = nodeClasses.get(entry?.class_type ?? '');
    if (entry === undefined || declared === undefined) throw new PythonError('KeyError', `'${node}'`);
    const faults: NodeFault[] = [];
    let ok = true;
    for (const [name, input] of Object.entries({ ...declared.required, ...declared.optional })) {
      const value = entry.inputs[name];
      if (value === undefined) {
        if (name in declared.required) {
          faults.push(fault('required_input_missing', 'Required input is missing', name, { input_name: name }));
        }
      } else if (isLink(value)) {
        const found = this.#judgeLink(name, input, value);
        if (found === 'upstream') ok = false;
        else if (found !== undefined) faults.push(found);
      } else {
        const custom = name in declared.required && declared.validate !== undefined;
        faults.push(...this.#judgeConstant(name, input, { entry: entry.inputs, checkChoices: !custom }));
      }
    }
    const refused = faults.length === 0 && ok ? declared.validate?.(entry.inputs, this.#folders) : undefined;
    if (refused !== undefined) {
      const name = Object.keys(declared.required)[0] ?? '';
      const message = 'Custom validation failed for node';
      faults.push(fault('custom_validation_failed', message, `${name} - ${refused}`, { input_name: name }));
    }
    const judged = { ok: ok && faults.length === 0, faults };
    this.judged.set(node, judged);
    return judged;
  }

  #judgeLink(name: string, input: InputDeclaration, value: unknown[]): NodeFault | 'upstream' | undefined {
    const config = inputConfig(input, this.#folders, this.#dialect);
    const about = { input_name: name, input_config: config };
    const link = linkOf(value);
    if (link === undefined) {
      const message = 'Bad linked input, must be a length-2 list of [node_id, slot_index]';
      return fault('bad_linked_input', message, name, { ...about, received_value: value });
    }
    const [node, slot] = link;
    const source = this.#graph[node];
    if (source === undefined) throw new PythonError('KeyError', `'${node}'`);
    const received = nodeClasses.get(source.class_type ?? '')?.outputs[slot]?.type;
    if (received === undefined) throw new PythonError('IndexError', 'tuple index out of range');
    const expected = input.kind === 'link' ? input.type : config[0];
    if (received !== expected) {
      const details = `${name}, received_type(${received}) mismatch input_type(${String(expected)})`;
      const message = 'Return type mismatch between linked nodes';
      return fault('return_type_mismatch', message, details, { ...about, received_type: received, linked_node: value });
    }
    try {
      return this.#judge(node).ok ? undefined : 'upstream';
    } catch (error) {
      const extra = { ...about, linked_node: value };
      this.judged.set(node, { ok: false, faults: [exceptionFault('exception_during_inner_validation', error, extra)] });
      return 'upstream';
    }
  }

  #judgeConstant(
    name: string,
    input: InputDeclaration,
    { entry, checkChoices }: { entry: Record<string, unknown>; checkChoices: boolean },
  ): NodeFault[] {
    const received = constantOf(entry[name]);
    const config = inputConfig(input, this.#folders, this.#dialect);
    const about = { input_name: name, input_config: config, received_value: received };
    if (input.kind === 'link') {
      // A constant where a link belongs passes the real check and fails when the node runs.
      return [];
    }
    if (input.kind === 'choice') {
      const choices = input.choices(this.#folders);
      if (!checkChoices || choices.includes(String(received))) return [];
      const long = choices.length > 20;
      const list = long ? `(list of length ${choices.length})` : pythonList(choices);
      const extra = long ? { ...about, input_config: null } : about;
      return [fault('value_not_in_list', 'Value not in list', `${name}: '${String(received)}' not in ${list}`, extra)];
    }
    let value: unknown;
    try {
      value = convert(received, input.kind);
    } catch (error) {
      const text = error instanceof Error ? error.message : String(error);
      const message = `Failed to convert an input value to a ${input.kind} value`;
      const details = `${name}, ${String(received)}, ${text}`;
      return [fault('invalid_input_type', message, details, { ...about, exception_message: text })];
    }
    entry[name] = value;
    if (input.kind !== 'INT' && input.kind !== 'FLOAT') return [];
    const { min, max } = input.options;
    const number = Number(value);
    const faults: NodeFault[] = [];
    if (number < min) {
      faults.push(fault('value_smaller_than_min', `Value ${number} smaller than min of ${min}`, name, about));
    }
    if (number > max) {
      faults.push(fault('value_bigger_than_max', `Value ${number} bigger than max of ${max}`, name, about));
    }
    return faults;
  }
}

function unknownNode(graph: Graph, { unknownNodeError }: DialectFacts): NodeFault | undefined {
  for (const [node, { class_type: type, _meta: meta }] of Object.entries(graph)) {
    if (type !== undefined && nodeClasses.has(type)) continue;
    const title = meta?.title ?? type ?? null;
    const what = type === undefined ? 'a node is missing the class_type property' : `node ${type} does not exist`;
    const names = { node_id: node, class_type: type ?? null, node_title: title };
    const extra = unknownNodeError === 'invalid_prompt' ? {} : names;
    return fault(unknownNodeError, `Cannot execute because ${what}.`, `Node ID '#${node}'`, extra);
  }
  return undefined;
}

function hasCycle(graph: Graph): boolean {
  const done = new Set<string>();
  const visit = (node: string, path: ReadonlySet<string>): boolean => {
    if (path.has(node)) return true;
    if (done.has(node)) return false;
    const next = new Set(path).add(node);
    const links = Object.values(graph[node]?.inputs ?? {}).flatMap((value) => linkOf(value)?.[0] ?? []);
    const found = links.some((link) => visit(link, next));
    done.add(node);
    return found;
  };
  return Object.keys(graph).some((node) => visit(node, new Set()));
}

/** As Python's casts: a text may hold a number, a float is cut for an INT. */
function convert(value: unknown, kind: 'INT' | 'FLOAT' | 'STRING' | 'BOOLEAN'): unknown {
  if (kind === 'STRING') return typeof value === 'string' ? value : JSON.stringify(value);
  if (kind === 'BOOLEAN') return Boolean(value);
  const isNumber = typeof value === 'number' || typeof value === 'boolean';
  if (kind === 'INT') {
    if (isNumber) return Math.trunc(Number(value));
    if (typeof value === 'string' && /^\s*[+-]?\d+\s*$/.test(value)) return Number(value);
    throw new Error(`invalid literal for int() with base 10: '${String(value)}'`);
  }
  if (isNumber) return Number(value);
  if (typeof value === 'string' && value.trim() !== '' && !Number.isNaN(Number(value))) return Number(value);
  throw new Error(`could not convert string to float: '${String(value)}'`);
}

function exceptionFault(type: string, error: unknown, extra: Readonly<Record<string, unknown>>): NodeFault {
  const exceptionType = error instanceof PythonError ? error.type : 'RecursionError';
  const text = error instanceof Error ? error.message : String(error);
  const about = { ...extra, exception_type: exceptionType, traceback: ['(simulated)'] };
  return type === 'exception_during_validation'
    ? fault(type, 'Exception when validating node', text, about)
    : fault(type, 'Exception when validating inner node', text, { ...about, exception_message: text });
}

function pythonList(names: readonly string[]): string {
  return `[${names.map((name) => `'${name}'`).join(', ')}]`;
}

function fault(
  type: string,
  message: string,
  details: string,
  extra: Readonly<Record<string, unknown>> = {},
): NodeFault {
  return { type, message, details, extra_info: extra };
}
