import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import axios from 'axios';
import { execa } from 'execa';
import { afterEach, beforeEach, expect, it } from 'vitest';

import { packageRoot } from '../../src/files/package-root.js';
import { textToImage } from '../support/simulated-comfyui.js';
import { waitUntil } from '../support/wait-until.js';

let home: string;
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'tower-'));
});
afterEach(() => rm(home, { recursive: true, force: true }));

function sim(...options: string[]) {
  const args = [join(packageRoot, 'dist', 'client.js'), 'sim', 'comfyui', '--home', home, '--json', ...options];
  return execa(process.execPath, args, { reject: false });
}

it('tower sim comfyui serves until Ctrl-C, in the dialect and at the speed that were asked for', async () => {
  const child = sim('--dialect', 'A', '--render-time', '0');
  const [line] = (await once(child.stdout, 'data')) as [Buffer];
  const ready = JSON.parse(line.toString()) as { simulated: boolean; address: string; outputDirectory: string };
  expect(ready).toMatchObject({ simulated: true, outputDirectory: join(home, 'sim', 'comfyui', 'output') });
  const http = axios.create({ baseURL: ready.address, proxy: false });
  const { data } = await http.get<{ system: { comfyui_version: string } }>('/system_stats');
  expect(data.system.comfyui_version).toBe('0.3.64+simulated');
  await http.post('/prompt', { prompt: textToImage(), prompt_id: 'one' });
  await waitUntil('the image', async () => 'one' in (await http.get<object>('/history/one')).data);
  child.kill('SIGINT');
  expect((await child).exitCode).toBe(0);
});

it('tower sim comfyui says which rule of a fault plan it does not understand', async () => {
  const plan = join(home, 'faults.json');
  await writeFile(
    plan,
    '[{"prompt": {}, "fault": {"kind": "unseen"}}, {"prompt": {}, "fault": {"kind": "earthquake"}}]',
  );
  const { exitCode, stdout } = await sim('--faults', plan);
  expect(exitCode).toBe(2);
  expect(stdout).toMatch(/\[1\]\.fault\.kind/);
});
