#!/usr/bin/env node
/**
 * Tower's client: the command line `tower`, and typed functions that start, pause and resume what the command line does.
 * The SDK is loaded only when a function needs it, so that `tower --help` answers at once.
 *
 * @module
 */
import { realpathSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import type { Client, WorkflowHandleWithFirstExecutionRunId } from '@temporalio/client';

import type { PauseRecord } from './activities/interfaces.js';
import type { CharacterLoraInput, characterLora } from './workflows/character-lora.js';
import type { DailyCycleInput } from './workflows/daily-cycle.js';
import type { dailyCycle } from './workflows/daily-cycle.js';
import type { DailyTickInput, dailyTick } from './workflows/daily-tick.js';
import type { CleanQueueInput, cleanQueue } from './workflows/clean.js';
import type { ConsumePromptsInput, consumePrompts } from './workflows/consume.js';
import type { MonitorQueueInput, monitorQueue } from './workflows/monitor.js';
import type { ProducePromptsInput, producePrompts } from './workflows/produce.js';
import type { PromptTickInput, promptTick } from './workflows/prompt-tick.js';

export type { CharacterLoraInput, CharacterLoraResult } from './workflows/character-lora.js';
export type { DailyCycleInput, DailyCycleResult } from './workflows/daily-cycle.js';
export type { DailyTickInput, DailyTickResult } from './workflows/daily-tick.js';
export type { DeliverAdapterResult } from './workflows/deliver-adapter.js';
export type { CleanQueueInput, CleanQueueResult } from './workflows/clean.js';
export type { ConsumePromptsInput, ConsumePromptsResult } from './workflows/consume.js';
export type { MonitorQueueInput, MonitorQueueResult } from './workflows/monitor.js';
export type { ProducePromptsInput, ProducePromptsResult } from './workflows/produce.js';
export type { PromptTickInput, PromptTickResult } from './workflows/prompt-tick.js';

/**
 * Starts one daily cycle by hand. Only one runs at a time, whoever starts it.
 *
 * @throws TowerError `ALREADY_RUNNING` when a cycle is running.
 */
export async function startDailyCycle(
  client: Client,
  input: DailyCycleInput = {},
): Promise<WorkflowHandleWithFirstExecutionRunId<typeof dailyCycle>> {
  const { startCycle } = await import('./cli/runs/start-workflows.js');
  return startCycle(client, input);
}

/** Starts one tick, as the schedule does: it runs a cycle, or ends with the reason why not. */
export async function startDailyTick(
  client: Client,
  input: DailyTickInput = {},
): Promise<WorkflowHandleWithFirstExecutionRunId<typeof dailyTick>> {
  const { startTick } = await import('./cli/runs/start-workflows.js');
  return startTick(client, input);
}

/**
 * Starts a run of a Character LoRA under the character's next free version, `character-lora/<slug>/<version>`.
 *
 * @throws TowerError `CHARACTER_JOB_INVALID` with every fault of the job.
 */
export async function startCharacterLora(
  client: Client,
  input: CharacterLoraInput,
): Promise<WorkflowHandleWithFirstExecutionRunId<typeof characterLora>> {
  const { startCharacterRun } = await import('./cli/character/start-character-lora.js');
  return startCharacterRun(client, input);
}

/**
 * Starts a run of the producer: learn, generate prompts, write them into the SYNTX queue. One at a time.
 *
 * @throws TowerError `ALREADY_RUNNING`
 */
export async function startProducePrompts(
  client: Client,
  input: ProducePromptsInput = {},
): Promise<WorkflowHandleWithFirstExecutionRunId<typeof producePrompts>> {
  const { startProduction } = await import('./cli/queue/start-prompt-runs.js');
  return startProduction(client, input);
}

/**
 * Starts a run of a consumer: waiting prompts are answered through its wrapper and scored. One at a time for each wrapper.
 *
 * @throws TowerError `ALREADY_RUNNING`
 */
export async function startConsumePrompts(
  client: Client,
  input: ConsumePromptsInput,
): Promise<WorkflowHandleWithFirstExecutionRunId<typeof consumePrompts>> {
  const { startConsumption } = await import('./cli/queue/start-prompt-runs.js');
  return startConsumption(client, input);
}

/** Counts the SYNTX queue, writes the guide's line, and flags what is not well. @throws TowerError `ALREADY_RUNNING` */
export async function startMonitorQueue(
  client: Client,
  input: MonitorQueueInput = {},
): Promise<WorkflowHandleWithFirstExecutionRunId<typeof monitorQueue>> {
  const { startMonitoring } = await import('./cli/queue/start-prompt-runs.js');
  return startMonitoring(client, input);
}

/** Cleans up the SYNTX queue by the guide's rules. @throws TowerError `ALREADY_RUNNING` */
export async function startCleanQueue(
  client: Client,
  input: CleanQueueInput = {},
): Promise<WorkflowHandleWithFirstExecutionRunId<typeof cleanQueue>> {
  const { startCleaning } = await import('./cli/queue/start-prompt-runs.js');
  return startCleaning(client, input);
}

/** Starts one tick of the prompt evolution, as its schedules do: it runs, or ends with the reason why not. */
export async function startPromptTick(
  client: Client,
  input: PromptTickInput,
): Promise<WorkflowHandleWithFirstExecutionRunId<typeof promptTick>> {
  const { startTickOf } = await import('./cli/queue/start-prompt-runs.js');
  return startTickOf(client, input);
}

/** Pauses a run after a complete state of its trainer, or in the present image; resolves when the GPU is free. */
export async function pauseRun(client: Client, workflowId: string): Promise<PauseRecord> {
  const { pause } = await import('./cli/runs/start-workflows.js');
  return pause(client, workflowId);
}

/** Lets a paused run go on from its saved state. */
export async function resumeRun(client: Client, workflowId: string): Promise<void> {
  const { resume } = await import('./cli/runs/start-workflows.js');
  await resume(client, workflowId);
}

if (process.argv[1] !== undefined && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  const { runCommandLine } = await import('./cli/main.js');
  process.exitCode = await runCommandLine(process.argv);
}
