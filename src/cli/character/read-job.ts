import { mergeJobs, parseCharacterJob, readJobFile } from '../../character/job-file.js';
import { withAbsolutePaths } from '../../character/job-paths.js';
import type { CharacterJob, CharacterStage } from '../../character/job.js';
import { loadGraph } from '../../comfyui/graph-template.js';
import { TowerError } from '../../errors.js';
import type { JobOptions } from './job-options.js';

type JobFields = Readonly<Record<string, unknown>>;

/** A job as it is sent, and as it is meant with all defaults. */
export interface ReadJob {
  readonly fields: JobFields;
  readonly job: CharacterJob;
}

/**
 * The job that a command line asks for: the file, then flags over it, then `--with`. A graph is read here, because the file
 * need not be on the GPU host.
 *
 * @throws TowerError `CHARACTER_JOB_INVALID` with every fault; `GRAPH_INVALID`; `USAGE`.
 */
export async function readJob(options: JobOptions, stages?: readonly CharacterStage[]): Promise<ReadJob> {
  const file = options.job === undefined ? {} : await readJobFile(options.job);
  const flags = mergeJobs(flagFields(options), stages === undefined ? {} : { stages });
  const settings = (options.with ?? []).map(settingFields);
  const fields = [flags, ...settings].reduce(mergeJobs, file);
  const job = parseCharacterJob(fields);
  if (typeof job.graph !== 'string' || job.graph === 'default') return { fields, job };
  const { graph } = await loadGraph(job.graph);
  return { fields: { ...fields, graph }, job: { ...job, graph } };
}

/** What the flags say of a job; paths are meant from the working directory. */
export function flagFields(options: JobOptions): JobFields {
  const { size, baseModel, baseModelKind, networkDim, networkAlpha, epochs, learningRate, alias, deliverSimulated } =
    options;
  const { name, description, tags, trigger, output, count, minImages, seed, steps, cfg, sampler, scheduler } = options;
  const kohya = withoutGaps({
    pretrained_model_name_or_path: baseModel,
    network_dim: networkDim,
    network_alpha: networkAlpha,
    max_train_epochs: epochs,
    learning_rate: learningRate,
  });
  const deliver = withoutGaps({ alias, simulated: deliverSimulated });
  const fields = withoutGaps({
    ...{ name, description, tags, trigger, output, count, minImages, seed, steps, cfg, sampler, scheduler },
    outputDir: options.outputDir,
    dataset: options.dataset,
    width: size?.width,
    height: size?.height,
    checkpoint: options.checkpoint,
    baseModelKind,
    graph: options.graph,
    review: options.review,
    overwriteCaptions: options.overwriteCaptions,
    priority: options.priority,
    host: options.host,
    allowSimulated: options.allowSimulated,
    kohya: Object.keys(kohya).length === 0 ? undefined : kohya,
    deliver: Object.keys(deliver).length === 0 ? undefined : deliver,
  });
  return withAbsolutePaths(fields, '.');
}

/** `kohya.network_dim=16` as a job with only that key. A value is JSON where it can be read as such, else a text. */
function settingFields(setting: string): JobFields {
  const [, path, text] = /^([\w.]+)=(.*)$/s.exec(setting) ?? [];
  if (path === undefined || text === undefined) {
    throw new TowerError('USAGE', `--with expects path=value, found ${JSON.stringify(setting)}`, {
      next: 'For example: --with kohya.network_dim=16',
    });
  }
  const fields = path.split('.').reduceRight<unknown>((value, key) => ({ [key]: value }), valueOf(text)) as JobFields;
  return withAbsolutePaths(fields, '.');
}

function valueOf(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return text;
  }
}

function withoutGaps(fields: Readonly<Record<string, unknown>>): JobFields {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
}
