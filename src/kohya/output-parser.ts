import type { LineParser } from '../training/trainer-driver.js';
import type { TrainerEvent } from '../training/trainer-events.js';
import { parseProgressBar, type ProgressBar } from './progress-bar.js';
import { outputFiles } from './run-files.js';

/** What the driver knows that the trainer does not print. */
export interface ParserContext {
  readonly simulated: boolean;
  readonly outputName: string;
  /** It draws samples after each epoch. A state is told of only when they are drawn too: a pause ends the trainer there. */
  readonly samples: boolean;
}

type Facts = Record<string, string | number | boolean | null>;

/** Lines on stdout whose number or word is a fact about the run. Many go on in Japanese after a slash. */
const factLines: readonly (readonly [name: string, pattern: RegExp])[] = [
  ['device', /^accelerator device: (\S+)/],
  ['networkModule', /^import network module: (\S+)/],
  ['trainImagesWithRepeats', /^\s+num train images \* repeats.*: (\d+)$/],
  ['heldOutImages', /^\s+num validation images \* repeats.*: (\d+)$/],
  ['batchesPerEpoch', /^\s+num batches per epoch.*: (\d+)$/],
  ['epochs', /^\s+num epochs.*: (\d+)$/],
  ['batchSize', /^\s+batch size per device.*: (\d+)/],
  ['accumulation', /^\s+gradient accumulation steps.* = (\d+)$/],
  ['textEncoderModules', /^enable LoRA for text encoder: (\d+) modules/],
  ['unetModules', /^enable LoRA for U-Net: (\d+) modules/],
];

/**
 * Reads what sd-scripts prints (contract kohya.md, section 5): the plan and the epochs on stdout, the bars on stderr.
 *
 * Its own step counter begins at 0 after every resume, so a step is what was done before plus what the bar says; what was
 * done before follows from the first epoch that it announces. The bars of both streams may be read in any order: those that come before the
 * announcement wait for it. `loss` of a step is a mean over the last epoch's worth of steps; most steps are told twice, and the
 * second time with their loss. `time` is that of the reading: sd-scripts tells none.
 */
export function createOutputParser(context: ParserContext): LineParser {
  const parser = new OutputParser(context);
  return (line, stream) => parser.parse(line, stream);
}

class OutputParser {
  readonly #context: ParserContext;
  readonly #facts: Facts = {};
  #totalSteps: number | undefined;
  #stepsPerEpoch: number | undefined;
  /** `undefined` until the first epoch is announced. */
  #doneBefore: number | undefined;
  #waitingBars: ProgressBar[] = [];
  #step = 0;
  #trainLoss: number | undefined;
  #heldOutLoss: number | undefined;
  #stateEpoch: number | undefined;
  #saved = false;
  #diverged = false;

  constructor(context: ParserContext) {
    this.#context = context;
  }

  parse(line: string, stream: 'stdout' | 'stderr'): TrainerEvent[] {
    const bar = parseProgressBar(line);
    if (bar !== undefined) return this.#takeBar(bar);
    return stream === 'stdout' ? this.#takeLine(line) : [];
  }

  #takeLine(line: string): TrainerEvent[] {
    for (const [name, pattern] of factLines) {
      const text = pattern.exec(line)?.[1];
      if (text !== undefined) this.#facts[name] = /^\d+$/.test(text) ? Number(text) : text;
    }
    const total = /^\s+total optimization steps.*: (\d+)$/.exec(line)?.[1];
    if (total !== undefined) this.#totalSteps = Number(total);
    const epoch = /^epoch (\d+)\/(\d+)$/.exec(line);
    if (epoch !== null) return this.#beginEpoch(Number(epoch[1]), Number(epoch[2]));
    const state = /^saving state at epoch (\d+)$/.exec(line)?.[1];
    if (state !== undefined) this.#stateEpoch = Number(state);
    // The last file of a state; messages of accelerate begin with the rank of the process.
    if (line.includes('Random states saved in ') && !this.#context.samples) return this.#endState();
    if (line === 'model saved.') {
      this.#saved = true;
      return this.#endTraining();
    }
    return [];
  }

