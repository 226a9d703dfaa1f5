import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { execa, type Result } from 'execa';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { packageRoot } from '../../src/files/package-root.js';

/**
 * Stands in for temporal-sql-tool where the script looks at it: `create` accepts an existing database, `update-schema`
 * needs the version table, `setup-schema` resets a version that is there.
 */
const sqlTool = `#!/bin/sh
echo "$*" >> "$STATE/calls"
while [ "$1" != --db ]; do shift; done
version="$STATE/$2"
case $3 in
  create) ;;
  setup-schema) echo 0.0 > "$version" ;;
  update-schema)
    if [ -e "$STATE/unreachable" ]; then echo 'ERROR connection refused'; exit 1; fi
    if [ ! -e "$version" ]; then echo 'ERROR: relation \\"schema_version\\" does not exist (SQLSTATE 42P01)'; exit 1; fi
    echo 1.18 > "$version"
    ;;
esac
`;

let directory: string;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'tower-'));
  await writeFile(join(directory, 'temporal-sql-tool'), sqlTool);
  await chmod(join(directory, 'temporal-sql-tool'), 0o755);
});
afterEach(async () => {
  await rm(directory, { recursive: true, force: true });
});

async function setUp(): Promise<Result> {
  return execa('sh', [join(packageRoot, 'deploy', 'setup-schema.sh')], {
    reject: false,
    env: {
      PATH: `${directory}:${process.env['PATH']}`,
      STATE: directory,
      POSTGRES_HOST: 'postgresql',
      POSTGRES_USER: 'temporal',
      SQL_PASSWORD: 'secret',
    },
  });
}

async function calls(): Promise<string[]> {
  const text = await readFile(join(directory, 'calls'), 'utf8');
  await rm(join(directory, 'calls'));
  return text
    .trim()
    .split('\n')
    .map((line) => /--db (.*)$/.exec(line)?.[1] ?? line);
}

describe('setup-schema.sh', () => {
  it('makes both schemas once, and only updates them afterwards', async () => {
    expect((await setUp()).exitCode).toBe(0);
    const versions = '/etc/temporal/schema/postgresql/v12';
    expect(await calls()).toEqual([
      'temporal create',
      `temporal update-schema -d ${versions}/temporal/versioned`,
      'temporal setup-schema -v 0.0',
      `temporal update-schema -d ${versions}/temporal/versioned`,
      'temporal_visibility create',
      `temporal_visibility update-schema -d ${versions}/visibility/versioned`,
      'temporal_visibility setup-schema -v 0.0',
      `temporal_visibility update-schema -d ${versions}/visibility/versioned`,
    ]);
    expect((await setUp()).exitCode).toBe(0);
    expect((await calls()).filter((call) => call.includes('setup-schema'))).toEqual([]);
  });

  it('never sets up a schema because of another fault', async () => {
    await writeFile(join(directory, 'unreachable'), '');
    const result = await setUp();
    expect(result.exitCode).toBe(1);
    expect(result.stderr).toContain('connection refused');
    expect((await calls()).filter((call) => call.includes('setup-schema'))).toEqual([]);
  });
});
