import { z } from 'zod';

import { generationOptionsSchema } from '../syntx/generation/options.js';
import { learningOptionsSchema } from '../syntx/learning/policy.js';
import { timeZoneSchema } from './time-zone.js';

const score = z.number().min(0).max(100);
const hours = (fallback: number) => z.number().positive().default(fallback);

/** The wrapper service; parameters are those of the original (contract syntx 3.2). */
const wrapperSchema = z.strictObject({
  url: z
    .url({ protocol: /^https?$/ })
    .default('http://127.0.0.1:8001')
    .describe('base URL of the wrapper service'),
  path: z
    .string()
    .startsWith('/')
    .optional()
    .describe('path of its chat; default: /api/chat, and /resonanz/chat where that one is broken'),
  timeoutSeconds: z.number().positive().default(1800).describe('longest time for one call'),
  maxNewTokens: z.int().min(1).max(4096).default(1024).describe('sent with every prompt'),
  temperature: z.number().min(0).max(2).default(0.3).describe('sent with every prompt'),
  topP: z.number().min(0).max(1).default(0.85).describe('sent with every prompt'),
});

const consumeSchema = z.strictObject({
  batch: z.int().min(1).max(500).default(20).describe('prompts of one run'),
  parallel: z
    .int()
    .min(1)
    .max(32)
    .default(1)
    .describe('calls of the wrapper service at the same time, of all runs together; the others wait for their turn'),
  threshold: score.default(90).describe('from this score on a job goes to processed, below it to error'),
  gpu: z
    .int()
    .nonnegative()
    .optional()
    .describe('index of the GPU of this host that the model behind the service uses; default: none of this host'),
  stopAfterFaults: z.int().min(1).default(3).describe('so many jobs in a row without an answer end the run'),
  retry: z
    .strictObject({
      times: z.int().min(0).default(8).describe('retries after connection faults and overload'),
      firstSeconds: z
        .number()
        .positive()
        .default(15)
        .describe('before the first of them; then twice as long each time'),
      longestSeconds: z.number().positive().default(600).describe('longest pause between them'),
      lateSeconds: z.number().positive().default(1800).describe('before the one retry after a time-out'),
      onceSeconds: z.number().positive().default(30).describe('before the one retry after any other fault'),
    })
    .prefault({}),
});

const monitorSchema = z
  .strictObject({
    incomingLow: z.int().nonnegative().default(10).describe('fewer waiting prompts are flagged'),
    incomingHigh: z.int().nonnegative().default(30).describe('more waiting prompts are flagged'),
    processedWithinHours: hours(24).describe('flagged when no job has come into processed for so long'),
    errorShare: z.number().min(0).max(1).default(0.1).describe('flagged from this share of failed jobs on'),
  })
  .refine(({ incomingLow, incomingHigh }) => incomingLow <= incomingHigh, {
    path: ['incomingLow'],
    error: 'expected at most incomingHigh: otherwise every queue is flagged',
  });

const cleanSchema = z.strictObject({
  temporaryHours: hours(24).describe('files in .tmp older than this are deleted'),
  brokenHours: hours(24).describe('prompts without metadata older than this are set aside in .broken'),
  logDays: z.number().positive().default(90).describe('*.log files older than this are deleted'),
  runDays: z.number().positive().default(30).describe('folders of producer runs older than this are deleted'),
});

/** The prompt evolution: SYNTX's queue directory, and what works on it. */
export const syntxSchema = z.strictObject({
  queue: z.string().optional().describe('queue directory of SYNTX; without it there is no prompt evolution'),
  createQueue: z.boolean().default(false).describe('make the queue directory when it is not there'),
  logDirectory: z
    .string()
    .optional()
    .describe('logs of the cron jobs and evolution.jsonl; default: logs beside the queue'),
  dataLogDirectory: z
    .string()
    .optional()
    .describe('JSON lines of producer and consumers; default: logs beside the queue'),
  evolutionLog: z
    .string()
    .regex(/^(?!generations\.|failed-runs\.)[^/]+\.jsonl$/, 'expected the name of a file that ends in .jsonl')
    .default('evolution.jsonl')
    .describe('file of the generations in logDirectory, as evolution.logging.evolution_log names it'),
  timezone: timeZoneSchema
    .optional()
    .describe('zone of the local times in queue and logs; default: that of this machine'),
  foreignHours: hours(6).describe('jobs in processing that others hold go back to incoming after so long'),
  apiKeyFile: z
    .string()
    .optional()
    .describe('file (mode 0600) with the key of the endpoint that writes prompts; OPENAI_API_KEY comes first'),
  dailyReport: z
    .boolean()
    .default(true)
    .describe('the first monitor or clean-up of a day writes the report of the day before'),
  generation: generationOptionsSchema.prefault({}),
  learning: learningOptionsSchema.prefault({}),
  wrapper: wrapperSchema.prefault({}),
  consume: consumeSchema.prefault({}),
  monitor: monitorSchema.prefault({}),
  clean: cleanSchema.prefault({}),
});

export type SyntxConfig = z.output<typeof syntxSchema>;
