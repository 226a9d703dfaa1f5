import { Context, metricMeter } from '@temporalio/activity';

import { readOpenAiKey } from '../../config/secrets.js';
import type { ServiceOptions } from '../../service-options.js';
import { writeMissingReport } from '../../report/write-evolution-report.js';
import { cleanQueue } from '../../syntx/clean/clean-queue.js';
import type { GenerationProgress } from '../../syntx/generation/generate-prompts.js';
import { longestGenerationMs } from '../../syntx/generation/time-limits.js';
import { observeQueue } from '../../syntx/monitor/observe-queue.js';
import { monitorLimits } from '../../syntx/open-syntx.js';
import { decideProduction } from '../../syntx/production/decide-production.js';
import { generateProduction } from '../../syntx/production/generate-production.js';
import { planProduction } from '../../syntx/production/plan-production.js';
import type { Producer } from '../../syntx/production/producer.js';
import { ProductionRun, productionRuns } from '../../syntx/production/production-run.js';
import { publishProduction } from '../../syntx/production/publish-production.js';
import { stages } from '../../syntx/queue/queue-paths.js';
import { withHeartbeat } from '../heartbeat.js';
import { checked } from '../inputs.js';
import { heartbeatTimeoutMs } from '../tower-activities.js';
import { endingUnexpected } from '../unexpected.js';
import type { WorkerEnvironment } from '../worker-environment.js';
import { calibratePrompt, consumerPlan, giveUpPrompt, workerId } from './consume.js';
import * as inputs from './inputs.js';
import type { CleanRecord, MonitorRecord, QueueLevels, SyntxActivities } from './interfaces.js';
import { QueueAccess } from './queue-access.js';

const hour = 3_600_000;
const mostNamed = 50;

interface HeartbeatDetails {
  /** When the run began to ask the endpoint, in milliseconds since 1970. */
  readonly askingSince?: number;
  readonly prompts?: number;
  readonly planned?: number;
}

/** Activities of the prompt evolution on the `tower` queue. They use the queue directory's files. */
export function createSyntxActivities(environment: WorkerEnvironment): SyntxActivities {
  const { config, paths, host, log } = environment;
  const access = new QueueAccess(environment);
  const timeout = heartbeatTimeoutMs(config);
  const runs = productionRuns(paths.home);
  // Opened when first needed: not every Tower has a queue.
  const producer = (): Producer => ({
    ...{ files: access.files, settings: access.settings, runs, instance: `${host}:${paths.home}` },
    readApiKey: () => readOpenAiKey(config, process.env),
  });
  const heartbeating = <Result>(
    work: (options: ServiceOptions<GenerationProgress>) => Promise<Result>,
    lasting: HeartbeatDetails = {},
  ) => {
    const context = Context.current();
    return withHeartbeat<HeartbeatDetails, Result>(
      context,
      config.worker.heartbeatSeconds * 1000,
      (report) =>
        work({
          ...{ signal: context.cancellationSignal, log },
          onProgress: ({ made, total }) => report({ ...lasting, prompts: made, planned: total }),
        }),
      lasting,
    );
  };

  return endingUnexpected<SyntxActivities>({
    async decideProduction(input) {
      const choice = await decideProduction(producer(), checked(inputs.productionRequestSchema, input), { log });
      const generationLimitMs = longestGenerationMs(choice.make, access.settings.generation);
      return { ...choice, ...{ heartbeatTimeoutMs: timeout, generationLimitMs } };
    },

    async drawPrompts(input) {
      const request = checked(inputs.drawSchema, input);
      return heartbeating((options) => planProduction(producer(), request, options));
    },

    async generatePrompts(input) {
      const reference = checked(inputs.productionSchema, input);
      // Attempts hand it on; a wait for the first worker is none for the endpoint.
      const { askingSince = Date.now() } = (Context.current().info.heartbeatDetails ?? {}) as HeartbeatDetails;
      return heartbeating((options) => generateProduction(producer(), { ...reference, askingSince }, options), {
        askingSince,
      });
    },

    async publishPrompts(input) {
      const reference = checked(inputs.productionSchema, input);
      return heartbeating((options) => publishProduction(producer(), reference, options));
    },

    async recordNoProduction(input) {
      const recordedAt = new Date().toISOString();
      const { run, reason, logicalTime = recordedAt } = checked(inputs.noProductionSchema, input);
      const { logs, evolution } = access.files;
      const kept = await new ProductionRun(runs, run).prompts();
      await logs.producerSkipped(run, reason, kept.length);
      await evolution.appendFailure({ version: 1, run, at: logicalTime, recordedAt, reason });
    },

    async openConsumer(input) {
      const { consumer, batch } = checked(inputs.openConsumerSchema, input);
      const takenBack = await access.takeBack();
      const plan = consumerPlan(environment, { batch, heartbeatTimeoutMs: timeout });
      const { run, wrapper } = consumer;
      await access.files.logs.consumerStarted(run, { workerId: workerId(wrapper), wrapper, batchSize: plan.batch });
      return { ...plan, takenBack: takenBack.length };
    },

    async claimPrompt(input) {
      const { consumer, claim } = checked(inputs.claimSchema, input);
      const { workflowId, runId } = consumer;
      const job = await access.files.queue.claim({ owner: { workflowId, runId }, claim: String(claim) });
      return job === undefined ? null : { baseName: job.baseName, token: job.token };
    },

    async calibratePrompt(input) {
      return calibratePrompt(environment, access, checked(inputs.calibrationSchema, input));
    },

    async giveUpPrompt(input) {
      return giveUpPrompt(access, checked(inputs.consumerJobSchema, input), log);
    },

    async giveBackPrompt(input) {
      await access.files.queue.giveBack(checked(inputs.jobSchema, input).job);
    },

    async closeConsumer(input) {
      const { consumer, counts } = checked(inputs.closeConsumerSchema, input);
      await access.files.logs.consumerEnded(consumer, counts);
    },

    async observeQueue(input) {
      const { logicalTime } = checked(inputs.observeSchema, input);
      return heartbeating(() => observe(access, logicalTime));
    },

    async cleanQueue(input) {
      const { run, dryRun } = checked(inputs.cleanSchema, input);
      return heartbeating((options) => clean(access, { run, dryRun, runDirectory: runs }, options));
    },

    async reportDayBefore(input) {
      const { logicalTime } = checked(inputs.observeSchema, input);
      const { settings: syntx } = access;
      if (!syntx.dailyReport) return null;
      const wanted = { home: paths.home, at: new Date(logicalTime) };
      const written = await heartbeating(() => writeMissingReport({ files: access.files, syntx }, wanted));
      if (written === null) return null;
      log.info({ file: written.file }, 'report of an earlier day written');
      return { day: written.report.day, file: written.file };
    },
  });
}

