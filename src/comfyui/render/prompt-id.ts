import { v5 as uuidV5 } from 'uuid';

import { sha256Of } from '../../files/sha256.js';
import type { Graph } from '../graph.js';

/** Namespace of Tower's prompt ids: any fixed UUID, only ever this one. */
const namespace = '6f1d2a54-3c1e-5b9f-8a37-0d6e2c94b7e1';

/**
 * The id of one rendering, the same whenever it is computed: so a prompt is found again after a lost answer, and by the next
 * process. The graph is part of it, so one id never names two pictures.
 */
export function promptIdOf(runKey: string, key: string, attempt: number, graph: Graph): string {
  return uuidV5(JSON.stringify([runKey, key, attempt, sha256Of(JSON.stringify(graph))]), namespace);
}
