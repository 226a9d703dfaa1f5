import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { mergeJobs, parseCharacterJob, readJobFile } from '../../src/character/job-file.js';
import type { KohyaSection } from '../../src/character/kohya-section.js';
import { flagFields } from '../../src/cli/character/read-job.js';

const least = { name: 'Elara', description: '1girl, brown hair' };

function faultOf(job: unknown): string {
  try {
    parseCharacterJob(job);
  } catch (error) {
    return (error as Error).message;
  }
  return '';
}

describe('a job', () => {
  it('needs a name and a description; the rest is as in the pipeline that Tower replaces', () => {
    expect(parseCharacterJob(least)).toMatchObject({
      trigger: 'Elara',
      output: 'elara_lora',
      count: 40,
      minImages: 36,
      width: 768,
      height: 768,
      steps: 28,
      cfg: 7.5,
      sampler: 'dpmpp_2m',
      scheduler: 'karras',
      checkpoint: 'dreamshaper_8.safetensors',
      graph: 'default',
      stages: ['generate', 'tag', 'train'],
      deliver: { alias: false, simulated: false },
      priority: 'normal',
      allowSimulated: false,
    });
  });

  it('writes its captions as .txt, so that a trainer that looks for others is refused where it writes them', () => {
    const kohya = { caption_extension: '.caption' };
    expect(faultOf({ ...least, kohya })).toContain('kohya.caption_extension: captions are written as .txt');
    expect(faultOf({ ...least, kohya, stages: ['train'], dataset: '/data' })).toBe('');
  });

  it('is the same when it is parsed again', () => {
    const job = parseCharacterJob({
      ...least,
      tags: 'a, b',
      output: 'Ä b',
      trigger: 'x, y',
      kohya: { network_dim: 8 },
    });
    expect(parseCharacterJob(JSON.parse(JSON.stringify(job)))).toEqual(job);
    expect(job).toMatchObject({ tags: ['a', 'b'], output: 'Ae_b', trigger: 'x y' });
  });

  it('W20: sets everything of the images, of the training and of each stage', () => {
    const job = parseCharacterJob({
      ...least,
      ...{ count: 12, width: 512, height: 640, steps: 4, cfg: 1, sampler: 'euler', scheduler: 'normal', seed: 9 },
      ...{ checkpoint: 'x.safetensors', graph: { '1': { class_type: 'X', inputs: {} } }, minImages: 3, host: 'box' },
      kohya: { network_dim: 8, max_train_epochs: 2 },
      limits: { generate: { timeoutMinutes: 5, retries: 0 }, imageRetries: 1, train: { retries: 9 } },
    });
    expect(job).toMatchObject({
      ...{ count: 12, width: 512, height: 640, steps: 4, cfg: 1, sampler: 'euler', seed: 9, minImages: 3 },
      kohya: { network_dim: 8, max_train_epochs: 2 },
      limits: {
        generate: { timeoutMinutes: 5, retries: 0 },
        imageRetries: 1,
        train: { timeoutMinutes: null, retries: 9 },
      },
    });
  });

  it('W1: no stage has a fixed end unless the job sets one; an image has two', () => {
    const { limits } = parseCharacterJob(least);
    for (const stage of ['generate', 'tag', 'train', 'deliver'] as const) {
      expect(limits[stage].timeoutMinutes, stage).toBeNull();
    }
    expect(limits.imageStartMinutes).toBeGreaterThan(0);
    expect(limits.imageRenderMinutes).toBeGreaterThanOrEqual(10);
  });

  it('what the trainer could draw no samples of is refused at the start, or set right', () => {
    const prompt = (proof: string) => ({ ...least, proof: { prompt: proof } });
    expect(parseCharacterJob(prompt(' Elara,\r\n in a   wood\n')).proof.prompt).toBe('Elara, in a wood');
    expect(faultOf(prompt(' \n'))).toMatch(/proof.prompt: .*expected a prompt, or none/);
    expect(faultOf({ ...least, width: 4104, height: 5120 })).toMatch(/width: .*4096[^]*height: .*4096/);
    expect(parseCharacterJob({ ...least, width: 4096 }).width).toBe(4096);
    const large = { ...least, width: 4104 };
    expect(parseCharacterJob({ ...large, choose: { samples: 0 } }).width).toBe(4104);
    expect(parseCharacterJob({ ...large, stages: ['generate', 'tag'] }).width).toBe(4104);
  });

  it('the base model is a file, and its kind another key; the key of an older Tower for the kind is understood', () => {
    expect(parseCharacterJob(least).baseModelKind).toBe('sd');
    const job = parseCharacterJob({ ...least, base_model: '/models/x.safetensors', baseModelKind: 'sdxl' });
    expect(job.kohya.pretrained_model_name_or_path).toBe('/models/x.safetensors');
    expect(job.baseModelKind).toBe('sdxl');
    expect(parseCharacterJob({ ...least, baseModel: 'flux' }).baseModelKind).toBe('flux');
    expect(faultOf({ ...least, baseModel: 'flux', baseModelKind: 'sdxl' })).toContain('mean the same');
    expect(faultOf({ ...least, baseModel: '/models/x.safetensors' })).toContain('pretrained_model_name_or_path');
    expect(faultOf({ ...least, baseModelKind: 'sd3' })).toContain('baseModelKind');
  });

  it('folders may be relative or begin at home, on the command line and in a file', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'tower-'));
    try {
      const file = join(folder, 'job.toml');
      const outputDirOf = async (written: string) => {
        await writeFile(file, `outputDir = "${written}"`);
        const fromFile = (await readJobFile(file))['outputDir'];
        return [fromFile, flagFields({ outputDir: written })['outputDir']];
      };
      expect(await outputDirOf('out/Elara')).toEqual([join(folder, 'out/Elara'), resolve('out/Elara')]);
      expect(await outputDirOf('~/Elara')).toEqual([join(homedir(), 'Elara'), join(homedir(), 'Elara')]);
      expect(await outputDirOf('/data/~/x')).toEqual(['/data/~/x', '/data/~/x']);
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  it('W26: the trigger is one tag of its own', () => {
    expect(parseCharacterJob({ ...least, name: 'Rose, the Red' }).trigger).toBe('Rose the Red');
    expect(parseCharacterJob({ ...least, name: ',', trigger: 'xk7' }).trigger).toBe('xk7');
    expect(parseCharacterJob({ ...least, name: ',' }).trigger).not.toBe('');
    expect(parseCharacterJob(least)).toMatchObject({ triggerInCaptions: true, triggerInPrompts: false });
  });

  it.each([
    ['an unknown key', { ...least, colour: 1 }, 'colour'],
    ['a misspelt key, with a proposal', { ...least, minImage: 3 }, 'is minImages meant?'],
    ['no name', { description: 'x' }, 'name'],
    ['a name that cannot be read', { ...least, name: ' \u0000 ' }, 'name'],
    ['no description', { name: 'Elara' }, 'description'],
    ['0 images', { ...least, count: 0 }, 'count'],
    ['10,001 images', { ...least, count: 10_001 }, 'count'],
    ['an odd size', { ...least, width: 770 }, 'width'],
    ['more images needed than made', { ...least, count: 4, minImages: 5 }, 'minImages'],
    ['a gap between the stages', { ...least, stages: ['generate', 'train'] }, 'stages'],
    ['no dataset to train with', { ...least, stages: ['train'] }, 'dataset'],
    ['a dataset to make that is there', { ...least, dataset: '/data/x' }, 'dataset'],
    ['a relative folder', { ...least, outputDir: 'here' }, 'outputDir'],
    ['simulated delivery of real training', { ...least, deliver: { simulated: true } }, 'deliver'],
    ['an option that sd-scripts has not', { ...least, kohya: { network_dimm: 8 } }, 'network_dimm'],
    ['an option with a wrong value', { ...least, kohya: { max_train_epochs: 0 } }, 'max_train_epochs'],
    ['options that exclude each other', { ...least, kohya: { sdpa: true, xformers: true } }, 'choose one of'],
    ['a proof that proves nothing', { ...least, proof: { strength: 0 } }, 'strength'],
    ['a review of nothing', { ...least, stages: ['train'], dataset: '/data/x', review: true }, 'contact sheet'],
    ['a trigger of commas', { ...least, trigger: ' , ' }, 'trigger'],
    ['no table', 'Elara', 'table'],
  ])('refuses %s', (_, job, named) => {
    expect(faultOf(job)).toContain(named);
  });

  it('says every fault at once', () => {
    const fault = faultOf({ name: '', count: 0, width: 1, colour: 1 });
    for (const named of ['name', 'count', 'width', 'colour']) expect(fault).toContain(named);
  });
});

