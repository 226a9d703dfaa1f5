import { expect, it } from 'vitest';

import { createOutputParser } from '../../src/kohya/output-parser.js';
import { parseProgressBar } from '../../src/kohya/progress-bar.js';

const context = { simulated: false, outputName: 'elara_lora', samples: false };

/** Lines as sd-scripts 0.10.1 printed them with `--console_log_simple`. */
const plan = [
  'accelerator device: cpu',
  'create LoRA for Text Encoder: 12 modules.',
  'enable LoRA for text encoder: 12 modules',
  'enable LoRA for U-Net: 192 modules',
  'running training / 学習開始',
  '  num train images * repeats / 学習画像の数×繰り返し回数: 12',
  '  num validation images * repeats / 学習画像の数×繰り返し回数: 2',
  '  num batches per epoch / 1epochのバッチ数: 12',
  '  num epochs / epoch数: 4',
  '  batch size per device / バッチサイズ: 1',
  '  gradient accumulation steps / 勾配を合計するステップ数 = 1',
  '  total optimization steps / 学習ステップ数: 48',
];
const barOf = (step: number, loss: string) =>
  `steps:  35%|███▌      | ${step}/48 [00:55<01:24,  2.21s/it, avr_loss=${loss}]`;
const validated = (loss: string) =>
  `epoch validation steps: 100%|██████████| 8/8 [00:34<00:00,  4.25s/it, val_epoch_avg_loss=${loss}, timestep=800]`;

type Line = readonly ['stdout' | 'stderr', string];
const out = (...lines: string[]): Line[] => lines.map((line) => ['stdout', line]);
const errors = (...lines: string[]): Line[] => lines.map((line) => ['stderr', line]);

function eventsOf(lines: readonly Line[], options = context): object[] {
  const parse = createOutputParser(options);
  return lines
    .flatMap(([stream, line]) => parse(line, stream))
    .map((event) => Object.fromEntries(Object.entries(event).filter(([key]) => key !== 'time')));
}

it('reads the plan, the steps, the held-out loss, the states and the end', () => {
  const events = eventsOf([
    ...out(...plan, 'epoch 1/4', 'epoch is incremented. current_epoch: 0, epoch: 1'),
    ...errors('steps:   0%|          | 0/48 [00:00<?, ?it/s]', barOf(12, '0.992'), barOf(12, '1'), validated('1.11')),
    ...out(
      'saving checkpoint: /run/output/elara_lora-000001.safetensors',
      'saving state at epoch 1',
      '[RANK 0] Optimizer state saved in /run/output/elara_lora-000001-state/optimizer.bin',
      '[RANK 0] Random states saved in /run/output/elara_lora-000001-state/random_states_0.pkl',
    ),
    ...errors(barOf(48, '0.9')),
    ...out('model saved.'),
  ]);
  expect(events).toEqual([
    {
      event: 'start',
      resumedFromStep: 0,
      totalSteps: 48,
      simulated: false,
      facts: {
        device: 'cpu',
        textEncoderModules: 12,
        unetModules: 192,
        trainImagesWithRepeats: 12,
        heldOutImages: 2,
        batchesPerEpoch: 12,
        epochs: 4,
        batchSize: 1,
        accumulation: 1,
      },
    },
    expect.objectContaining({ event: 'step', step: 12, totalSteps: 48, epoch: 1, loss: 0.992 }),
    expect.objectContaining({ event: 'step', step: 12, loss: 1, stepsPerSecond: 1 / 2.21, etaSeconds: 36 * 2.21 }),
    { event: 'eval', step: 12, loss: 1.11, samples: 2 },
    { event: 'checkpoint', step: 12, path: 'elara_lora-000001-state' },
    expect.objectContaining({ event: 'step', step: 48 }),
    { event: 'done', step: 48, trainLoss: 0.9, heldOutLoss: 1.11 },
  ]);
});

it('a resumed run begins to count anew: its steps are what was done before and what the bar says', () => {
  const steps = eventsOf([...out(...plan, 'epoch 3/4'), ...errors(barOf(1, '0.9'), barOf(24, '0.8'))]);
  expect(steps).toMatchObject([
    { event: 'start', resumedFromStep: 24 },
    { step: 25, loss: 0.9 },
    { step: 48, etaSeconds: 0 },
  ]);
});

