/**
 * Whether the value of an option that names a model means a file or folder, and not the name of a model on the hub. One without
 * a model's ending, such as `models/elara`, can be either.
 */
export function meansModelPath(model: string): boolean {
  return /^(~|\.{1,2})?\//.test(model) || /\.(safetensors|sft|ckpt|pth?|bin)$/i.test(model);
}
