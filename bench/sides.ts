import { bareImport } from './import/bare-import.js';
import { towerImport } from './import/tower-import.js';
import { bareEvidence, towerEvidence } from './queue/evidence-sides.js';
import { historyPoll, oneInFlight } from './render/one-in-flight.js';
import { saintnoSdk } from './render/saintno-sdk.js';
import { stableCanvas } from './render/stable-canvas.js';
import { towerRender } from './render/tower-render.js';
import type { Side } from './side.js';
import { bareUpload } from './upload/bare-upload.js';
import { towerUpload } from './upload/tower-upload.js';

export const sides = {
  'bare-import': bareImport,
  'tower-import': towerImport,
  'bare-upload': bareUpload,
  'tower-upload': towerUpload,
  'bare-evidence': bareEvidence,
  'tower-evidence': towerEvidence,
  'tower-render': towerRender,
  'one-in-flight': oneInFlight,
  'history-poll': historyPoll,
  'saintno-sdk': saintnoSdk(1),
  'saintno-sdk-2': saintnoSdk(2),
  'stable-canvas': stableCanvas(1),
  'stable-canvas-2': stableCanvas(2),
} as const satisfies Record<string, Side>;

export type SideName = keyof typeof sides;
