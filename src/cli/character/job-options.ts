import { InvalidArgumentError, Option, type Command } from 'commander';

/** Flags that say something of a job, as commander gives them. */
export interface JobOptions {
  readonly job?: string;
  readonly name?: string;
  readonly description?: string;
  readonly tags?: string;
  readonly trigger?: string;
  readonly output?: string;
  readonly outputDir?: string;
  readonly dataset?: string;
  readonly count?: number;
  readonly minImages?: number;
  readonly seed?: number;
  readonly size?: { readonly width: number; readonly height: number };
  readonly steps?: number;
  readonly cfg?: number;
  readonly sampler?: string;
  readonly scheduler?: string;
  readonly checkpoint?: string;
  readonly graph?: string;
  readonly baseModel?: string;
  readonly baseModelKind?: string;
  readonly networkDim?: number;
  readonly networkAlpha?: number;
  readonly epochs?: number;
  readonly learningRate?: number;
  readonly with?: readonly string[];
  readonly priority?: string;
  readonly host?: string;
  readonly review?: boolean;
  readonly overwriteCaptions?: boolean;
  readonly alias?: boolean;
  readonly allowSimulated?: boolean;
  readonly deliverSimulated?: boolean;
}

/** Which parts of the pipeline a command is about. */
export interface JobParts {
  readonly images?: boolean;
  readonly captions?: boolean;
  readonly training?: boolean;
  /** It works on a dataset that is there. */
  readonly existing?: boolean;
}

/** Adds the flags of a job to a command. Everything else of a job stands in its file, or is set by `--with`. */
export function addJobOptions(command: Command, { images, captions, training, existing }: JobParts): Command {
  const options = [
    new Option('--job <file>', 'job file, TOML or JSON; flags come before it'),
    new Option('--name <name>', 'name of the character'),
    ...(existing ? [new Option('--dataset <folder>', 'existing dataset folder, the one with images/ in it')] : []),
    ...descriptionOptions,
    ...(images ? datasetOptions : []),
    ...(captions ? captionOptions : []),
    // The training takes its resolution and its proof images from them.
    ...(images || training ? renderingOptions : []),
    ...(training ? trainingOptions : []),
    new Option(
      '--with <path=value>',
      'any other key of a job, such as kohya.network_dim=16; may be repeated',
    ).argParser(collect),
    new Option('--priority <level>', 'urgent, high, normal or low'),
    new Option('--host <name>', 'GPU host to run on; default: the least busy one'),
  ];
  for (const option of options) command.addOption(option);
  return command;
}

const descriptionOptions = [
  new Option('--description <text>', 'what the character looks like; begins every prompt'),
  new Option('--tags <list>', 'tags of captions and proof, with commas'),
  new Option('--trigger <word>', 'the word that calls the character; default: its name'),
];

const captionOptions = [new Option('--overwrite-captions', 'write captions anew that a person has edited')];

const datasetOptions = [
  new Option('--output-dir <folder>', 'dataset folder; default: the next free <Name>-v<N>'),
  new Option('--count <number>', 'images; default: 40').argParser(number),
  new Option('--min-images <number>', 'fewer accepted images end the run before training; default: 90 %').argParser(
    number,
  ),
  new Option('--seed <number>', 'everything that is drawn follows from it; default: 1').argParser(number),
  new Option('--review', 'wait for `tower character approve` before the training'),
];

const renderingOptions = [
  new Option('--size <width>x<height>', 'default: 768x768').argParser(size),
  new Option('--steps <number>', 'sampling steps; default: 28').argParser(number),
  new Option('--cfg <number>', 'default: 7.5').argParser(number),
  new Option('--sampler <name>', 'default: dpmpp_2m'),
  new Option('--scheduler <name>', 'default: karras'),
  new Option('--checkpoint <name>', 'as ComfyUI lists it; default: dreamshaper_8.safetensors'),
  new Option('--graph <file>', 'a graph of your own in API format, with placeholders'),
];

const trainingOptions = [
  new Option('--output <name>', 'name of the LoRA; default: <lower_snake_name>_lora'),
  new Option('--base-model <path>', 'checkpoint to train on; default: the one that renders'),
  new Option('--base-model-kind <kind>', 'what it is: sd (1.x, 2.x), sdxl or flux; default: sd'),
  new Option('--network-dim <number>', 'rank; default: 32').argParser(number),
  new Option('--network-alpha <number>', 'default: 16').argParser(number),
  new Option('--epochs <number>', 'default: 15').argParser(number),
  new Option('--learning-rate <number>', 'default: 0.0001').argParser(number),
  new Option('--alias', 'also publish the LoRA under its name without a version'),
  new Option('--allow-simulated', 'train with the stand-in where sd-scripts is missing'),
  new Option('--deliver-simulated', 'publish a simulated LoRA, under a name that says so'),
];

function collect(value: string, all: readonly string[] = []): string[] {
  return [...all, value];
}

function number(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !Number.isFinite(value)) throw new InvalidArgumentError('Expected a number.');
  return value;
}

function size(text: string): { width: number; height: number } {
  const [, width, height] = /^(\d+)x(\d+)$/.exec(text) ?? [];
  if (width === undefined || height === undefined) throw new InvalidArgumentError('Expected a size such as 768x768.');
  return { width: Number(width), height: Number(height) };
}
