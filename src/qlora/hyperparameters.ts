import { z } from 'zod';

const positive = z.number().positive();

/** What is trained beside the frozen base model; names and meaning of peft's LoraConfig. */
const loraSchema = z.strictObject({
  r: z.int().min(1).max(1024).default(16),
  alpha: z.int().min(1).default(32),
  dropout: z.number().min(0).lt(1).default(0.05),
  targetModules: z.array(z.string().min(1)).min(1).default(['q_proj', 'v_proj']),
  bias: z.enum(['none', 'all', 'lora_only']).default('none'),
});

/**
 * Everything that decides how a QLoRA run trains. The defaults are the settings in effect of the system that Tower replaces
 * (contracts: signz-mind, section 5); the trainer `trainers/qlora/config.py` accepts the same names and limits.
 *
 * Units: `maxLength` in tokens, `warmupSteps` and `checkpointEverySteps` in optimiser steps; `batchSize` counts samples.
 */
export const qloraHyperparametersSchema = z.strictObject({
  /** Model id of the Hugging Face hub, or a local folder. */
  baseModel: z.string().min(1).default('codellama/CodeLlama-7b-hf'),
  trustRemoteCode: z.boolean().default(false),
  seed: z
    .int()
    .min(0)
    .max(2 ** 32 - 1)
    .default(42),
  epochs: z.int().min(1).default(1),
  batchSize: z.int().min(1).default(1),
  gradientAccumulation: z.int().min(1).default(4),
  maxLength: z.int().min(8).default(1024),
  learningRate: positive.default(2e-4),
  weightDecay: z.number().nonnegative().default(0),
  warmupSteps: z.int().nonnegative().default(0),
  lrScheduler: z.enum(['linear', 'cosine', 'constant', 'constant_with_warmup']).default('linear'),
  maxGradNorm: positive.default(1),
  optimiser: z.enum(['adamw', 'adamw8bit']).default('adamw'),
  loadIn4bit: z.boolean().default(true),
  quantType: z.enum(['nf4', 'fp4']).default('nf4'),
  /** `auto`: bfloat16 on a GPU that has it, else float16; float32 on a CPU, where it is several times faster. */
  computeDtype: z.enum(['auto', 'float16', 'bfloat16', 'float32']).default('auto'),
  doubleQuantisation: z.boolean().default(true),
  gradientCheckpointing: z.boolean().default(true),
  lora: loraSchema.prefault({}),
  device: z.enum(['auto', 'cpu', 'cuda']).default('auto'),
  checkpointEverySteps: z.int().min(1).nullable().default(null),
  checkpointEveryMinutes: positive.nullable().default(5),
  keepCheckpoints: z.int().min(2).default(2),
  loggingSteps: z.int().min(1).default(1),
});

export type QloraHyperparameters = z.output<typeof qloraHyperparametersSchema>;
export type QloraHyperparametersInput = z.input<typeof qloraHyperparametersSchema>;
