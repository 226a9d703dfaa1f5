import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

import { afterEach, beforeEach, expect, it } from 'vitest';

import { probeInstallation, scriptFor } from '../../src/kohya/installation.js';

let home: string;
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'tower-'));
  await write('bare/bin/python');
});
afterEach(() => rm(home, { recursive: true }));

async function write(path: string, text = ''): Promise<void> {
  await mkdir(dirname(join(home, path)), { recursive: true });
  await writeFile(join(home, path), text);
}

/** The least that is taken for sd-scripts. */
async function writeScripts(root: string, options: readonly string[] = []): Promise<void> {
  const known = ['initial_epoch', 'console_log_simple', 'dataset_config', 'resume', ...options];
  const source = known.map((name) => `    parser.add_argument(\n        "--${name}",\n        type=str)\n`).join('');
  await write(join(root, 'train_network.py'), source);
  await write(join(root, 'library/train_util.py'), 'parser.add_argument("--lowram", action="store_true")\n');
}

function probe(folder: string, python = join(home, 'bare/bin/python')) {
  return probeInstallation({ folder: join(home, folder), python });
}

it('finds a plain checkout, its version, its commit and its options', async () => {
  await writeScripts('plain', ['validation_split']);
  await write(
    'plain/README.md',
    '# Scripts\n\n- **Version 0.10.1 (2026-02-13):**\n- **Version 0.10.0 (2026-01-19):**\n',
  );
  await write('plain/.git/HEAD', 'ref: refs/heads/main\n');
  await write('plain/.git/packed-refs', '# pack-refs\n48d368fa557731ad0488c07304dfeba8c07910eb refs/heads/main\n');
  const { root, capabilities } = await probe('plain');
  expect(root).toBe(join(home, 'plain'));
  expect(capabilities).toMatchObject({
    version: '0.10.1',
    commit: '48d368fa557731ad0488c07304dfeba8c07910eb',
    validation: true,
    tensorboard: false,
  });
  expect([...(capabilities.options ?? [])]).toEqual(expect.arrayContaining(['resume', 'lowram']));
});

it('finds it in the sub-folder of kohya_ss, where its git folder is a pointer', async () => {
  await write('kohya_ss/README.md', 'v25.2.1');
  await writeScripts('kohya_ss/sd-scripts');
  await write('kohya_ss/sd-scripts/.git', 'gitdir: ../.git/modules/sd-scripts\n');
  await write('kohya_ss/.git/modules/sd-scripts/HEAD', '3265f2edfbb80d393a495ff5e37e3e89e7545492\n');
  const installation = await probe('kohya_ss');
  expect(installation).toMatchObject({
    root: join(home, 'kohya_ss/sd-scripts'),
    capabilities: { version: null, commit: '3265f2edfbb80d393a495ff5e37e3e89e7545492', validation: false },
  });
  expect(await scriptFor(installation, 'sd')).toBe('train_network.py');
  await expect(scriptFor(installation, 'flux')).rejects.toMatchObject({ code: 'SD_SCRIPTS_NOT_FOUND' });
});

it('says what is missing: the whole of it, the submodule, or what a resume needs', async () => {
  await expect(probe('nowhere')).rejects.toMatchObject({ code: 'SD_SCRIPTS_NOT_FOUND' });
  await mkdir(join(home, 'kohya_ss/sd-scripts'), { recursive: true });
  await expect(probe('kohya_ss')).rejects.toMatchObject({
    next: expect.stringContaining('git submodule update') as string,
  });
  await write('old/train_network.py', 'parser.add_argument("--resume")');
  await mkdir(join(home, 'old/library'));
  await expect(probe('old')).rejects.toMatchObject({ code: 'SD_SCRIPTS_TOO_OLD' });
  await writeScripts('plain');
  await expect(probe('plain', '/nowhere/python')).rejects.toMatchObject({ code: 'KOHYA_PYTHON_NOT_FOUND' });
  await expect(probe('plain', 'no-such-python')).rejects.toMatchObject({ code: 'KOHYA_PYTHON_NOT_FOUND' });
});

it('reads what is installed beside the interpreter, also through links and .pth files', async () => {
  await writeScripts('plain');
  await write('venv/pyvenv.cfg', 'home = /usr/bin\ninclude-system-site-packages = false\n');
  await mkdir(join(home, 'venv/lib/python3.11/site-packages/torch-2.9.0+cu128.dist-info'), { recursive: true });
  await mkdir(join(home, 'venv/bin'));
  await symlink(process.execPath, join(home, 'venv/bin/python'));
  await mkdir(join(home, 'venv/lib/python3.11/site-packages/tensorboard'), { recursive: true });
  await write('venv/lib/python3.11/site-packages/base.pth', `${join(home, 'shared')}\n`);
  await mkdir(join(home, 'shared/bitsandbytes'), { recursive: true });
  const { capabilities } = await probe('plain', join(home, 'venv/bin/python'));
  expect(capabilities).toMatchObject({ tensorboard: true, bitsandbytes: true, python: '3.11', torch: '2.9.0+cu128' });
  const elsewhere = await probeInstallation({
    folder: join(home, 'plain'),
    python: join(home, 'bare/bin/python'),
    environment: { PYTHONPATH: join(home, 'shared') },
  });
  expect(elsewhere.capabilities).toMatchObject({ tensorboard: false, bitsandbytes: true });
});
