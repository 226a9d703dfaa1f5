import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { z } from 'zod';

import { packageRoot } from '../../src/files/package-root.js';

const serviceSchema = z.looseObject({
  image: z.string(),
  restart: z.string(),
  ports: z.array(z.string()).default([]),
  volumes: z.array(z.string()).default([]),
  environment: z.record(z.string(), z.string()).default({}),
  depends_on: z.record(z.string(), z.object({ condition: z.string() })).default({}),
  healthcheck: z.object({ test: z.array(z.string()), retries: z.number() }).optional(),
  logging: z.object({ options: z.object({ 'max-size': z.string(), 'max-file': z.string() }) }),
  profiles: z.array(z.string()).default([]),
});

const composeSchema = z.looseObject({
  name: z.string(),
  services: z.record(z.string(), serviceSchema),
  volumes: z.record(z.string(), z.unknown()),
});

async function text(file: string): Promise<string> {
  return readFile(join(packageRoot, file), 'utf8');
}

const compose = composeSchema.parse(parse(await text('docker-compose.yml'), { merge: true }));
const services = Object.entries(compose.services);
const oneShots = ['temporal-schema', 'temporal-namespace'];

describe('docker-compose.yml', () => {
  it('pins every image', () => {
    for (const [name, { image }] of services) expect(image, name).toMatch(/^[a-z/-]+:\d+\.\d+[\w.-]*$/);
  });

  it('runs server and tools of one version', () => {
    const tag = (name: string) => compose.services[name]?.image.split(':')[1];
    expect(tag('temporal-schema')).toBe(tag('temporal'));
    expect(tag('temporal-namespace')).toBe(tag('temporal'));
  });

  it('publishes ports on the loopback address only, and none of the database', () => {
    const published = services.flatMap(([, { ports }]) => ports);
    expect(published).toHaveLength(2);
    for (const port of published) expect(port).toMatch(/^127\.0\.0\.1:\$\{\w+:-\d+\}:\d+$/);
    expect(compose.services['postgresql']?.ports).toEqual([]);
  });

  it('knows no password of its own', () => {
    const secrets = services.flatMap(([name, { environment }]) =>
      Object.entries(environment)
        .filter(([variable]) => /PASSWORD|PWD/.test(variable))
        .map(([variable, value]) => [name, variable, value]),
    );
    expect(secrets).toHaveLength(3);
    for (const [, , value] of secrets) expect(value).toMatch(/^\$\{POSTGRES_PASSWORD:\?.+\}$/);
  });

  it('checks the health of everything that stays, and starts in order', () => {
    for (const [name, { healthcheck }] of services) {
      expect(healthcheck === undefined, name).toBe(oneShots.includes(name));
    }
    const conditions = services.flatMap(([name, service]) =>
      Object.entries(service.depends_on).map(([other, { condition }]) => `${name}: ${other} ${condition}`),
    );
    expect(conditions.sort()).toEqual([
      'temporal-namespace: temporal service_healthy',
      'temporal-schema: postgresql service_healthy',
      'temporal-ui: temporal service_healthy',
      'temporal: temporal-schema service_completed_successfully',
      'tower-control: temporal-namespace service_completed_successfully',
      'tower-gpu: temporal-namespace service_completed_successfully',
      'tower-gpu: tower-control service_started',
    ]);
  });

  it('keeps data in named volumes, rotates logs, restarts what stays', () => {
    for (const [name, service] of services) {
      expect(service.logging.options['max-size'], name).toMatch(/^\d+m$/);
      expect(service.restart, name).toBe(oneShots.includes(name) ? 'on-failure:5' : 'unless-stopped');
      for (const volume of service.volumes.filter((mount) => !mount.startsWith('./'))) {
        expect(Object.keys(compose.volumes), name).toContain(volume.split(':')[0]);
      }
    }
  });

  it('gives the GPU to one service, which only its profile starts', () => {
    const withDevices = services.filter(([, service]) => JSON.stringify(service).includes('nvidia'));
    expect(withDevices.map(([name, { profiles }]) => [name, profiles])).toEqual([['tower-gpu', ['gpu']]]);
  });

  it('mounts files that are there', async () => {
    const files = services.flatMap(([, { volumes }]) => volumes.filter((mount) => mount.startsWith('./')));
    expect(files.length).toBeGreaterThan(2);
    for (const mount of files) expect(await text(mount.split(':')[0] ?? '')).not.toBe('');
  });
});

describe('dynamic configuration of the server', () => {
  it('gives every queue one partition, and does not hold steps up', async () => {
    const settings = parse(await text('deploy/dynamicconfig.yaml')) as Record<string, unknown>;
    expect(settings).toEqual({
      'matching.numTaskqueueReadPartitions': [{ value: 1 }],
      'matching.numTaskqueueWritePartitions': [{ value: 1 }],
      'history.transferProcessorMaxPollRPS': [{ value: 2000 }],
    });
  });
});

describe('Dockerfile', () => {
  it('has the stages that compose builds, pinned and without root', async () => {
    const dockerfile = await text('Dockerfile');
    const stages = dockerfile.split(/^FROM /m).slice(1);
    const named = new Map(stages.map((stage) => [/ AS (\w+)/.exec(stage)?.[1], stage]));
    const userOf = (stage?: string) => [...(stage ?? '').matchAll(/^USER (\w+)$/gm)].at(-1)?.[1];
    for (const target of ['control', 'gpu']) expect(userOf(named.get(target)), target).toBe('node');
    expect(dockerfile).toMatch(/NODE_IMAGE=node:\d+\.\d+\.\d+-bookworm-slim/);
    expect(dockerfile).not.toMatch(/:latest/);
  });
});