  #beginEpoch(epoch: number, epochs: number): TrainerEvent[] {
    const events = this.#endState();
    if (this.#doneBefore !== undefined || this.#totalSteps === undefined || this.#totalSteps <= 0) return events;
    this.#stepsPerEpoch = this.#totalSteps / epochs;
    this.#doneBefore = (epoch - 1) * this.#stepsPerEpoch;
    this.#step = this.#doneBefore;
    const start: TrainerEvent = {
      event: 'start',
      time: now(),
      resumedFromStep: this.#doneBefore,
      totalSteps: this.#totalSteps,
      simulated: this.#context.simulated,
      facts: { ...this.#facts },
    };
    const waiting = this.#waitingBars;
    this.#waitingBars = [];
    return [...events, start, ...waiting.flatMap((bar) => this.#takeBar(bar))];
  }

  #takeBar(bar: ProgressBar): TrainerEvent[] {
    if (this.#doneBefore === undefined) {
      this.#waitingBars.push(bar);
      return [];
    }
    if (bar.loss !== undefined && !Number.isFinite(bar.loss)) return this.#diverge(bar);
    return bar.kind === 'steps' ? this.#takeStep(bar, this.#doneBefore) : this.#takeValidation(bar);
  }

  #takeStep({ done, total, secondsPerStep, loss }: ProgressBar, doneBefore: number): TrainerEvent[] {
    if (done === 0 || this.#stepsPerEpoch === undefined) return [];
    const known = loss !== undefined && loss === this.#trainLoss;
    if (known && this.#step === doneBefore + done) return this.#endTraining();
    this.#step = doneBefore + done;
    this.#trainLoss = loss ?? this.#trainLoss;
    const step: TrainerEvent = {
      event: 'step',
      time: now(),
      step: this.#step,
      totalSteps: total,
      epoch: this.#step / this.#stepsPerEpoch,
      // The first bar of a step still has the loss of the step before.
      ...(loss !== undefined && !known && { loss }),
      ...(secondsPerStep !== undefined && {
        stepsPerSecond: 1 / secondsPerStep,
        etaSeconds: (total - this.#step) * secondsPerStep,
      }),
    };
    return [step, ...this.#endTraining()];
  }

  /** The bar of a finished validation is printed twice too; the second one counts. */
  #takeValidation({ done, total, loss }: ProgressBar): TrainerEvent[] {
    if (done < total || loss === undefined) return [];
    this.#heldOutLoss = loss;
    const samples = Number(this.#facts['heldOutImages'] ?? 0) || 1;
    return [{ event: 'eval', time: now(), step: this.#step, loss, samples }];
  }

  /** sd-scripts goes on with a loss that is no number; nothing good can come of it. */
  #diverge({ kind, done, loss }: ProgressBar): TrainerEvent[] {
    if (this.#diverged) return [];
    this.#diverged = true;
    const where = kind === 'steps' ? `the loss of step ${(this.#doneBefore ?? 0) + done}` : 'the held-out loss';
    const after = kind === 'steps' ? '' : ` after step ${this.#step}`;
    const message = `${where}${after} is ${Number.isNaN(loss) ? 'NaN' : 'infinite'}`;
    return [{ event: 'error', time: now(), class: 'diverged', message }];
  }

  /** A state that was announced is complete: its last file is there, and at the latest when the next epoch begins. */
  #endState(): TrainerEvent[] {
    const epoch = this.#stateEpoch;
    this.#stateEpoch = undefined;
    if (epoch === undefined || this.#stepsPerEpoch === undefined) return [];
    const path = outputFiles.epochState(this.#context.outputName, epoch);
    return [{ event: 'checkpoint', time: now(), step: epoch * this.#stepsPerEpoch, path }];
  }

  /** After `model saved.` and the last bar, whichever is read second. */
  #endTraining(): TrainerEvent[] {
    const total = this.#totalSteps;
    if (this.#diverged || !this.#saved || total === undefined || this.#step < total) return [];
    if (this.#trainLoss === undefined) return [];
    const heldOutLoss = this.#heldOutLoss;
    const held = heldOutLoss === undefined ? {} : { heldOutLoss };
    return [{ event: 'done', time: now(), step: total, trainLoss: this.#trainLoss, ...held }];
  }
}

function now(): string {
  return new Date().toISOString();
}
