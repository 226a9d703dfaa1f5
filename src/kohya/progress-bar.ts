/** One printing of a progress bar (contract kohya.md, section 5.3). */
export interface ProgressBar {
  readonly kind: 'steps' | 'validation';
  /** Counts from the start of the launch. */
  readonly done: number;
  readonly total: number;
  /** Seconds; `undefined` where the bar has no rate yet. */
  readonly secondsPerStep: number | undefined;
  /** Mean over the last epoch's worth of steps, or over the held-out images so far; may be NaN or infinite. */
  readonly loss: number | undefined;
}

/** `steps:` also ends the names of two other bars. Blocks, counts, elapsed and remaining time, rate, postfix. */
const bar =
  /(?<name>(?:epoch )?validation steps|steps):\s+\d+%\|[^|]*\|\s*(?<done>\d+)\/(?<total>\d+)\s+\[[\d:]+<[\d:?]+,\s+(?<rate>[\d.]+|\?)\s?(?<unit>it\/s|s\/it)(?<postfix>[^\]]*)(?<end>\]?)/g;
const lossKeys = { steps: 'avr_loss', validation: 'val_epoch_avg_loss' } as const;

/** The last bar in a line: a message may follow one without a line end, and codes that move the cursor may stand between. */
export function parseProgressBar(line: string): ProgressBar | undefined {
  if (!line.includes('steps:')) return undefined;
  const groups = [...line.matchAll(bar)].at(-1)?.groups;
  if (groups === undefined) return undefined;
  const { name, done, total, rate, unit, postfix = '', end } = groups;
  // Validations between epochs tell nothing about an epoch.
  if (name === 'validation steps') return undefined;
  const kind = name === 'steps' ? 'steps' : 'validation';
  const perSecond = Number(rate);
  const secondsPerStep = unit === 's/it' ? perSecond : 1 / perSecond;
  return {
    kind,
    done: Number(done),
    total: Number(total),
    secondsPerStep: Number.isFinite(secondsPerStep) && secondsPerStep > 0 ? secondsPerStep : undefined,
    // A bar that was cut, as on a full disk, may hold the first digits of a loss.
    loss: end === ']' ? lossIn(postfix, lossKeys[kind]) : undefined,
  };
}

function lossIn(postfix: string, key: string): number | undefined {
  const text = new RegExp(`\\b${key}=([^,\\s]+)`).exec(postfix)?.[1];
  if (text === undefined) return undefined;
  const special = new Map([
    ['nan', NaN],
    ['inf', Infinity],
    ['-inf', -Infinity],
  ]);
  // What is no number at all says nothing; only the trainer's own word for it is a loss that went wrong.
  const number = Number(text);
  return special.get(text) ?? (Number.isNaN(number) ? undefined : number);
}
