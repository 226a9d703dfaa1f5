import type { HeldOut } from './run-files.js';

/**
 * How many images are held out, and the share that makes sd-scripts hold out exactly these. It rounds the size of the training part up
 * and that of the held-out part by itself, so that a plain quotient may put one image into both; a quarter of an image more cannot.
 */
export function planHeldOut(
  images: number,
  { share, seed, validation }: { readonly share: number; readonly seed: number; readonly validation: boolean },
): { heldOut: HeldOut; share: number | undefined } {
  const count = Math.min(images - 1, Math.round(images * share));
  if (share === 0) return none('validation_split is 0');
  if (!validation) return none('the installed sd-scripts cannot hold images out');
  if (count === 0) return none(`${images} images are too few to hold a share of ${share} out`);
  return { heldOut: { available: true, images: count, of: images, seed }, share: (count + 0.25) / images };
}

function none(reason: string): { heldOut: HeldOut; share: undefined } {
  return { heldOut: { available: false, reason }, share: undefined };
}
