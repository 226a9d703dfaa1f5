import { access, rm } from 'node:fs/promises';
import { basename, join } from 'node:path';

import { z } from 'zod';

import { namesIn, undefinedIfAbsent } from '../../files/absent.js';
import { syncDirectory } from '../../files/durable-write.js';
import { readJsonIfExists } from '../../files/read-json.js';
import { copyName, isFileName, isMetadataFile } from './job-name.js';
import { metadataText } from './metadata.js';
import { stages, type QueuePaths, type Spot } from './queue-paths.js';
import { renameIfPresent, writeStaged } from './staged-write.js';

const spotSchema = z.object({ place: z.enum([...stages, 'broken']), baseName: z.string() });

const moveSchema = z.object({
  version: z.literal(1),
  from: spotSchema,
  to: spotSchema,
  /** Metadata at the new place; without it the file is moved as it is. */
  metadata: z.record(z.string(), z.unknown()).optional(),
  /** Text of `_response.txt` at the new place; without it the file is moved, where there is one. */
  response: z.string().optional(),
  /** The job's lease, and the stored answer, end with the move. */
  endsLease: z.boolean().default(false),
  endsAnswer: z.boolean().default(false),
});

/** A job's way from one place to another: three files that have to arrive together. */
export type Move = z.input<typeof moveSchema>;
type RecordedMove = z.output<typeof moveSchema>;

/**
 * Moves a job. What is to be done is on disk before it begins, so that whoever changes the queue next finishes what a crash or
 * a full disk interrupted. Under the queue's lock.
 */
export async function moveJob(paths: QueuePaths, move: Omit<Move, 'version'>): Promise<void> {
  const recorded = moveSchema.parse({ version: 1, ...move });
  await writeStaged(paths.staging, paths.move(move.from.baseName), `${JSON.stringify(recorded, null, 2)}\n`);
  await syncDirectory(paths.moves);
  await carryOut(paths, recorded, false);
}

/**
 * Finishes what earlier changes left half done. Under the queue's lock.
 *
 * @param onStuck is told of a move that something in its own way keeps from being finished, such as a directory with the name of
 * a file; it stays noted, and the rest of the queue goes on.
 */
export async function finishMoves(paths: QueuePaths, onStuck: (file: string, error: unknown) => void): Promise<void> {
  for (const name of (await namesIn(paths.moves)).filter(isMetadataFile).sort()) {
    const file = join(paths.moves, name);
    try {
      const move = await readJsonIfExists(file, moveSchema);
      if (move !== undefined) await carryOut(paths, move, true);
    } catch (error) {
      if (!isInTheWay(error)) throw error;
      onStuck(file, error);
    }
  }
}

/** A fault of one job's own files, unlike a full disk or a missing right, which are the queue's. */
function isInTheWay(error: unknown): boolean {
  const { code } = error as { code?: unknown };
  return ['EISDIR', 'ENOTDIR', 'ENOTEMPTY', 'EEXIST', 'ELOOP', 'ENAMETOOLONG', 'FILE_INVALID'].includes(String(code));
}

/** Every step may be done again, and its order decides what readers see: a job appears with its last file. */
async function carryOut(paths: QueuePaths, move: RecordedMove, again: boolean): Promise<void> {
  const from = await promptSpot(paths, move);
  if (from !== undefined || !again || !(await isElsewhere(paths, move))) {
    await moveResponse(paths, move);
    // Consumers claim prompts, so into `incoming` the prompt comes last; elsewhere readers list metadata.
    const steps = [() => movePrompt(paths, move, from), () => moveMetadata(paths, move)];
    if (move.to.place === 'incoming') steps.reverse();
    for (const step of steps) await step();
    for (const place of new Set([move.to.place, move.from.place, from?.place ?? move.from.place])) {
      await syncDirectory(paths.directory(place));
    }
  }
  if (move.endsAnswer) await rm(paths.answer(move.from.baseName), { force: true });
  if (move.endsLease) await rm(paths.lease(move.from.baseName), { force: true });
  await rm(paths.move(move.from.baseName), { force: true });
  await syncDirectory(paths.moves);
}

/**
 * Where the prompt lies: at its old place, at its new one already, or in `incoming`, where the original's nightly cleanup puts
 * everything that is being processed (contract syntx 7, weakness 1).
 */
async function promptSpot(paths: QueuePaths, { from, to }: RecordedMove): Promise<Spot | undefined> {
  const stolen: Spot = { place: 'incoming', baseName: from.baseName };
  for (const spot of [from, to, ...(from.place === 'processing' ? [stolen] : [])]) {
    if (await isThere(paths.prompt(spot))) return spot;
  }
  return undefined;
}

async function movePrompt(paths: QueuePaths, { to }: RecordedMove, from: Spot | undefined): Promise<void> {
  if (from !== undefined && !isSame(from, to)) await renameIfPresent(paths.prompt(from), paths.prompt(to));
}

async function moveMetadata(paths: QueuePaths, { from, to, metadata }: RecordedMove): Promise<void> {
  const stolen: Spot = { place: 'incoming', baseName: from.baseName };
  // A prompt that is still in `incoming` is another job of the same name, and the metadata there is its own.
  const isStolen = from.place === 'processing' && !(await isThere(paths.prompt(stolen)));
  const others = [from, ...(isStolen ? [stolen] : [])].filter((spot) => !isSame(spot, to));
  if (metadata === undefined) {
    for (const spot of others) if (await renameIfPresent(paths.metadata(spot), paths.metadata(to))) return;
    return;
  }
  await writeStaged(paths.staging, paths.metadata(to), metadataText(metadata));
  for (const spot of others) await rm(paths.metadata(spot), { force: true });
}

async function moveResponse(paths: QueuePaths, { from, to, response }: RecordedMove): Promise<void> {
  if (response === undefined) {
    if (!isSame(from, to)) await renameIfPresent(paths.response(from), paths.response(to));
    return;
  }
  // The original writes no file for an empty answer.
  if (response === '') await rm(paths.response(to), { force: true });
  else await writeStaged(paths.staging, paths.response(to), response);
  if (!isSame(from, to)) await rm(paths.response(from), { force: true });
}

/** Whether a program of the original has moved the job on since the interruption. */
async function isElsewhere(paths: QueuePaths, { from, to }: RecordedMove): Promise<boolean> {
  for (const place of stages) {
    for (const { baseName } of [from, to]) if (await isThere(paths.prompt({ place, baseName }))) return true;
  }
  return false;
}

export async function isThere(path: string): Promise<boolean> {
  return isFileName(basename(path)) && (await access(path).then(() => true, undefinedIfAbsent)) === true;
}

function isSame(a: Spot, b: Spot): boolean {
  return a.place === b.place && a.baseName === b.baseName;
}

/** A place for a job's files where none of that name are: the name itself, or one with a number added. */
export async function freeSpot(paths: QueuePaths, wanted: Spot): Promise<Spot> {
  for (let copy = 1; ; copy++) {
    const spot = copy === 1 ? wanted : { ...wanted, baseName: copyName(wanted.baseName, copy) };
    if (!(await isThere(paths.prompt(spot))) && !(await isThere(paths.metadata(spot)))) return spot;
  }
}
