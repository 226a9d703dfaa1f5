import { join } from 'node:path';

import { Context } from '@temporalio/activity';

import { openRun, type CharacterRun } from '../../character/character-run.js';
import { chooseEpoch, type EpochChoice } from '../../character/choose-epoch.js';
import { publishLora } from '../../character/publish.js';
import { scoreEpochs } from '../../character/scorer.js';
import { TowerError } from '../../errors.js';
import { writeJsonDurable } from '../../files/durable-write.js';
import { readEpochs, readKohyaPlan } from '../../kohya/epochs.js';
import type { ServiceOptions } from '../../service-options.js';
import { runDirectory } from '../../training/run-directory.js';
import { readSettled, type Settled } from '../../training/settle.js';
import { Turns } from '../../turns.js';
import { withHeartbeat } from '../heartbeat.js';
import { checked, runSchema } from '../inputs.js';
import type { WorkerEnvironment } from '../worker-environment.js';
import { readChoice } from './choice.js';
import { loraDirectory } from './comfyui.js';
import { endInputSchema } from './inputs.js';
import type { CharacterHostActivities, ChosenEpoch, PublishedLora, PublishRecord } from './interfaces.js';
import { recordRun } from './record-run.js';
import { readComfyuiRecord } from '../../character/comfyui-record.js';
import { stageWork } from './stage-work.js';

type Deliver = Pick<CharacterHostActivities, 'chooseEpoch' | 'publishLora' | 'publishAlias' | 'recordCharacter'>;

/** `chooseEpoch`, `publishLora`, `publishAlias` and `recordCharacter`: from a finished training to a LoRA in ComfyUI and its record. */
export function deliverRun(environment: WorkerEnvironment): Deliver {
  // By output: an attempt that the server has given up, on a machine that was suspended, must not write the draft of the next one,
  // and runs of one output have one alias.
  const deliveries = new Map<string, Turns>();
  const publishInTurn = (...[run, target, options]: Parameters<typeof publish>) => {
    const turns = deliveries.get(run.job.output) ?? new Turns();
    deliveries.set(run.job.output, turns);
    return turns.take(() => publish(run, target, options), options.signal);
  };
  return {
    chooseEpoch: (input) =>
      stageWork<object, ChosenEpoch>(environment, delivering(input), async (run, options) => {
        const { scorer, scorerTimeoutMinutes } = run.job.choose;
        const epochs = await readEpochs(run.paths.directory);
        const scores =
          scorer === null
            ? undefined
            : await scoreEpochs(epochs, { command: scorer, timeoutMinutes: scorerTimeoutMinutes }, options);
        const { heldOut } = await readKohyaPlan(run.paths.directory);
        const choice = chooseEpoch(epochs, scores, heldOut.available ? undefined : heldOut.reason);
        await writeJsonDurable(run.paths.choice, choice);
        return chosenEpoch(choice);
      }),

    publishLora: (input) =>
      stageWork<object, PublishRecord>(environment, delivering(input), (run, options) =>
        publishInTurn(run, { loras: () => loraDirectory(environment), alias: false }, options),
      ),

    publishAlias: (input) =>
      stageWork<object, PublishedLora>(environment, delivering(input), async (run, options) => {
        const published = await publishInTurn(run, { loras: () => loraDirectory(environment), alias: true }, options);
        if (published.outcome === 'published') return published;
        throw new TowerError('NOTHING_DELIVERED', `${run.paths.directory} has published no LoRA: ${published.reason}`);
      }),

    async recordCharacter(input) {
      const { run, ...end } = checked(endInputSchema, input);
      const { config, paths, log } = environment;
      try {
        // The sidecar has the hash of every image, which takes its time for a large dataset of somebody else.
        await withHeartbeat(Context.current(), config.worker.heartbeatSeconds * 1000, async () =>
          recordRun(await openRun(join(paths.runs, run)), end),
        );
      } catch (error) {
        const isWell = end.outcome === 'succeeded' || end.outcome === 'simulated';
        if (isWell || !(error instanceof TowerError) || error.code !== 'DISK_FULL') throw error;
        // A run that has failed, perhaps because of that very disk, must end: its workflow says how, and so does the log.
        log.warn({ runId: run, ...end, err: error }, 'how a run ended cannot be recorded');
      }
    },
  };
}

async function publish(
  run: CharacterRun,
  { loras, alias }: { readonly loras: () => string; readonly alias: boolean },
  options: ServiceOptions<object>,
): Promise<PublishRecord> {
  const settled = await settledTraining(run);
  const simulated = settled.simulated || ((await readComfyuiRecord(run.paths.directory))?.simulated ?? false);
  const { deliver, output } = run.job;
  if (simulated && !deliver.simulated) {
    return { outcome: 'withheld', reason: 'simulated, and the job does not ask for deliver.simulated' };
  }
  const { path, sha256 } = await readChoice(run);
  const delivery = await publishLora(
    {
      ...{ run: run.reservation.run, source: path, sha256, output, alias, simulated },
      ...{ loras: loras(), deliverSimulated: deliver.simulated, record: run.paths.delivery },
    },
    options,
  );
  const { loraName: name, path: file, bytes, aliasRefused } = delivery;
  return {
    ...{ outcome: 'published', name, file, sha256: delivery.sha256, bytes, alias: delivery.alias },
    ...(aliasRefused !== null && { aliasRefused }),
  };
}

function delivering(input: unknown): { readonly run: string; readonly stage: 'deliver' } {
  return { run: checked(runSchema, input).run, stage: 'deliver' };
}

function chosenEpoch({ epoch, sha256, reason, epochs }: EpochChoice): ChosenEpoch {
  const chosen = epochs.find((candidate) => candidate.epoch === epoch);
  return {
    ...{ epoch, epochs: epochs.length, sha256, reason },
    trainLoss: chosen?.trainLoss ?? null,
    heldOutLoss: chosen?.heldOutLoss ?? null,
  };
}

async function settledTraining(run: CharacterRun): Promise<Settled> {
  const settled = await readSettled(runDirectory(run.paths.directory));
  if (settled !== undefined) return settled;
  throw new TowerError('NOT_TRAINED', `${run.paths.directory} has no finished training`, {
    next: 'Let the run go on: `tower character start --run`.',
  });
}
