import { existsSync } from 'node:fs';

import { userPath } from '../files/user-path.js';
import { meansModelPath } from '../kohya/model-path.js';

type Fields = Readonly<Record<string, unknown>>;

/** Keys that hold the path of a folder. */
const folderKeys = ['outputDir', 'dataset'] as const;

/** Options of the trainer that hold the path of a model, or its name on the hub. */
const modelKeys = ['pretrained_model_name_or_path', 'vae'] as const;

/**
 * The fields of a job with its paths made absolute, as a person meant them.
 *
 * @param folder - Where relative paths begin; `.` is the working directory.
 */
export function withAbsolutePaths(fields: Fields, folder: string): Fields {
  const { graph, kohya, choose } = fields;
  const resolved = changing(fields, folderKeys, (path) => userPath(path, folder));
  return {
    ...resolved,
    ...(typeof graph === 'string' && graph !== 'default' && { graph: userPath(graph, folder) }),
    ...(isTable(kohya) && { kohya: changing(kohya, modelKeys, (model) => absoluteModel(model, folder)) }),
    ...(isTable(choose) && { choose: withAbsoluteScorer(choose, folder) }),
  };
}

/** A name on the hub stays as it is, unless it is also that of something that is there. */
function absoluteModel(model: string, folder: string): string {
  const path = userPath(model, folder);
  return meansModelPath(model) || existsSync(path) ? path : model;
}

/** Program and arguments: only what begins like a path is one for certain. */
function withAbsoluteScorer(choose: Fields, folder: string): Fields {
  const { scorer } = choose;
  if (!Array.isArray(scorer)) return choose;
  const absolute = (word: unknown) =>
    typeof word === 'string' && /^(~|\.{1,2})\//.test(word) ? userPath(word, folder) : word;
  return { ...choose, scorer: (scorer as unknown[]).map(absolute) };
}

function changing(fields: Fields, keys: readonly string[], change: (text: string) => string): Fields {
  const changed = keys.flatMap((key) => {
    const value = fields[key];
    return typeof value === 'string' && value !== '' ? [[key, change(value)] as const] : [];
  });
  return { ...fields, ...Object.fromEntries(changed) };
}

function isTable(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
