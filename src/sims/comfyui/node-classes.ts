import type { DialectFacts } from './dialect.js';
import { imageNodes } from './image-nodes.js';
import { loaderNodes } from './loader-nodes.js';
import type { InputDeclaration, Inputs, ListedFolders, NodeClass } from './node-class.js';
import { samplingNodes } from './sampling-nodes.js';

export const nodeClasses: ReadonlyMap<string, NodeClass> = new Map(
  [...loaderNodes, ...samplingNodes, ...imageNodes].map((node) => [node.name, node]),
);

/** An input as `/object_info` and `input_config` show it: type or choices, then options. */
export function inputConfig(
  declaration: InputDeclaration,
  folders: ListedFolders,
  { comboDeclarations }: DialectFacts,
): readonly [unknown, ...unknown[]] {
  switch (declaration.kind) {
    case 'choice': {
      const options = [...declaration.choices(folders)];
      return comboDeclarations ? ['COMBO', { options, multiselect: false }] : [options];
    }
    case 'link':
      return [declaration.type, {}];
    case 'INT':
    case 'FLOAT':
    case 'STRING':
    case 'BOOLEAN':
      return [declaration.kind, declaration.options];
  }
}

/** One class of `GET /object_info` (contract comfyui 10). */
export function objectInfo(node: NodeClass, folders: ListedFolders, dialect: DialectFacts): Record<string, unknown> {
  const shown = (inputs: Inputs) =>
    Object.fromEntries(Object.entries(inputs).map(([name, input]) => [name, inputConfig(input, folders, dialect)]));
  const groups = {
    required: shown(node.required),
    ...(node.optional !== undefined && { optional: shown(node.optional) }),
    ...(node.hidden !== undefined && { hidden: node.hidden }),
  };
  return {
    input: groups,
    input_order: Object.fromEntries(Object.entries(groups).map(([group, inputs]) => [group, Object.keys(inputs)])),
    ...(dialect.newerNodeFields && { is_input_list: false }),
    output: node.outputs.map(({ type }) => type),
    output_is_list: node.outputs.map(() => false),
    output_name: node.outputs.map(({ name }) => name),
    name: node.name,
    display_name: node.displayName,
    description: '',
    python_module: 'nodes',
    category: node.category,
    output_node: node.isOutput,
    ...(dialect.newerNodeFields && { search_aliases: [] }),
  };
}
