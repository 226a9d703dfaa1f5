/** Every workflow type of Tower; the bundle's entry. */
export { dailyCycle } from './daily-cycle.js';
export { dailyTick } from './daily-tick.js';
export { deliverAdapter } from './deliver-adapter.js';
export { editLedger } from './edit-ledger.js';
export { housekeeping } from './housekeeping.js';
export { importLocalBatch } from './import-local-batch.js';
