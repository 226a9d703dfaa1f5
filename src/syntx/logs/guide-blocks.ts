import { whyExplored } from '../learning/why-explored.js';
import { pythonRound } from '../scores/python-round.js';

/** What a producer run did, for `producer_cron.log`. */
export interface ProducerBlock {
  readonly generation: number;
  /** How it has drawn: `thompson`, `patterns`, `uniform`. */
  readonly policy: string;
  /** Jobs that it learned from; 0 draws at random. */
  readonly learnedFrom: number;
  /** Of these, the ones with a good score: how many, from which score on, and their mean. */
  readonly good: { readonly jobs: number; readonly minimumScore: number; readonly averageScore: number | null };
  /** Styles and categories that won. */
  readonly patterns: readonly string[];
  readonly prompts: readonly {
    readonly category: string;
    readonly topic: string;
    readonly style: string;
    /** `null` when it was generated. */
    readonly error: string | null;
  }[];
  readonly written: number;
}

export interface ConsumerStart {
  readonly workerId: string;
  readonly wrapper: string;
  readonly batchSize: number;
}

export interface ConsumedJob {
  readonly baseName: string;
  readonly stage: string;
  readonly score: number | null;
  readonly reason: string | null;
}

export interface ConsumerEnd {
  readonly processed: number;
  readonly failed: number;
}

/** One line of an entry by which a repeated activity finds that it has been written. */
export function runLine(run: string): string {
  return `   Run: ${run}`;
}

/** The block of a producer run, as the guide shows it. */
export function producerBlock(run: string, block: ProducerBlock): string {
  const { generation, prompts, policy, learnedFrom, good, patterns } = block;
  const successful = prompts.filter(({ error }) => error === null).length;
  const learned =
    learnedFrom === 0
      ? [`   ℹ️ Nothing learned, ${whyExplored(policy)}: random topics and styles`]
      : [
          `   ✅ Found ${good.jobs} high-quality jobs (score >= ${good.minimumScore})`,
          ...(good.averageScore === null ? [] : [`   📊 Avg Score: ${rounded(good.averageScore)}/100`]),
          ...(patterns.length === 0 ? [] : [`   📊 Patterns: ${patterns.join(', ')}`]),
        ];
  const generated = prompts.map(
    ({ category, topic, style, error }, index) =>
      `   [${index + 1}/${prompts.length}] ${category}: ${topic} (${style}) ${error === null ? '✅' : `❌ ${oneLine(error)}`}`,
  );
  return [
    `🧬 SYNTX EVOLUTIONARY PRODUCER - Generation ${generation}`,
    ...producerMark(run),
    ...learned,
    '',
    `🎨 PHASE 2: GENERATING ${prompts.length} OPTIMIZED PROMPTS`,
    ...generated,
    '',
    `📝 PHASE 3: WRITING ${successful} PROMPTS TO QUEUE`,
    `   ✅ Written: ${block.written} to queue/incoming/`,
    '',
    `📊 GENERATION ${generation} SUMMARY:`,
    `   Learned from: ${learnedFrom} jobs`,
    `   Generated: ${successful}/${prompts.length} successful`,
    `   Written to Queue: ${block.written}`,
    '',
  ].join('\n');
}

/** Lines that only the block of a run that has published has: one that was not finished may stand in the log before it. */
export function producerMark(run: string): string[] {
  return [runLine(run), '📚 PHASE 1: LEARNING FROM PROCESSED/'];
}

/** A producer run that made nothing, and why. @param kept prompts that it has made before, and that a later run publishes. */
export function skippedProducerBlock(run: string, reason: string, kept = 0): string {
  const what =
    kept === 0
      ? `Nothing generated: ${oneLine(reason)}`
      : `Not finished: ${oneLine(reason)}; ${kept} prompts are kept, the next run publishes them`;
  return ['🧬 SYNTX EVOLUTIONARY PRODUCER', runLine(run), `   ⏸️ ${what}`, ''].join('\n');
}

export function consumerStart(run: string, { workerId, wrapper, batchSize }: ConsumerStart): string {
  return [
    `🔧 Consumer [${workerId}] initialized (wrapper: ${wrapper})`,
    runLine(run),
    `🚀 Starting batch processing (max: ${batchSize} jobs)`,
    '',
  ].join('\n');
}

/** First line of a job's entry. */
export function processingLine(baseName: string): string {
  return `Processing: ${withoutControls(baseName)}.txt`;
}

/** @param processed the name under which the job was processed. */
export function consumedJob(processed: string, { stage, score, reason }: ConsumedJob): string {
  const what = score === null ? oneLine(reason ?? 'no reason noted') : `Score: ${score}/100`;
  return `${processingLine(processed)}\n   ${stage === 'processed' ? '✅' : '❌'} ${what} → ${stage}/`;
}

export function consumerEnd({ processed, failed }: ConsumerEnd): string {
  const total = processed + failed;
  const share = total === 0 ? '' : ` (${Math.round((100 * processed) / total)}% success!)`;
  return [
    '',
    '📊 BATCH COMPLETE:',
    `   Processed: ${processed}/${total}${share}`,
    `   Failed: ${failed}/${total}`,
    '',
  ].join('\n');
}

export function cleanupBlock(run: string, lines: readonly string[], dryRun: boolean): string {
  const title = dryRun ? '🧹 QUEUE CLEANUP (dry run: nothing is changed)' : '🧹 QUEUE CLEANUP';
  const found = lines.length === 0 ? ['   ✅ Nothing to clean'] : lines.map(cleanedLine);
  return [title, runLine(run), ...found, ''].join('\n');
}

/** One line of a clean-up. Paths may be long and are named whole. */
export function cleanedLine(text: string): string {
  return `   ${withoutControls(text).trim()}`;
}

function oneLine(text: string): string {
  return withoutControls(text.replaceAll(/\s+/g, ' ')).trim().slice(0, 300);
}

/** A name or message of somebody else's makes no lines of its own, and no colours where the log is shown. */
function withoutControls(text: string): string {
  // eslint-disable-next-line no-control-regex -- control characters are what must not get into the log
  return text.replaceAll(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g, '\ufffd');
}

function rounded(value: number): string {
  return String(pythonRound(value, 2));
}
