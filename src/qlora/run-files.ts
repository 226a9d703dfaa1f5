/** Names inside a QLoRA run's output folder, shared by the driver and the simulated trainer (trainers/qlora writes the same). */

/** Written last into a checkpoint, after the fsync of every file it names. */
export const checkpointMarker = 'complete.json';

/** Files of a peft adapter folder (contracts: signz-mind, section 6.4). */
export const adapterConfigFile = 'adapter_config.json';
export const adapterWeightsFile = 'adapter_model.safetensors';

/** What made the adapter and with what losses; a repeated start knows by it that nothing is left to do. */
export const trainingResultFile = 'training_result.json';

/** Present in every folder that the simulated trainer made, and in no other. */
export const simulatedMarkFile = 'simulated.json';
