import { parse } from 'smol-toml';
import { expect, it } from 'vitest';

import { resolveOptions } from '../../src/kohya/base-model.js';
import { configFile, datasetFile } from '../../src/kohya/config-files.js';
import { planHeldOut } from '../../src/kohya/held-out.js';
import { parseKohyaOptions, type KohyaOptionsInput } from '../../src/kohya/options.js';

const file = {
  outputDirectory: '/run/output',
  outputName: 'elara_lora',
  tensorboard: '/run/tb',
  comment: 'tower run x',
};

function optionsOf(options: KohyaOptionsInput = { pretrained_model_name_or_path: '/m.safetensors' }) {
  return resolveOptions('sd', parseKohyaOptions({ ...options }), 'no');
}

it('W13: config.toml is TOML with the options of the trainer, and none of the data set', () => {
  const text = configFile(optionsOf(), { ...file, heldOutShare: 0.28125, samplePrompts: '/run/samples.json' });
  const values = parse(text);
  expect(values).toMatchObject({
    network_module: 'networks.lora',
    network_dim: 32,
    learning_rate: 0.0001,
    mixed_precision: 'no',
    sdpa: true,
    resolution: '768,768',
    output_dir: '/run/output',
    save_state: true,
    validation_split: 0.28125,
    sample_prompts: '/run/samples.json',
    sample_every_n_epochs: 1,
    training_comment: 'tower run x',
  });
  expect(Object.keys(values)).not.toEqual(expect.arrayContaining(['num_repeats']));
  expect(values['xformers']).toBeUndefined();
  // Python tells whole numbers from others by the point.
  expect(text).toMatch(/^network_dim = 32$/m);
  expect(text).toMatch(/^lr_warmup_steps = 100$/m);
});

it('min-SNR weighting can be switched off', () => {
  const options = { pretrained_model_name_or_path: '/m.safetensors', min_snr_gamma: 0 };
  expect(parse(configFile(optionsOf(options), file))['min_snr_gamma']).toBe(0);
});

it('without held-out images or samples their options are left out, for sd-scripts that do not know them', () => {
  const keys = Object.keys(parse(configFile(optionsOf(), file)));
  expect(keys.filter((key) => /validat|sample/.test(key))).toEqual([]);
});

it('W12: dataset.toml names the folder itself, whatever it is called', () => {
  const options = optionsOf({
    pretrained_model_name_or_path: '/m.safetensors',
    reg_data_dir: '/reg',
    face_crop_aug_range: [2, 4],
    network_multiplier: 1,
    caption_prefix: '"quoted" \\ # no comment, ',
    train_batch_size: 2,
  });
  const text = datasetFile(options, '/data/Elara-v1/images');
  expect(parse(text)).toEqual({
    datasets: [
      {
        resolution: [768, 768],
        network_multiplier: 1,
        batch_size: 2,
        subsets: [
          expect.objectContaining({
            image_dir: '/data/Elara-v1/images',
            num_repeats: 10,
            shuffle_caption: true,
            keep_tokens: 1,
            caption_extension: '.txt',
            caption_prefix: '"quoted" \\ # no comment, ',
          }),
          expect.objectContaining({ image_dir: '/reg', is_reg: true, num_repeats: 1 }),
        ],
      },
    ],
  });
  expect(text).toContain('face_crop_aug_range = [ 2.0, 4.0 ]');
  expect(text).toContain('network_multiplier = 1.0');
});

it('holds out whole images, never one that is trained on too', () => {
  for (let images = 1; images <= 300; images += 1) {
    for (const share of [0.05, 0.1, 0.25, 0.5]) {
      const { heldOut, share: told } = planHeldOut(images, { share, seed: 1, validation: true });
      if (!heldOut.available || told === undefined) {
        expect(Math.min(images - 1, Math.round(images * share))).toBe(0);
        continue;
      }
      // How sd-scripts splits: the first part up to, the second part from.
      const [upTo, from] = [Math.ceil(images * (1 - told)), images - Math.round(images * told)];
      expect([upTo, images - from]).toEqual([from, heldOut.images]);
    }
  }
  const reason = (share: number, validation: boolean) => planHeldOut(8, { share, seed: 1, validation }).heldOut;
  expect(reason(0.1, false)).toMatchObject({
    available: false,
    reason: expect.stringContaining('cannot hold') as string,
  });
  expect(reason(0, true)).toMatchObject({ available: false, reason: 'validation_split is 0' });
});
