/** PyTorch's names for the same setting: from 2.9 on, and before. */
const names = ['PYTORCH_ALLOC_CONF', 'PYTORCH_CUDA_ALLOC_CONF'] as const;

/**
 * How PyTorch takes memory of the GPU: with less fragmentation, so that a run that fits does not fail later for want of one large
 * block. Whoever has set it for Tower decides.
 */
export function allocatorEnvironment(own: NodeJS.ProcessEnv = process.env): Record<string, string> {
  if (names.some((name) => own[name] !== undefined)) return {};
  return Object.fromEntries(names.map((name) => [name, 'expandable_segments:True']));
}
