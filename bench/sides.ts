import { bareImport } from './import/bare-import.js';
import { towerImport } from './import/tower-import.js';
import type { Side } from './side.js';
import { bareUpload } from './upload/bare-upload.js';
import { towerUpload } from './upload/tower-upload.js';

export const sides = {
  'bare-import': bareImport,
  'tower-import': towerImport,
  'bare-upload': bareUpload,
  'tower-upload': towerUpload,
} as const satisfies Record<string, Side>;

export type SideName = keyof typeof sides;
