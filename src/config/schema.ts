import { z } from 'zod';

import { qloraHyperparametersSchema } from '../qlora/hyperparameters.js';
import { trainingSetFormats } from '../signz-mind/training-set/options.js';
import { characterSchema, comfyuiSchema } from './character-sections.js';
import { sharedQueues } from './shared-queues.js';
import { syntxSchema } from './syntx-section.js';
import { timeZoneSchema } from './time-zone.js';

const seconds = (fallback: number, minimum = 1) => z.number().min(minimum).default(fallback);
const httpUrl = z.url({ protocol: /^https?$/ });

const serverSchema = z.strictObject({
  url: httpUrl.optional().describe('base URL of the Signz-Mind server; without it the daily cycle refuses to start'),
  apiKeyFile: z.string().optional().describe('file (mode 0600) with the key; TOWER_SERVER_API_KEY comes first'),
  markAfter: z.enum(['settled', 'import']).default('settled').describe('when a batch is marked on the server'),
  deliverSimulated: z.boolean().default(false).describe('whether adapters of the simulated trainer may be uploaded'),
  downloadLimitMegabytes: z.number().positive().default(2048).describe('a larger batch is refused'),
});

const dataSchema = z.strictObject({
  trainingSet: z.enum(trainingSetFormats).default('editor').describe('how samples are made from rows'),
  heldOutShare: z.number().min(0).max(0.5).default(0.1).describe('share of source files kept out of training'),
  snippets: z.boolean().default(true).describe('train with snippets'),
  snippetQualityLabel: z.string().min(1).default('gut (Training)').describe('only snippets with this label teach'),
  feedback: z.boolean().default(true).describe('train with feedback rows'),
  positiveFeedbackTypes: z
    .array(z.string().min(1))
    .default(['suggestion_used', 'correction_applied', 'correction_good'])
    .describe('feedback that teaches; an empty list means all'),
  legacyDatabase: z.string().optional().describe('SQLite file of an old tower, to be taken over; it is only read'),
});

const trainSchema = z.strictObject({
  trainer: z.enum(['qlora', 'simulated']).default('qlora').describe('simulated results say so wherever they show'),
  when: z
    .enum(['changed', 'always'])
    .default('changed')
    .describe('train on every cycle, or only when something is new'),
  device: z.enum(['auto', 'cpu', 'cuda']).default('auto').describe('auto takes CUDA when a GPU is there'),
  python: z.string().optional().describe('Python of an environment of your own instead of `tower trainer install`'),
  simulatedSecondsPerStep: z.number().positive().default(0.02).describe('speed of the simulated trainer'),
  stallMinutes: z.number().positive().default(30).describe('no output and no step for so long: the trainer is stalled'),
  minimumFreeGigabytes: z.number().min(0).default(2).describe('free disk space below which no training starts'),
  hyperparameters: qloraHyperparametersSchema.prefault({}).describe('what the QLoRA trainer is told'),
});

const evaluateSchema = z.strictObject({
  minimumSamples: z.int().min(2).default(8).describe('fewer held-out samples than this are no measurement'),
  whenUnmeasured: z
    .enum(['keep-champion', 'promote', 'reject'])
    .default('keep-champion')
    .describe('candidates that cannot be measured; keep-champion promotes only where there is no champion'),
});

const gpuSchema = z.strictObject({
  devices: z
    .union([z.literal('auto'), z.array(z.int().nonnegative()).min(1)])
    .default('auto')
    .describe('GPU indexes Tower may use; auto: all that nvidia-smi lists, else one logical CPU device'),
  lockDirectory: z
    .string()
    .optional()
    .describe(
      'where gpu-<index>.lock lies; every user of the GPU must share it; not to be changed while a training runs',
    ),
  nvidiaSmi: z
    .string()
    .default('nvidia-smi')
    .describe('command that reports VRAM; none: this machine works without a GPU'),
  python: z.string().default('python3').describe('Python ≥ 3.11 that runs the launcher'),
  stopGraceSeconds: seconds(20, 0).describe('between SIGTERM and SIGKILL of a trainer'),
  makeRoomMinutes: z.number().positive().default(10).describe('how long to wait until tenants have freed the VRAM'),
  turnMinutes: z
    .number()
    .positive()
    .default(30)
    .describe('renderings of equal priority take turns after so long; more urgent work goes first at once'),
  trainVramGigabytes: z.number().positive().optional().describe('VRAM a QLoRA training needs; default: no demand'),
  tenants: z
    .strictObject({
      comfyui: httpUrl.optional().describe('asked by POST /free'),
      ollama: httpUrl.optional().describe('its loaded models are unloaded'),
      command: z.array(z.string()).min(1).optional().describe('argument list of a command that frees the GPU'),
    })
    .prefault({}),
});

