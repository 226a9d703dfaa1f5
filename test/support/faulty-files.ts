import type * as FileSystem from 'node:fs/promises';

type Files = typeof FileSystem;

/** One call that changes files, before it is made. */
export interface FileCall {
  readonly name: string;
  readonly path: string;
}

/** `crash`: the call is never made and never ends, as if the process had been killed; an error: it is thrown. */
type Decision = 'go' | 'crash' | Error;

interface Faults {
  decide: (call: FileCall) => Decision;
  /** Looks at a path that are refused, and the error. */
  look: (path: string) => Error | undefined;
  /** Names that were read of directories. */
  namesRead: number;
  /** Space that disks have left, instead of what they have. */
  freeBytes: number | undefined;
}

/** What goes wrong with the file calls of the modules under test; see {@link faultyFiles}. */
export const fileFaults: Faults = { decide: () => 'go', look: () => undefined, namesRead: 0, freeBytes: undefined };

/**
 * Wraps `node:fs/promises` for `vi.mock`: each call that changes something may be refused, or be the last one that its process
 * makes.
 */
export function faultyFiles(actual: Files): Files {
  const changing = <Arguments extends unknown[], Result>(name: string, call: (...all: Arguments) => Promise<Result>) =>
    async function (...all: Arguments): Promise<Result> {
      await decided({ name, path: String(all[0]) });
      return call(...all);
    };
  const looking = <More extends unknown[], Result>(look: (path: string, ...more: More) => Promise<Result>) =>
    async function (path: string, ...more: More): Promise<Result> {
      const refused = fileFaults.look(path);
      if (refused !== undefined) throw refused;
      return look(path, ...more);
    };
  const wrapped = {
    ...actual,
    rename: changing('rename', actual.rename),
    rm: changing('rm', actual.rm),
    unlink: changing('unlink', actual.unlink),
    mkdir: changing('mkdir', actual.mkdir as (path: string, options?: object) => Promise<string | undefined>),
    appendFile: changing('appendFile', actual.appendFile),
    link: changing('link', actual.link),
    copyFile: changing('copyFile', actual.copyFile),
    stat: looking(actual.stat as (path: string) => Promise<unknown>),
    access: looking(actual.access as (path: string, mode?: number) => Promise<void>),
    readdir: async (...all: Parameters<Files['readdir']>) => {
      const names = await actual.readdir(...all);
      fileFaults.namesRead += names.length;
      return names;
    },
    statfs: async (path: string) => {
      const found = await actual.statfs(path);
      return fileFaults.freeBytes === undefined ? found : { ...found, bavail: fileFaults.freeBytes, bsize: 1 };
    },
    open: async (...all: Parameters<Files['open']>) => {
      const path = String(all[0]);
      if (all[1] === undefined || all[1] === 'r') return actual.open(...all);
      await decided({ name: 'open', path });
      const file = await actual.open(...all);
      const [write, append, sync] = [
        file.writeFile.bind(file),
        file.appendFile.bind(file),
        file.sync.bind(file),
      ] as const;
      // What fails in the middle leaves its first half; after a crash the kernel closes the file.
      file.writeFile = async (content) => {
        await decided(
          { name: 'write', path },
          () => write(half(content)).then(() => file.close()),
          () => write(half(content)),
        );
        return write(content);
      };
      file.appendFile = async (content) => {
        await decided(
          { name: 'append', path },
          () => append(half(content)).then(() => file.close()),
          () => append(half(content)),
        );
        return append(content);
      };
      file.sync = async () => {
        await decided({ name: 'sync', path }, () => file.close());
        return sync();
      };
      return file;
    },
  };
  return wrapped as unknown as Files;
}

async function decided(
  call: FileCall,
  beforeCrash?: () => Promise<void>,
  beforeError?: () => Promise<void>,
): Promise<void> {
  const decision = fileFaults.decide(call);
  if (decision === 'go') return;
  if (decision instanceof Error) {
    await beforeError?.();
    throw decision;
  }
  await beforeCrash?.();
  await new Promise(() => undefined);
}

function half(content: unknown): string | Uint8Array {
  if (content instanceof Uint8Array) return content.subarray(0, content.length / 2);
  const text = typeof content === 'string' ? content : '';
  return text.slice(0, text.length / 2);
}

/** Lets `calls` changing calls through and refuses or stops at the next; `reached` tells when. */
export function failAt(
  point: number,
  decision: Exclude<Decision, 'go'>,
): { readonly reached: Promise<FileCall>; readonly calls: FileCall[] } {
  const calls: FileCall[] = [];
  let reach: (call: FileCall) => void = () => undefined;
  const reached = new Promise<FileCall>((resolve) => {
    reach = resolve;
  });
  fileFaults.decide = (call) => {
    calls.push(call);
    if (calls.length < point) return 'go';
    reach(call);
    return decision;
  };
  return { reached, calls };
}

export function noFileFaults(): void {
  fileFaults.freeBytes = undefined;
  fileFaults.decide = () => 'go';
  fileFaults.look = () => undefined;
}

/** Node 20 has no name for it. */
const staleHandle = { code: 'Unknown system error -116', errno: -116 };

/** As the kernel reports it. */
export function fileError(code: string, path = '/queue'): NodeJS.ErrnoException {
  const facts = code === 'ESTALE' ? staleHandle : { code };
  return Object.assign(new Error(`${code}: simulated, '${path}'`), { ...facts, path, syscall: 'open' });
}