it('each loss is told once, with the step that it belongs to', () => {
  const bars = errors(barOf(1, '0.9'), barOf(2, '0.9'), barOf(2, '0.8'), barOf(2, '0.8'), barOf(3, '0.7'));
  const [, ...steps] = eventsOf([...out(...plan, 'epoch 1/4'), ...bars]);
  expect(steps).toMatchObject([{ step: 1, loss: 0.9 }, { step: 2 }, { step: 2, loss: 0.8 }, { step: 3, loss: 0.7 }]);
  expect(steps[1]).not.toHaveProperty('loss');
});

it('the streams may be read one after the other', () => {
  const bars = errors(barOf(1, '0.9'), barOf(24, '0.8'), validated('1.2'));
  const lines = out(...plan, 'epoch 3/4', 'epoch 4/4', 'model saved.');
  const done = { event: 'done', step: 48, trainLoss: 0.8 };
  expect(eventsOf([...bars, ...lines]).at(-1)).toMatchObject({ ...done, heldOutLoss: 1.2 });
  expect(eventsOf([...lines, ...bars])).toMatchObject([
    { event: 'start' },
    { step: 25 },
    { step: 48 },
    done,
    { event: 'eval' },
  ]);
});

it('with samples, a state is told of when they are drawn', () => {
  const lines = out(...plan, 'epoch 1/4', 'saving state at epoch 1', '[RANK 0] Random states saved in /x');
  const sampling = { ...context, samples: true };
  expect(eventsOf(lines, sampling)).toMatchObject([{ event: 'start' }]);
  expect(eventsOf([...lines, ...out('epoch 2/4')], sampling)).toMatchObject([{}, { event: 'checkpoint', step: 12 }]);
});

it.each(['nan', 'inf'])('a loss that is %s is a fault, once', (loss) => {
  const lines = [...out(...plan, 'epoch 2/4'), ...errors(barOf(3, '0.9'), barOf(4, loss), barOf(5, loss))];
  const [, , ...faults] = eventsOf(lines);
  const message = `the loss of step 16 is ${loss === 'nan' ? 'NaN' : 'infinite'}`;
  expect(faults).toEqual([{ event: 'error', class: 'diverged', message }]);
});

it('tells bars of steps from other bars, and takes the last one in a line', () => {
  expect(parseProgressBar('steps:   0%|          | 0/36 [00:00<?, ?it/s]')).toEqual({
    kind: 'steps',
    done: 0,
    total: 36,
    secondsPerStep: undefined,
    loss: undefined,
  });
  const norms =
    'steps:  69%|██████▉   | 25/36 [1:00:55<00:24,  4.00it/s, Keys Scaled=3, Average key norm=0.1, avr_loss=1e-05]';
  expect(parseProgressBar(norms)).toMatchObject({ done: 25, secondsPerStep: 0.25, loss: 1e-5 });
  expect(parseProgressBar(`${barOf(3, '0.5')}${barOf(4, '0.6')}Traceback (most recent call last):`)).toMatchObject({
    done: 4,
    loss: 0.6,
  });
  for (const other of [
    ' 25%|██▌       | 1/4 [00:02<00:06,  2.09s/it]',
    'read caption: 100%|██████████| 6/6 [00:00<00:00, 29606.85it/s]',
    'validation steps: 100%|██████████| 8/8 [00:04<00:00,  2.00it/s, val_avg_loss=1.1, timestep=800]',
    'override steps. steps for 3 epochs is / 指定エポックまでのステップ数: 36',
  ]) {
    expect(parseProgressBar(other)).toBeUndefined();
  }
  const cut = (loss: string) => barOf(3, loss).slice(0, -1);
  for (const text of [cut('0.0'), cut('n'), cut(''), barOf(3, 'what')]) {
    expect(parseProgressBar(text)).toMatchObject({ done: 3, loss: undefined });
  }
  expect(parseProgressBar(`${validated('1.09')}\u001b[A`)).toMatchObject({ kind: 'validation', done: 8, loss: 1.09 });
});
