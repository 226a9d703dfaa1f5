import { z } from 'zod';

import { json, type Answer } from './answers.js';
import { faultPlanSchema } from './faults.js';
import { jsonBody } from './prompt-routes.js';
import type { Route, RouteContext } from './route.js';
import { settingsSchema } from './settings.js';

/** What the real server lacks: faults, settings and counters. Always answered, never counted. */
export const simRoutes: readonly Route[] = [
  { method: 'GET', pattern: '/sim/statistics', handle: ({ server }) => json(server.statistics.report()) },
  { method: 'DELETE', pattern: '/sim/statistics', handle: resetStatistics },
  { method: 'GET', pattern: '/sim/settings', handle: ({ server }) => json(server.settings) },
  { method: 'POST', pattern: '/sim/settings', handle: explained(changeSettings) },
  { method: 'POST', pattern: '/sim/faults', handle: explained(addFaults) },
  { method: 'DELETE', pattern: '/sim/faults', handle: clearFaults },
  { method: 'POST', pattern: '/sim/restart', handle: explained(restart) },
];

async function changeSettings({ request, server }: RouteContext): Promise<Answer> {
  server.change(settingsSchema.parse(await jsonBody(request)));
  return json(server.settings);
}

async function addFaults({ request, server }: RouteContext): Promise<Answer> {
  const plan = faultPlanSchema.parse(await jsonBody(request));
  server.faults.add(plan);
  return json({ added: plan.length });
}

function clearFaults({ server }: RouteContext): Answer {
  server.faults.clear();
  return json({ cleared: true });
}

function resetStatistics({ server }: RouteContext): Answer {
  server.statistics.reset();
  return json({ reset: true });
}

/** Answered before it happens. */
async function restart({ request, server }: RouteContext): Promise<Answer> {
  const { downMs } = z.strictObject({ downMs: z.number().nonnegative().default(0) }).parse(await jsonBody(request));
  setImmediate(() => void server.restart(downMs));
  return json({ restarts: server.statistics.restarts + 1 });
}

/** These are for people, so a mistake is explained. */
function explained(handle: (context: RouteContext) => Promise<Answer>): Route['handle'] {
  return async (context) => {
    try {
      return await handle(context);
    } catch (error) {
      const reason = error instanceof z.ZodError ? z.prettifyError(error) : String(error);
      return json({ error: reason }, 400);
    }
  };
}
