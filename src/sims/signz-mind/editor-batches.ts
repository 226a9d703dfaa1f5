import { sourceFile, suggestionIn } from './editor-code.js';
import { pythonJson } from './python-json.js';
import { SeededRandom } from '../../seeded-random.js';

export interface EditorDay {
  readonly seed: string;
  /** Days from the first one, 0: later days bring new files and new versions of earlier ones. */
  readonly day: number;
  /** The first day, `YYYY-MM-DD`. Default 2025-07-01. */
  readonly firstDate?: string;
  /** Default 3, one batch each. */
  readonly clients?: number;
  /** New files per client and day. Default 8. */
  readonly filesPerDay?: number;
}

export interface EditorBatch {
  readonly clientId: string;
  /** JSON lines: snippets, then feedback. */
  readonly content: string;
  readonly snippets: number;
  /** How many of the snippets are new versions of files of earlier days. */
  readonly updates: number;
  readonly feedback: number;
}

const clientNames = ['laptop-7', 'desk', 'büro_pc', 'werkstatt', 'studio-2'] as const;
const trainingLabel = 'gut (Training)';

/**
 * What editors would upload on a day (contract signz-mind 3.1): one batch per client with snippets and reactions to
 * suggestions, byte for byte in the style of the real client. The same input gives the same batches.
 */
export function editorBatches(day: EditorDay): EditorBatch[] {
  return Array.from({ length: day.clients ?? 3 }, (_, client) => editorBatch(day, client));
}

function editorBatch({ seed, day, filesPerDay = 8, firstDate = '2025-07-01' }: EditorDay, client: number): EditorBatch {
  const clientId = clientNames[client] ?? `client-${client}`;
  const random = new SeededRandom(`${seed}/${clientId}/day ${day}`);
  const clock = new EditorClock(firstDate, day, client);
  const created = Array.from({ length: filesPerDay }, (_, index) => ({
    number: day * filesPerDay + index,
    version: 0,
  }));
  const updated = chooseUpdates(random, day * filesPerDay).map((number) => ({ number, version: day }));

  const snippets: string[] = [];
  const feedback: string[] = [];
  for (const { number, version } of [...updated, ...created]) {
    const file = new SeededRandom(`${seed}/${clientId}/file ${number}`);
    const uuid = file.hex(32);
    const path = `/home/${clientId}/projekte/${file.pick(['lager', 'shop', 'kurs'])}/`;
    const { fileName, content } = sourceFile(file, number, version);
    const { database, iso } = clock.next();
    snippets.push(
      pythonJson({
        type: 'snippet',
        uuid,
        path: path + fileName,
        content,
        quality_label:
          random.next() < 0.75 ? trainingLabel : random.pick(['neutral', 'in Arbeit', 'schlecht (Ignorieren)']),
        timestamp_created_db: database,
        last_modified_utc: iso,
      }),
    );
    if (random.next() < 0.6) feedback.push(reaction(random, clock, { path: path + fileName, content }));
  }
  return {
    clientId,
    content: [...snippets, ...feedback].join('\n'),
    snippets: snippets.length,
    updates: updated.length,
    feedback: feedback.length,
  };
}

function chooseUpdates(random: SeededRandom, earlierFiles: number): number[] {
  if (earlierFiles === 0) return [];
  const chosen = Array.from({ length: 3 }, () => random.between(0, earlierFiles - 1));
  return [...new Set(chosen)].sort((a, b) => a - b);
}

function reaction(random: SeededRandom, clock: EditorClock, file: { path: string; content: string }): string {
  const isSuggestion = random.next() < 0.7;
  const { context, output } = isSuggestion
    ? suggestionIn(file.content, random)
    : { context: file.content.replace('return ', 'retrun '), output: file.content };
  const kind = isSuggestion
    ? 'suggestion_used'
    : random.pick(['correction_applied', 'correction_good', 'correction_bad']);
  const { database, iso } = clock.next();
  return pythonJson({
    type: 'feedback',
    uuid: random.hex(32),
    timestamp_created_db: database,
    source_code_context: context,
    ai_action_type: isSuggestion ? 'suggestion' : 'correction',
    ai_generated_output: output,
    user_feedback_type: kind,
    original_file_path: file.path,
    notes: null,
    last_modified_utc: iso,
  });
}

/** Times of one client's working day, in the two forms that the client writes. */
class EditorClock {
  #milliseconds: number;

  constructor(firstDate: string, day: number, client: number) {
    this.#milliseconds = Date.parse(`${firstDate}T08:00:00Z`) + day * 86_400_000 + client * 137;
  }

  next(): { database: string; iso: string } {
    this.#milliseconds += 61_417;
    const iso = new Date(this.#milliseconds).toISOString();
    return { database: iso.slice(0, 19).replace('T', ' '), iso };
  }
}