const temporalSchema = z.strictObject({
  cli: z.string().optional().describe('path of the Temporal CLI; default: found or fetched'),
  port: z
    .int()
    .min(1)
    .max(65535)
    .default(7233)
    .describe('gRPC port of the embedded server; the next free one if taken'),
  uiPort: z.int().min(1).max(65535).default(8233).describe('Web UI port of the embedded server'),
  retentionDays: z.int().min(30).max(3650).default(90).describe('how long finished runs can be looked at'),
});

const workerSchema = z.strictObject({
  heartbeatSeconds: z.number().min(0.2).max(60).default(5).describe('activities report at this period'),
  shutdownGraceSeconds: seconds(0, 0).describe('activities go on for so long after SIGTERM'),
  metricsAddress: z
    .string()
    .regex(
      /^(?:\[[\da-fA-F:]+\]|\d{1,3}(?:\.\d{1,3}){3}):\d{1,5}$/,
      'expected an IP address and a port, such as 127.0.0.1:9464',
    )
    .optional()
    .describe('the control worker serves metrics for Prometheus here, under /metrics; default: nowhere'),
});

const scheduleSchema = z.strictObject({
  cron: z.union([z.string(), z.array(z.string()).min(1)]).optional(),
  enabled: z.boolean().optional(),
});

const batchScheduleSchema = scheduleSchema.extend({
  batch: z.int().min(1).max(500).optional().describe('prompts of one run'),
});

const hostName = z
  .string()
  .regex(/^[a-zA-Z0-9][a-zA-Z0-9._-]{0,62}$/, 'expected letters, digits, dot, dash or underscore');

const hostsSchema = z
  .array(z.strictObject({ name: hostName, gpus: z.int().positive().default(1) }))
  .min(1)
  .superRefine((hosts, context) => {
    for (const message of sharedQueues(hosts)) context.addIssue({ code: 'custom', message });
  });

const days = (fallback: number) => z.number().min(1).default(fallback);

/** Nothing that is undelivered, quarantined or the champion is ever removed, however old. */
const retentionSchema = z.strictObject({
  rawBatchDays: days(90).describe('raw files of batches that are settled and marked'),
  packageDays: days(30).describe('packages of delivered adapters'),
  rejectedAdapterDays: days(30).describe('adapters and training sets of rejected candidates; their records stay'),
  checkpointDays: days(7).describe('saved states of trainings that are finished'),
  failedRunDays: days(30).describe('files of trainings that failed and were not taken up again'),
});

/** The whole configuration: file + environment + flags, one schema. `describe` texts are what `tower config init` writes. */
export const configSchema = z.strictObject({
  host: hostName.optional().describe('name of this machine in task queues; default: its host name'),
  hosts: hostsSchema.optional().describe('all GPU hosts when there are several; default: this one'),
  server: serverSchema.prefault({}),
  data: dataSchema.prefault({}),
  train: trainSchema.prefault({}),
  evaluate: evaluateSchema.prefault({}),
  gpu: gpuSchema.prefault({}),
  comfyui: comfyuiSchema.prefault({}),
  character: characterSchema.prefault({}),
  syntx: syntxSchema.prefault({}),
  retention: retentionSchema.prefault({}),
  temporal: temporalSchema.prefault({}),
  worker: workerSchema.prefault({}),
  schedules: z
    .strictObject({
      timezone: timeZoneSchema.default('UTC'),
      daily: scheduleSchema.prefault({}),
      housekeeping: scheduleSchema.prefault({}),
      produce: batchScheduleSchema.prefault({}),
      'consume-syntex-system': batchScheduleSchema.prefault({}),
      'consume-sigma': batchScheduleSchema.prefault({}),
      monitor: scheduleSchema.prefault({}),
      clean: scheduleSchema.prefault({}),
    })
    .prefault({}),
  log: z.strictObject({ level: z.enum(['debug', 'info', 'warn', 'error']).default('info') }).prefault({}),
});

export type Config = z.output<typeof configSchema>;
