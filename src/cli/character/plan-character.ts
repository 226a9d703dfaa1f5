import { coverageOf, planImages, type AxisCoverage, type PlannedImage } from '../../character/plan.js';
import { triggerNotice } from '../../character/trigger-notice.js';
import type { CommandContext } from '../command-context.js';
import { tableText } from '../table.js';
import type { JobOptions } from './job-options.js';
import { readJob } from './read-job.js';

/** Shows what a job would render. The same job gives the same plan, here and on the GPU host. */
export async function planCharacter(options: JobOptions, { output }: CommandContext): Promise<void> {
  const { job } = await readJob(options, ['generate']);
  const plan = planImages(job);
  const notice = triggerNotice(job);
  if (notice !== undefined) output.say(`warning ${notice}`);
  const coverage = coverageOf(plan.images);
  const text = [imagesText(plan.images), ...coverage.map(coverageText)].join('\n\n');
  output.result({ name: job.name, ...plan, coverage }, text);
}

function imagesText(images: readonly PlannedImage[]): string {
  return tableText(
    ['IMAGE', 'SEED', 'PROMPT'],
    images.map(({ index, seed, prompt }) => [String(index), String(seed), prompt]),
  );
}

function coverageText({ axis, values, without }: AxisCoverage): string {
  const used = values.filter(({ count }) => count > 0).length;
  const rows = values.map(({ value, count }) => [`  ${value}`, String(count)]);
  const none = without === 0 ? '' : `, ${without} images show none`;
  return [`${axis}: ${used} of ${values.length} values${none}`, tableText(['  VALUE', 'IMAGES'], rows)].join('\n');
}
