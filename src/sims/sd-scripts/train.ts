import { existsSync, rmSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { isAbsolute, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { sha256Of } from '../../files/sha256.js';
import { baseModels } from '../../kohya/base-model.js';
import { kindOfFile } from '../../kohya/model-kind.js';
import { numberOf, textOf, type Arguments } from './command-line.js';
import { Bar, log, logSimply, print, PythonError, PythonExit } from './console.js';
import { readImages, type Images } from './dataset.js';
import { countLaunch, faultOfLaunch, injectFault } from './faults.js';
import { heldOutLossAfter, lossAt, LossWindow } from './losses.js';
import { modulesOf, writeLora, type Module } from './network.js';
import { drawSamples, sixDigits } from './samples.js';
import { loadState, removeState, saveState, type TrainingState } from './states.js';
import type { SdScriptsFault, SdScriptsSimulation } from './simulation.js';

/**
 * Trains in appearance: output, files, resume and end of sd-scripts, with time instead of arithmetic. The numbers of a LoRA follow from
 * the data, the options and every single step, so that a resume which loses or repeats one shows.
 *
 * The flaws of the real one are here too: a resumed run counts its steps from 0, in its bar, in the names of its metadata and in the
 * states that it saves, so that the next resume begins at a wrong epoch unless it is told one.
 */
export async function simulateTraining(
  script: string,
  args: Arguments,
  simulation: SdScriptsSimulation,
): Promise<void> {
  if (args['console_log_simple'] === true) logSimply();
  const outputDirectory = textOf(args, 'output_dir') ?? '.';
  const fault = faultOfLaunch(simulation, countLaunch(outputDirectory));
  const images = await readImages(args);
  if (images.training === 0 || fault?.kind === 'no-images') {
    log('No data found. Please verify arguments (train_data_dir must be the parent of folders with images)');
    return;
  }
  checkScheduler(args);
  log('preparing accelerator');
  print('accelerator device: cpu');
  await checkModel(script, args);
  const training = new Training({ script, args, images, simulation, fault });
  await mkdir(outputDirectory, { recursive: true });
  await training.run();
  if (fault?.kind === 'fail-after-save') throw new PythonExit(1);
}

/** What is no file is taken for a folder of diffusers, then for a model of the hub; an absolute path is none. */
async function checkModel(script: string, args: Arguments): Promise<void> {
  const model = textOf(args, 'pretrained_model_name_or_path') ?? '';
  if (isAbsolute(model) && !existsSync(model)) {
    throw new PythonError(
      'ValueError',
      `The provided pretrained_model_name_or_path "${model}" is neither a valid local path nor a valid repo id. Please check the parameter.`,
    );
  }
  const kind = await kindOfFile(model);
  if (kind !== undefined && baseModels[kind].script !== script) {
    throw new PythonError('RuntimeError', `Error(s) in loading state_dict: "${model}" has other keys (simulated)`);
  }
  if (script !== baseModels.flux.script) return;
  for (const name of ['clip_l', 't5xxl', 'ae']) {
    const path = textOf(args, name);
    if (path === undefined || !existsSync(path)) {
      throw new PythonError('FileNotFoundError', `No such file or directory: ${path ?? `None (${name})`}`);
    }
  }
}

function checkScheduler(args: Arguments): void {
  if (args['lr_scheduler'] !== 'constant' || numberOf(args, 'lr_warmup_steps', 0) === 0) return;
  throw new PythonError('ValueError', 'constant does not require `num_warmup_steps`. Set None or 0.');
}

interface TrainingInput {
  readonly script: string;
  readonly args: Arguments;
  readonly images: Images;
  readonly simulation: SdScriptsSimulation;
  readonly fault: SdScriptsFault | undefined;
}

class Training {
  readonly #input: TrainingInput;
  readonly #modules: readonly Module[];
  readonly #epochs: number;
  readonly #stepsPerEpoch: number;
  readonly #shape: string;
  readonly #losses = new LossWindow();
  #state: TrainingState;
  /** Counts from the start of the launch, whatever was done before. */
  #stepOfLaunch = 0;

  constructor(input: TrainingInput) {
    this.#input = input;
    const { args, images, script } = input;
    this.#modules = modulesOf(script, args);
    this.#epochs = numberOf(args, 'max_train_epochs', 1);
    this.#stepsPerEpoch = Math.ceil(images.batches / numberOf(args, 'gradient_accumulation_steps', 1));
    const names = this.#modules.map(({ name }) => name);
    this.#shape = sha256Of(JSON.stringify([names, args['optimizer_type'], args['network_dim']]));
    const order = [images.sha256, args['seed'], args['learning_rate'], this.#epochs, script];
    this.#state = { chain: sha256Of(JSON.stringify(order)), step: 0, shape: this.#shape };
  }

  async run(): Promise<void> {
    const { args, images } = this.#input;
    const total = this.#epochs * this.#stepsPerEpoch;
    this.#announceNetwork();
    print(`override steps. steps for ${this.#epochs} epochs is / 指定エポックまでのステップ数: ${total}`);
    const initialStep = this.#resume();
    print('running training / 学習開始');
    print(`  num train images * repeats / 学習画像の数×繰り返し回数: ${images.training}`);
    print(`  num validation images * repeats / 学習画像の数×繰り返し回数: ${images.heldOut}`);
    print('  num reg images / 正則化画像の数: 0');
    print(`  num batches per epoch / 1epochのバッチ数: ${images.batches}`);
    print(`  num epochs / epoch数: ${this.#epochs}`);
    print(`  batch size per device / バッチサイズ: ${numberOf(args, 'train_batch_size', 1)}`);
    print(
      `  gradient accumulation steps / 勾配を合計するステップ数 = ${numberOf(args, 'gradient_accumulation_steps', 1)}`,
    );
    print(`  total optimization steps / 学習ステップ数: ${total}`);
    if (initialStep >= total) {
      throw new PythonError(
        'AssertionError',
        `max_train_steps should be greater than initial step: ${total} vs ${initialStep}`,
      );
    }
    const bar = new Bar('steps', total);
    for (let epoch = Math.floor(initialStep / this.#stepsPerEpoch) + 1; epoch <= this.#epochs; epoch += 1) {
      print(`\nepoch ${epoch}/${this.#epochs}\n`);
      await this.#trainEpoch(epoch, bar);
      this.#validate(epoch);
      await this.#saveEpoch(epoch);
      await drawSamples(args, { epoch, stepOfLaunch: this.#stepOfLaunch, chain: this.#state.chain });
    }
    if (args['save_state'] === true) {
      log('saving last state.');
      await this.#saveState(`${this.#outputName}-state`, this.#epochs);
    }
    await this.#saveLora(`${this.#outputName}.safetensors`, this.#epochs);
    log('model saved.');
  }

  get #outputName(): string {
    return textOf(this.#input.args, 'output_name') ?? 'last';
  }

  #announceNetwork(): void {
    print(`import network module: ${String(this.#input.args['network_module'])}`);
    for (const target of ['text encoder', 'U-Net'] as const) {
      const count = this.#modules.filter((module) => module.target === target).length;
      if (count > 0) log(`enable LoRA for ${target}: ${count} modules`);
    }
  }

  /** @returns the steps that are taken as done before: those of the epoch that it is told, else those that the state counted. */
  #resume(): number {
    const { args } = this.#input;
    const folder = textOf(args, 'resume');
    const loaded = folder === undefined ? undefined : loadState(folder, this.#shape);
    if (loaded !== undefined) this.#state = loaded.state;
    const initialEpoch = numberOf(args, 'initial_epoch', 0);
    if (initialEpoch > 0) {
      if (loaded !== undefined) log('steps from the state is ignored because initial_step is specified');
      return (initialEpoch - 1) * this.#stepsPerEpoch;
    }
    return loaded?.counter.stepOfLaunch ?? 0;
  }

  async #trainEpoch(epoch: number, bar: Bar): Promise<void> {
    const { simulation, fault } = this.#input;
    for (let index = 0; index < this.#stepsPerEpoch; index += 1) {
      const step = (epoch - 1) * this.#stepsPerEpoch + index + 1;
      await injectFault(fault, step);
      await sleep((simulation.secondsPerStep ?? 0.02) * 1000);
      this.#state = { ...this.#state, step, chain: sha256Of(`${this.#state.chain} ${step}`) };
      this.#stepOfLaunch += 1;
      const before = this.#losses.mean;
      const diverged = fault?.kind === 'nan' && step >= (fault.atStep ?? 1);
      this.#losses.set(index, diverged ? Number.NaN : lossAt(this.#state, this.#epochs * this.#stepsPerEpoch));
      bar.advance();
      if (before !== undefined) bar.print({ avr_loss: before });
      bar.print({ avr_loss: this.#losses.mean ?? 0 });
    }
  }

  #validate(epoch: number): void {
    const { args, images } = this.#input;
    if (images.heldOut === 0 || epoch % numberOf(args, 'validate_every_n_epochs', 1) !== 0) return;
    // Four time steps for each image.
    const bar = new Bar('epoch validation steps', images.heldOut * 4, true);
    const loss = heldOutLossAfter(epoch, this.#epochs);
    for (let index = 0; index < images.heldOut * 4; index += 1) {
      bar.advance();
      bar.print({ val_epoch_avg_loss: loss, timestep: 200 * ((index % 4) + 1) });
    }
  }

  async #saveEpoch(epoch: number): Promise<void> {
    const { args } = this.#input;
    const every = numberOf(args, 'save_every_n_epochs', 0);
    if (every === 0 || epoch % every !== 0 || epoch >= this.#epochs) return;
    await this.#saveLora(`${this.#outputName}-${sixDigits(epoch)}.safetensors`, epoch);
    const kept = numberOf(args, 'save_last_n_epochs', 0);
    if (kept > 0) this.#removeLora(epoch - every * kept);
    if (args['save_state'] !== true) return;
    log(`saving state at epoch ${epoch}`);
    await this.#saveState(`${this.#outputName}-${sixDigits(epoch)}-state`, epoch);
    const keptStates = numberOf(args, 'save_last_n_epochs_state', kept);
    if (keptStates > 0) removeState(this.#path(`${this.#outputName}-${sixDigits(epoch - every * keptStates)}-state`));
  }

  async #saveLora(name: string, epoch: number): Promise<void> {
    const { script, args, fault } = this.#input;
    print(`\nsaving checkpoint: ${this.#path(name)}`);
    const kind = fault?.kind === 'zero-lora' ? 'zero' : Number.isNaN(this.#losses.mean) ? 'nan' : undefined;
    const metadata = { ss_epoch: String(epoch), ss_steps: String(this.#stepOfLaunch) };
    await writeLora(
      this.#path(name),
      this.#modules,
      { chain: this.#state.chain, fault: kind },
      { script, args, metadata },
    );
  }

  #removeLora(epoch: number): void {
    const path = this.#path(`${this.#outputName}-${sixDigits(epoch)}.safetensors`);
    print(`removing old checkpoint: ${path}`);
    rmSync(path, { force: true });
  }

  async #saveState(name: string, epoch: number): Promise<void> {
    const { script, args, fault } = this.#input;
    const torn = fault?.kind === 'torn-state' && this.#state.step >= (fault.atStep ?? 1);
    const counter = { epoch, stepOfLaunch: this.#stepOfLaunch };
    await saveState(this.#path(name), this.#state, counter, { script, modules: this.#modules, args, torn });
  }

  #path(name: string): string {
    return join(textOf(this.#input.args, 'output_dir') ?? '.', name);
  }
}
