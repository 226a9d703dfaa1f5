import { writeSync } from 'node:fs';

/** Ends the program as an uncaught Python exception does: a traceback on stderr and exit code 1. */
export class PythonError extends Error {
  readonly type: string;

  constructor(type: string, message: string) {
    super(message);
    this.type = type;
  }
}

/** Ends the program at once. */
export class PythonExit extends Error {
  readonly code: number;

  constructor(code: number, message = '') {
    super(message);
    this.code = code;
  }
}

/** What was printed while nobody asked for unbuffered output: Python hands it out when it ends. */
let held = '';

/** A plain print. */
export function print(line: string): void {
  if (process.env['PYTHONUNBUFFERED']) writeSync(1, `${line}\n`);
  else held += `${line}\n`;
}

export function flush(): void {
  if (held !== '') writeSync(1, held);
  held = '';
}

let simple = false;

/** From now on log messages are lines on stdout. */
export function logSimply(): void {
  simple = true;
}

/** A log message: simple ones are lines on stdout; the others are broken over narrow columns on stderr. */
export function log(message: string): void {
  if (simple) {
    print(message);
    return;
  }
  const words = message.match(/.{1,48}(?:\s|$)|\S{48}/g) ?? [''];
  const lines = words.map((words, index) => `${index === 0 ? 'INFO    ' : '        '} ${words.trimEnd()}`);
  writeSync(2, `${lines.join('\n')}\n`);
}

export function traceback({ type, message }: PythonError): void {
  flush();
  const text = message === '' ? type : `${type}: ${message}`;
  writeSync(
    2,
    `Traceback (most recent call last):\n  File "train_network.py", line 1, in <module>\n    trainer.train(args)\n${text}\n`,
  );
}

/** A progress bar in the form of tqdm: begun with CR, without a line end. */
export class Bar {
  readonly #name: string;
  readonly #total: number;
  readonly #nested: boolean;
  readonly #started = performance.now();
  #done = 0;

  constructor(name: string, total: number, nested = false) {
    this.#name = name;
    this.#total = total;
    this.#nested = nested;
    this.print();
  }

  advance(): void {
    this.#done += 1;
  }

  print(postfix: Readonly<Record<string, number>> = {}): void {
    const share = this.#done / this.#total;
    const full = Math.floor(share * 10);
    const part = ['', '▏', '▎', '▍', '▌', '▋', '▊', '▉'][Math.floor((share * 10 - full) * 8)] ?? '';
    const blocks = ('█'.repeat(full) + part).padEnd(10);
    const count = `${this.#done}/${this.#total}`;
    const texts = Object.entries(postfix).map(([key, value]) => `, ${key}=${threeDigits(value)}`);
    const percent = String(Math.floor(share * 100)).padStart(3);
    const bar = `${this.#name}: ${percent}%|${blocks}| ${count} [${this.#times()}${texts.join('')}]`;
    // A bar below another one goes down a line and up again.
    writeSync(2, this.#nested ? `\n\r${bar}\u001b[A` : `\r${bar}`);
  }

  #times(): string {
    const elapsed = (performance.now() - this.#started) / 1000;
    if (this.#done === 0) return '00:00<?, ?it/s';
    const each = Math.max(elapsed / this.#done, 1e-6);
    const rate = each > 1 ? `${each.toFixed(2).padStart(5)}s/it` : `${(1 / each).toFixed(2).padStart(5)}it/s`;
    return `${clock(elapsed)}<${clock((this.#total - this.#done) * each)}, ${rate}`;
  }
}

function clock(seconds: number): string {
  const two = (value: number): string => String(Math.floor(value)).padStart(2, '0');
  const short = `${two((seconds / 60) % 60)}:${two(seconds % 60)}`;
  return seconds < 3600 ? short : `${Math.floor(seconds / 3600)}:${short}`;
}

/** As Python's `%.3g`. */
function threeDigits(value: number): string {
  if (Number.isNaN(value)) return 'nan';
  if (!Number.isFinite(value)) return value > 0 ? 'inf' : '-inf';
  if (value === 0) return '0';
  const exponent = Math.floor(Math.log10(Math.abs(value)));
  if (exponent < -4 || exponent >= 3) {
    return value
      .toExponential(2)
      .replace(/\.?0*e/, 'e')
      .replace(/e([+-])(\d)$/, 'e$10$2');
  }
  return String(Number(value.toPrecision(3)));
}