async function observe(access: QueueAccess, logicalTime: string): Promise<MonitorRecord> {
  const takenBack = await access.takeBack();
  const { queue, logs } = access.files;
  const { counts, errorShare, lastProcessedAt, flags, line } = await observeQueue(queue, {
    limits: monitorLimits(access.settings),
  });
  await logs.monitor(new Date(logicalTime), line);
  const levels = Object.fromEntries(stages.map((stage) => [stage, counts[stage].jobs])) as Record<
    keyof QueueLevels,
    number
  >;
  const jobs = metricMeter.createGauge('tower_syntx_jobs', 'int', 'jobs', 'Jobs in the SYNTX queue, by stage');
  for (const stage of stages) jobs.set(levels[stage], { stage });
  metricMeter.createGauge('tower_syntx_flags', 'int', 'flags', 'What the monitor has flagged').set(flags.length);
  return { levels, errorShare, lastProcessedAt, flags, line, takenBack: takenBack.length };
}

async function clean(
  access: QueueAccess,
  { run, dryRun, runDirectory }: { readonly run: string; readonly dryRun: boolean; readonly runDirectory: string },
  { signal, log }: Pick<ServiceOptions, 'signal' | 'log'>,
): Promise<CleanRecord> {
  const { queue, logs, logDirectory } = access.files;
  const { temporaryHours, brokenHours, logDays, runDays } = access.settings.clean;
  const ages = {
    ...{ temporaryMs: temporaryHours * hour, brokenMs: brokenHours * hour },
    ...{ logMs: logDays * 24 * hour, runMs: runDays * 24 * hour },
  };
  const files = await cleanQueue({ queue, logs, logDirectory, runDirectory, run, dryRun, ages }, { signal, log });
  const count = (kind: string) => files.filter((file) => file.kind === kind).length;
  return {
    ...{ dryRun, temporary: count('temporary'), broken: count('broken'), logs: count('log'), runs: count('run') },
    files: files.slice(0, mostNamed),
  };
}
