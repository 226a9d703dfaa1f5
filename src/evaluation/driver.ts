import { mkdir, stat } from 'node:fs/promises';
import { dirname } from 'node:path';

import { describeError, TowerError } from '../errors.js';
import { writeJsonDurable } from '../files/durable-write.js';
import { readJsonIfExists } from '../files/read-json.js';
import { sha256OfFile } from '../files/sha256.js';
import { classifyExit } from '../qlora/classify-exit.js';
import type { QloraHyperparameters } from '../qlora/hyperparameters.js';
import { parseEvent } from '../qlora/parse-event.js';
import { simulatedProgram, trainerProgram } from '../qlora/trainer-program.js';
import type { ArtefactCheck, TrainerCommand, TrainerDriver } from '../training/trainer-driver.js';
import { evaluationFiles, type EvaluationPlan } from './evaluation-plan.js';
import { evaluationResultSchema, modelNames, type EvaluationResult } from './evaluation-result.js';

export interface Evaluation {
  /** The evaluation's run folder, absolute. */
  readonly directory: string;
  readonly plan: EvaluationPlan;
}

/** The driver of the real evaluator. `python` is the interpreter of the trainer's environment. */
export function createEvaluationDriver(
  evaluation: Evaluation & { readonly python: string; readonly device: QloraHyperparameters['device'] },
): TrainerDriver {
  return createDriver(evaluation, {
    name: 'evaluation',
    program: trainerProgram(evaluation.python, 'qlora.evaluate'),
    settings: { device: evaluation.device },
  });
}

/** The driver of the simulated evaluator, for adapters of the simulated trainer alone. */
export function createSimulatedEvaluationDriver(
  evaluation: Evaluation & { readonly secondsPerSample: number },
): TrainerDriver {
  return createDriver(evaluation, {
    name: 'evaluation-simulated',
    program: simulatedProgram('qlora-evaluator', 'TOWER_SIMULATED_EVALUATION'),
    settings: { simulation: { secondsPerSample: evaluation.secondsPerSample } },
  });
}

interface Evaluator {
  readonly name: string;
  readonly program: TrainerCommand;
  /** Of its configuration, beside what the plan says. */
  readonly settings: Readonly<Record<string, unknown>>;
}

/**
 * An evaluation runs like a training: under the GPU's lock, adopted, stopped and counted by the same code. One step is one
 * sample under one model; there is no state to go on from, so every start begins anew.
 */
function createDriver({ directory, plan }: Evaluation, evaluator: Evaluator): TrainerDriver {
  const files = evaluationFiles(directory);
  return {
    name: evaluator.name,
    simulated: plan.simulated,
    work: 'evaluating',
    pauseBy: 'next-checkpoint',
    memoryLadder: [],
    async prepare() {
      await mkdir(dirname(files.result), { recursive: true });
      await writeJsonDurable(files.config, {
        ...plan.model,
        ...evaluator.settings,
        heldOutDataset: files.heldOut,
        result: files.result,
        adapters: modelsOf(plan),
      });
    },
    command: () => ({ ...evaluator.program, argv: [...evaluator.program.argv, files.config] }),
    createParser: () => parseEvent,
    completeCheckpoints: () => Promise.resolve([]),
    classify: classifyExit,
    checkArtefact: () => checkResult({ directory, plan }),
  };
}

/** The base model first: it needs no adapter, so a broken one costs least. */
function modelsOf({ candidate, champion }: EvaluationPlan): { name: string; path: string | null }[] {
  return [
    { name: modelNames.base, path: null },
    { name: modelNames.candidate, path: candidate.adapter },
    ...(champion?.comparison === 'losses' ? [{ name: modelNames.champion, path: champion.adapter }] : []),
  ];
}

/** The finished result of an evaluation, if it is of this plan; else why not. */
async function checkResult({ directory, plan }: Evaluation): Promise<ArtefactCheck> {
  const { result: path } = evaluationFiles(directory);
  try {
    const result = await readEvaluationResult(directory);
    if (result === undefined) return { valid: false, reason: `there is no ${path}` };
    const fault = faultOf(result, plan);
    if (fault !== undefined) return { valid: false, reason: `${path} is not of this evaluation: ${fault}` };
    return { valid: true, path, sha256: await sha256OfFile(path), bytes: (await stat(path)).size };
  } catch (error) {
    if (!(error instanceof TowerError)) throw error;
    return { valid: false, reason: describeError(error) };
  }
}

/** @throws TowerError `FILE_INVALID` */
export async function readEvaluationResult(directory: string): Promise<EvaluationResult | undefined> {
  return await readJsonIfExists(evaluationFiles(directory).result, evaluationResultSchema);
}

function faultOf({ simulated, heldOutSha256, adapters }: EvaluationResult, plan: EvaluationPlan): string | undefined {
  if (simulated !== plan.simulated) return simulated ? 'it is simulated' : 'it is not simulated';
  if (heldOutSha256 !== plan.heldOut.sha256) return 'its held-out samples are others';
  const expected = modelsOf(plan);
  const same = expected.every(
    ({ name, path }, index) => adapters[index]?.name === name && adapters[index].path === path,
  );
  return same && adapters.length === expected.length ? undefined : 'its models are others';
}