describe("the original's task payloads", () => {
  it('are jobs', () => {
    const job = parseCharacterJob({
      character_name: 'Elara',
      description: '1girl, brown hair',
      character_tags: ['1girl', 'armor'],
      output_dir: '/data/Elara',
      reference_image: null,
      output_name: 'elara_warrior_lora',
      base_model: '/models/dreamshaper_8.safetensors',
      network_dim: 16,
      network_alpha: 8,
      epochs: 5,
      learning_rate: 2e-4,
    });
    expect(job).toMatchObject({
      name: 'Elara',
      tags: ['1girl', 'armor'],
      outputDir: '/data/Elara',
      output: 'elara_warrior_lora',
      kohya: {
        pretrained_model_name_or_path: '/models/dreamshaper_8.safetensors',
        network_dim: 16,
        network_alpha: 8,
        max_train_epochs: 5,
        learning_rate: 2e-4,
      },
    });
  });

  it('name the dataset of single stages', () => {
    const train = { character_name: 'Elara', training_dir: '/data/Elara', output_name: 'x', stages: ['train'] };
    expect(parseCharacterJob(train)).toMatchObject({ dataset: '/data/Elara', minImages: 1 });
    const tag = { character_name: 'Elara', image_dir: '/data/Elara/images/', stages: ['tag'] };
    expect(parseCharacterJob(tag).dataset).toBe('/data/Elara');
    expect(faultOf({ ...tag, image_dir: '/data/pictures' })).toContain('image_dir');
  });

  it('W23: a reference image is refused with the reason, because nothing would look at it', () => {
    for (const key of ['reference_image', 'referenceImage']) {
      expect(faultOf({ ...least, [key]: '/x.png' })).toMatch(/text alone.*LoadImage/);
      expect(faultOf({ ...least, [key]: null })).toBe('');
    }
  });

  it('may stand beside the same key of a job only once', () => {
    expect(faultOf({ ...least, character_name: 'Other' })).toContain('mean the same');
    expect(faultOf({ ...least, network_dim: 8, kohya: { network_dim: 9 } })).toContain('mean the same');
    expect(parseCharacterJob({ ...least, network_dim: 8, kohya: { network_alpha: 4 } }).kohya).toMatchObject({
      network_dim: 8,
      network_alpha: 4,
    });
    expect(parseCharacterJob({ ...least, kohya: { network_alpha: 4 }, network_dim: 8 }).kohya).toMatchObject({
      network_dim: 8,
      network_alpha: 4,
    });
  });
});

