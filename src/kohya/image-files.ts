import { extname } from 'node:path';

const endings = new Set(['.png', '.jpg', '.jpeg', '.webp', '.bmp']);

/** Whether a name ends as those of the images that sd-scripts trains with, in whatever case (contract kohya.md, section 3.1). */
export function isImageFile(name: string): boolean {
  return endings.has(extname(name).toLowerCase());
}

/** sd-scripts finds endings that are all in lower or all in upper case. */
export function isFoundByTrainer(name: string): boolean {
  const ending = extname(name);
  return isImageFile(name) && (ending === ending.toLowerCase() || ending === ending.toUpperCase());
}

/** Only sd-scripts reads them: nothing here could tell a whole one from a broken one, or show it to a person. */
export function isBitmap(name: string): boolean {
  return extname(name).toLowerCase() === '.bmp';
}
