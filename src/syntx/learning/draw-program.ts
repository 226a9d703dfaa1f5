import { serveJobs } from '../../threads/serve-jobs.js';
import type { DrawJob } from './draw-in-thread.js';
import type { Drawn } from './draw.js';
import { drawPrompts } from './policy.js';

/** The program of the thread of `draw-in-thread.ts`. */
serveJobs<DrawJob, Drawn>(({ input, options }) => Promise.resolve(drawPrompts(input, options)));
