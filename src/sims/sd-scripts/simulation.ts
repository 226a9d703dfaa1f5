/** Kinds of faults on demand. `nan` goes on training, as sd-scripts does; `torn-state` is a kill while a state is being saved. */
export const faultKinds = [
  'crash',
  'killed',
  'torn-state',
  'stall',
  'out-of-memory',
  'disk-full',
  'nan',
  'zero-lora',
  'no-images',
  'fail-after-save',
] as const;

/** A fault on demand, also given as JSON by the environment variable `TOWER_SIMULATED_SD_SCRIPTS_FAULT`, which wins. */
export interface SdScriptsFault {
  readonly kind: (typeof faultKinds)[number];
  /** Happens when this step of the whole training would begin, or with the first state after it. Default 1. */
  readonly atStep?: number;
  /** Only the n-th start of the trainer in this run folder, from 1. */
  readonly onlyOnLaunch?: number;
  /** The first n starts. */
  readonly untilLaunch?: number;
}

/** How the stand-in behaves; JSON in the environment variable `TOWER_SIMULATED_SD_SCRIPTS`. */
export interface SdScriptsSimulation {
  /** Default 0.02. */
  readonly secondsPerStep?: number;
  /** `false`: like versions that cannot hold images out. Default `true`. */
  readonly validation?: boolean;
  readonly fault?: SdScriptsFault;
}

/** @throws Error for settings that no driver writes. */
export function readSimulation(environment: NodeJS.ProcessEnv): SdScriptsSimulation {
  const { TOWER_SIMULATED_SD_SCRIPTS: settings, TOWER_SIMULATED_SD_SCRIPTS_FAULT: fault } = environment;
  const simulation = (settings ? JSON.parse(settings) : {}) as SdScriptsSimulation;
  const all = fault ? { ...simulation, fault: JSON.parse(fault) as SdScriptsFault } : simulation;
  if (all.fault !== undefined && !faultKinds.includes(all.fault.kind)) throw new Error(`no fault ${all.fault.kind}`);
  return all;
}
