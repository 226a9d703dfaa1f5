import { writeSync } from 'node:fs';

import { qloraExitCodes } from '../../qlora/classify-exit.js';
import type { FaultClass } from '../../training/fault-class.js';
import type { TrainerEvent } from '../../training/trainer-events.js';

type ReportableClass = Exclude<FaultClass, 'killed' | 'stalled'>;

/** Ends the trainer with an `error` event and the exit code of its class. */
export class TrainerFault extends Error {
  readonly faultClass: ReportableClass;

  constructor(faultClass: ReportableClass, message: string) {
    super(message);
    this.faultClass = faultClass;
  }

  get exitCode(): number {
    return qloraExitCodes[this.faultClass];
  }
}

type Untimed<Event> = Event extends { time: string } ? Omit<Event, 'time'> : never;

/** One JSON line on stdout, written before this returns. */
export function emit(event: Untimed<TrainerEvent>): void {
  const { event: name, ...rest } = event;
  writeSync(1, `${JSON.stringify({ event: name, time: new Date().toISOString(), ...rest })}\n`);
}
