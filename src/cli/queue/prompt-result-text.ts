import { costText } from '../../syntx/generation/cost-text.js';
import { whyExplored } from '../../syntx/learning/why-explored.js';
import type { CleanQueueResult } from '../../workflows/clean.js';
import type { ConsumePromptsResult } from '../../workflows/consume.js';
import type { MonitorQueueResult } from '../../workflows/monitor.js';
import type { ProducePromptsResult } from '../../workflows/produce.js';

export function producedLines(result: ProducePromptsResult): string[] {
  const { outcome, reason, requested, written, failed, learnedFrom, generation, archived, recovered } = result;
  const recoveredLine = recovered === 0 ? [] : [`  ${recovered} prompts of an interrupted run were written`];
  if (outcome === 'skipped') return [`  nothing made: ${reason}`, ...recoveredLine];
  return [
    ...recoveredLine,
    `  ${reason}${result.simulated ? ' [simulated]' : ''}`,
    learnedFrom === 0
      ? `  explored: ${whyExplored(result.policy)}`
      : `  generation ${generation ?? '-'}: learned from ${learnedFrom} scored jobs`,
    `  ${written} of ${requested} prompts written, ${failed} failed, ${archived} jobs archived, ${costText(result)}`,
  ];
}

export function consumedLines(result: ConsumePromptsResult): string[] {
  const { claimed, processed, low, unscored, lost, meanScore, ended, simulated } = result;
  const mean = `${meanScore === null ? '' : `, mean score ${meanScore}`}${simulated ? ' [simulated]' : ''}`;
  const why = { batch: 'the batch is done', empty: 'nothing waits any more' }[ended] ?? ended;
  return [
    `  ${claimed} prompts: ${processed} processed, ${low} below the threshold, ${unscored} unscored${lost === 0 ? '' : `, ${lost} taken away`}${mean}`,
    `  ended: ${why}`,
  ];
}

export function monitoredLines({ line, flags }: MonitorQueueResult): string[] {
  return [`  ${line}`, ...flags.map(({ text }) => `! ${text}`)];
}

export function cleanedLines({ files, temporary, broken, logs, runs, dryRun }: CleanQueueResult): string[] {
  const total = temporary + broken + logs + runs;
  const named = files.map(
    ({ kind, path, ageHours, movedTo }) =>
      `  ${kind} ${path} (${ageHours} h)${movedTo === null ? '' : ` → ${movedTo}`}`,
  );
  const rest = total > files.length ? [`  and ${total - files.length} more: cleanup.log names them all`] : [];
  const summary = `  ${dryRun ? 'would be cleaned away' : 'cleaned away'}: ${temporary} temporary, ${broken} broken, ${logs} logs, ${runs} producer runs`;
  return [summary, ...named, ...rest];
}
