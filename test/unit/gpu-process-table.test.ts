import { spawn } from 'node:child_process';
import { once } from 'node:events';

import { expect, test, vi } from 'vitest';

import type { HolderRecord } from '../../src/gpu/holder-record.js';
import { isAlive, livingMembers, readBootId, readProcess } from '../../src/gpu/process-table.js';

/** A shell in its own group, called `)` to make the parsing of /proc earn its keep, with one child. */
async function startGroup(environment: Record<string, string> = {}) {
  const shell = spawn('sh', ['-c', 'sleep 300 & echo $!; wait'], {
    argv0: ') Z 1 1',
    detached: true,
    stdio: ['ignore', 'pipe', 'ignore'],
    env: { PATH: process.env['PATH'], ...environment },
  });
  const [line] = (await once(shell.stdout, 'data')) as [Buffer];
  const pid = shell.pid ?? 0;
  return { shell, pid, child: Number(String(line)), row: readProcess(pid) };
}

function holder(pid: number, startTime: number, change: Partial<HolderRecord> = {}): HolderRecord {
  return {
    version: 1,
    run: 'r',
    kind: 'k',
    workflowId: 'w',
    stateDirectory: '/s',
    pid,
    processGroup: pid,
    startTime,
    bootId: readBootId(),
    trainerPid: null,
    trainerStartTime: null,
    commandSha256: null,
    launchedAt: '2026-01-01T00:00:00.000Z',
    ...change,
  };
}

test('members are those of this very group: not of a recycled number, not of another boot', async () => {
  const { shell, pid, child, row } = await startGroup();
  try {
    const startTime = row?.startTime ?? 0;
    expect(row).toMatchObject({ alive: true, processGroup: pid });
    expect(livingMembers(holder(pid, startTime)).sort()).toEqual([pid, child].sort());
    expect(livingMembers(holder(pid, startTime - 1))).toEqual([]);
    expect(livingMembers(holder(pid, startTime, { bootId: 'another' }))).toEqual([]);
    expect(isAlive({ pid, startTime, bootId: readBootId() })).toBe(true);
    expect(isAlive({ pid, startTime: startTime + 1, bootId: readBootId() })).toBe(false);
  } finally {
    process.kill(-pid, 'SIGKILL');
    await once(shell, 'close');
  }
  expect(readProcess(pid)?.alive ?? false).toBe(false);
});

test("with leader and trainer dead, the launcher's mark proves the members; a zombie is none", async () => {
  const bootId = readBootId();
  const { shell, pid, child, row } = await startGroup({ TOWER_LAUNCH: `${bootId}:77:1` });
  try {
    const startTime = row?.startTime ?? 0;
    // A stranger's group with our number, whose leader is gone: only the mark counts.
    const record = holder(pid, startTime);
    shell.kill('SIGKILL');
    await once(shell, 'exit');
    await vi.waitUntil(() => readProcess(pid)?.alive !== true);
    expect(livingMembers(record)).toEqual([]);
    expect(livingMembers(holder(77, 1, { bootId }))).toEqual([child]);
  } finally {
    process.kill(child, 'SIGKILL');
  }
});