describe('a job file', () => {
  let folder: string;
  beforeEach(async () => (folder = await mkdtemp(join(tmpdir(), 'tower-job-'))));
  afterEach(() => rm(folder, { recursive: true, force: true }));

  it('is TOML or JSON; its paths are meant from its folder; flags are laid over it', async () => {
    const toml = join(folder, 'elara.toml');
    await writeFile(
      toml,
      'name = "Elara"\ndescription = "1girl"\ngraph = "graph.json"\noutputDir = "out"\n[kohya]\nnetwork_dim = 8\nnetwork_alpha = 4\n',
    );
    const json = join(folder, 'elara.json');
    await writeFile(json, JSON.stringify({ character_name: 'Elara', training_dir: 'set', network_dim: 4 }));
    const over = { count: 7, output: undefined, kohya: { network_dim: 16 } };
    expect(parseCharacterJob(mergeJobs(await readJobFile(toml), over))).toMatchObject({
      graph: join(folder, 'graph.json'),
      outputDir: join(folder, 'out'),
      count: 7,
      output: 'elara_lora',
      kohya: { network_dim: 16, network_alpha: 4 },
    });
    expect(await readJobFile(json)).toEqual({ name: 'Elara', dataset: join(folder, 'set'), kohya: { network_dim: 4 } });
  });

  it('names models of the training by paths from its folder, or by their names on the hub', async () => {
    const toml = join(folder, 'elara.toml');
    await mkdir(join(folder, 'sets/model'), { recursive: true });
    const modelsOf = async (base: string, vae: string) => {
      await writeFile(toml, `base_model = "${base}"\n[kohya]\nvae = "${vae}"\n`);
      const { pretrained_model_name_or_path, vae: autoencoder } = (await readJobFile(toml))['kohya'] as KohyaSection;
      return [pretrained_model_name_or_path, autoencoder];
    };
    const inFolder = (...paths: string[]) => paths.map((path) => join(folder, path));
    expect(await modelsOf('models/x.safetensors', 'x.vae.pt')).toEqual(inFolder('models/x.safetensors', 'x.vae.pt'));
    expect(await modelsOf('./x', 'sets/model')).toEqual(inFolder('x', 'sets/model'));
    expect(await modelsOf('~/x.ckpt', '/m/x.sft')).toEqual([join(homedir(), 'x.ckpt'), '/m/x.sft']);
    const names = ['runwayml/stable-diffusion-v1-5', 'stabilityai/sd-vae-ft-mse'] as const;
    expect(await modelsOf(...names)).toEqual(names);
  });

  it('names its scorer by a path from its folder, or by a program on the PATH', async () => {
    const toml = join(folder, 'elara.toml');
    await writeFile(toml, '[choose]\nscorer = ["./score", "~/model", "--seed", "1"]\n');
    const scorer = [join(folder, 'score'), join(homedir(), 'model'), '--seed', '1'];
    expect(await readJobFile(toml)).toEqual({ choose: { scorer } });
    await writeFile(toml, '[choose]\nscorer = ["python3", "../score.py"]\n');
    expect(await readJobFile(toml)).toEqual({ choose: { scorer: ['python3', resolve(folder, '../score.py')] } });
  });

  it('that cannot be read says where', async () => {
    const broken = join(folder, 'broken.toml');
    await writeFile(broken, 'name = \n');
    await expect(readJobFile(broken)).rejects.toMatchObject({ code: 'CHARACTER_JOB_INVALID' });
    await expect(readJobFile(broken)).rejects.toThrow(/1: {2}name = /);
    await mkdir(join(folder, 'x.json'));
    await expect(readJobFile(join(folder, 'x.json'))).rejects.toMatchObject({ code: 'CHARACTER_JOB_INVALID' });
    await expect(readJobFile(join(folder, 'none.toml'))).rejects.toThrow(/none\.toml/);
  });
});
