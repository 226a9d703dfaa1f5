import { createRequire } from 'node:module';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import type { Duration } from '@temporalio/common';
import { describe, expect, it } from 'vitest';

import { packageRoot } from '../../src/files/package-root.js';

const packages = ['activity', 'client', 'common', 'envconfig', 'proto', 'testing', 'worker', 'workflow'];
const folderOf = (name: string) => join(packageRoot, 'node_modules', '@temporalio', name);

it('all packages of the SDK have one version', () => {
  const versions = packages.map((name) => {
    const manifest = JSON.parse(readFileSync(join(folderOf(name), 'package.json'), 'utf8')) as { version: string };
    return manifest.version;
  });
  expect(new Set(versions).size).toBe(1);
});

it('protobufjs resolves to one copy of version 8; with two, replay of a JSON history fails', () => {
  const copies = packages.map((name) => createRequire(join(folderOf(name), 'package.json')).resolve('protobufjs'));
  expect(new Set(copies).size).toBe(1);
  const manifest = createRequire(copies[0] ?? '')('protobufjs/package.json') as { version: string };
  expect(manifest.version).toMatch(/^8\./);
});

describe('Duration', () => {
  it('is a type that refuses nonsense when this file is compiled', () => {
    const good: Duration = '5 minutes';
    // @ts-expect-error -- If this compiles, Duration has become `any` and no duration of Tower is checked.
    const bad: Duration = '5 bananas';
    expect([good, bad]).toHaveLength(2);
  });
});
