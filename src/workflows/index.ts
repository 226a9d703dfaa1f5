/** Every workflow type of Tower; the bundle's entry. */
export { cleanQueue } from './clean.js';
export { consumePrompts } from './consume.js';
export { characterLora } from './character-lora.js';
export { characterSlots } from './character-slots.js';
export { dailyCycle } from './daily-cycle.js';
export { dailyTick } from './daily-tick.js';
export { deliverAdapter } from './deliver-adapter.js';
export { editLedger } from './edit-ledger.js';
export { housekeeping } from './housekeeping.js';
export { importLocalBatch } from './import-local-batch.js';
export { monitorQueue } from './monitor.js';
export { producePrompts } from './produce.js';
export { promptTick } from './prompt-tick.js';
