const allowed = [
  /^(PATH|HOME|LANG|TMPDIR|LD_LIBRARY_PATH)$/,
  /^(LC|CUDA|NVIDIA|OMP|HF|PYTORCH|TRANSFORMERS|XDG|SSL_CERT)_\w+$/,
  /^(HTTPS?|NO)_PROXY$/i,
];

/**
 * The environment of a trainer: the allow-listed part of Tower's own, the trainer's explicit variables, and the one GPU
 * it may see, or none where the trainer's own variables say so. No secret of Tower (API keys, Temporal credentials) is on the list.
 */
export function trainerEnvironment(
  own: NodeJS.ProcessEnv,
  explicit: Readonly<Record<string, string>>,
  gpuIndex: number,
): Record<string, string> {
  const inherited = Object.entries(own).filter(
    (entry): entry is [string, string] => entry[1] !== undefined && allowed.some((pattern) => pattern.test(entry[0])),
  );
  return {
    ...Object.fromEntries(inherited),
    ...explicit,
    // CUDA's own default order is by speed; nvidia-smi, whose index this is, counts by bus.
    CUDA_DEVICE_ORDER: 'PCI_BUS_ID',
    CUDA_VISIBLE_DEVICES: explicit['CUDA_VISIBLE_DEVICES'] === '' ? '' : String(gpuIndex),
  };
}
