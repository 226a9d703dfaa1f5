import type { FaultClass } from '../training/fault-class.js';
import type { TrainerExit } from '../training/trainer-driver.js';
import type { TrainerEvent } from '../training/trainer-events.js';

/** Signals that somebody else sends; the others (SIGSEGV, SIGABRT …) are faults of the trainer itself. */
const endingSignals = new Set(['SIGKILL', 'SIGTERM', 'SIGINT', 'SIGHUP', 'SIGQUIT', 'SIGPIPE']);
const endingSignalCodes = new Set([128 + 9, 128 + 15, 128 + 2, 128 + 1]);
/** argparse refused an option. */
const usageCode = 2;

/**
 * What the last words of sd-scripts and of the libraries under it mean; the first that fits counts (contract kohya.md, section 6).
 * Anything that is not listed may be a bug and is tried again a few times.
 */
const patterns: readonly (readonly [RegExp, FaultClass])[] = [
  [
    /OutOfMemoryError|(?:CUDA|HIP)(?: driver)?(?: error:)? out of memory|\bCU\w+_STATUS_ALLOC_FAILED|^Error out of memory|can't allocate memory|^MemoryError/im,
    'out-of-memory',
  ],
  [/no space left on device|disk quota exceeded|enforce fail at inline_container/i, 'disk-full'],
  [/No data found\. Please verify arguments/, 'bad-dataset'],
  [/caption file is empty|illegal char in file|UnidentifiedImageError|cannot identify image file/i, 'bad-dataset'],
  // Of an image without size, in the choice of buckets.
  [/ZeroDivisionError/, 'bad-dataset'],
  [/is neither a valid local path nor a valid repo id/, 'missing-model'],
  [
    /OSError: .*(is not a local folder and is not a valid model identifier|Can't load (the )?(tokenizer|config|model))/,
    'missing-model',
  ],
  [
    /LocalEntryNotFoundError|RepositoryNotFoundError|OfflineModeIsEnabled|couldn't connect to .*huggingface/i,
    'missing-model',
  ],
  // A tokenizer whose files are not in the cache and cannot be fetched.
  [/vocab_file[^]*TypeError: expected str, bytes or os\.PathLike object, not NoneType/, 'missing-model'],
  [/FileNotFoundError: .*\.(safetensors|ckpt|pt|bin|json)\b/, 'missing-model'],
  [/SafetensorError|HeaderTooLarge|Error\(s\) in loading state_dict/, 'missing-model'],
  [/ModuleNotFoundError|ImportError|AttributeError: module '[\w.]+' has no attribute/, 'bad-config'],
  [/\.toml not found\./, 'bad-config'],
  // Half precision on a CPU, and a tokenizer file of another length.
  [/RuntimeError: .*(to have the same dtype|should be the same|expected scalar type \w+ but found)/, 'bad-config'],
  [/RuntimeError: shape '\[-1, \d+\]' is invalid/, 'bad-config'],
  [
    /^(AssertionError|ValueError|argparse\.ArgumentTypeError|voluptuous\.\S*Invalid\S*|toml\.decoder\.\S+)\b/m,
    'bad-config',
  ],
];

/**
 * The class of a launch that ended without a valid LoRA: the fault that was seen while it ran, else its last traceback (its last
 * output where there is none), else its exit code or signal. sd-scripts says 1 to most faults, and 0 when it found no images.
 */
export function classifyExit(exit: TrainerExit, events: readonly TrainerEvent[], outputTail: string): FaultClass {
  const error = events.findLast((event) => event.event === 'error');
  if (error !== undefined) return error.class;
  const lastWords = outputTail.slice(Math.max(0, outputTail.lastIndexOf('Traceback (most recent call last)')));
  const byWords = patterns.find(([pattern]) => pattern.test(lastWords))?.[1];
  if (byWords === 'out-of-memory' || byWords === 'disk-full') return byWords;
  if (exit.signal !== undefined) return endingSignals.has(exit.signal) ? 'killed' : 'internal';
  // No code at all: the launcher died with its trainer, as in a power cut.
  if (exit.code === undefined || endingSignalCodes.has(exit.code)) return 'killed';
  if (exit.code === usageCode) return 'bad-config';
  // It came to its end, and what it saved is no good: it would be no better the next time.
  if (exit.code === 0 && events.some((event) => event.event === 'done')) return 'diverged';
  return byWords ?? 'internal';
}
