import type { IncomingMessage } from 'node:http';

import type { Answer } from './answers.js';
import type { DialectFacts } from './dialect.js';
import type { Faults } from './faults.js';
import type { Instance } from './instance.js';
import type { ListedFolders } from './node-class.js';
import type { Settings } from './settings.js';
import type { Statistics } from './statistics.js';

/** The server around the routes. */
export interface ServerState extends ListedFolders {
  readonly dialect: DialectFacts;
  readonly settings: Settings;
  readonly statistics: Statistics;
  readonly faults: Faults;
  readonly outputDirectory: string;
  readonly inputDirectory: string;
  readonly temporaryDirectory: string;
  /** The one that answers now. */
  readonly instance: () => Instance;
  /** @throws ZodError */
  readonly change: (settings: Partial<Settings>) => void;
  readonly restart: (downMs: number) => Promise<void>;
}

export interface RouteContext {
  readonly request: IncomingMessage;
  readonly url: URL;
  /** What stands for the part in braces. */
  readonly parameter: string;
  readonly server: ServerState;
}

export interface Route {
  readonly method: 'GET' | 'POST' | 'DELETE';
  /** `{name}` stands for one part of the address. */
  readonly pattern: string;
  readonly handle: (context: RouteContext) => Answer | Promise<Answer>;
}

interface Found {
  readonly route: Route;
  readonly parameter: string;
}

/** Every route exists twice: `/x` and `/api/x`. */
export function findRoute(routes: readonly Route[], method: string, path: string): Found | 404 | 405 {
  const fitting = [path, path.replace(/^\/api(?=\/)/, '')].flatMap((candidate) =>
    routes.flatMap((route): Found[] => {
      const pattern = new RegExp(`^${route.pattern.replace(/\{\w+\}/, '([^/]+)')}$`);
      const match = pattern.exec(candidate);
      return match === null ? [] : [{ route, parameter: decodeURIComponent(match[1] ?? '') }];
    }),
  );
  const found = fitting.find(({ route }) => route.method === method);
  return found ?? (fitting.length > 0 ? 405 : 404);
}
