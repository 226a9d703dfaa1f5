import type { IncomingMessage } from 'node:http';

import type { Answer } from './answers.js';
import type { Storage } from './storage.js';
import type { Role, User, UserStore } from './users.js';

export interface RouteContext {
  readonly request: IncomingMessage;
  readonly url: URL;
  /** The last part of the address, still encoded; empty where the route has none. */
  readonly parameter: string;
  /** User of the API key, on routes that need one. */
  readonly user: User | undefined;
  readonly users: UserStore;
  readonly storage: Storage;
}

export interface Route {
  readonly method: 'GET' | 'POST' | 'PUT';
  /** `{name}` stands for one part of the address. */
  readonly pattern: string;
  /** Role that the API key must have; none for the admin routes, which have tokens. */
  readonly role?: Role;
  readonly handle: (context: RouteContext) => Promise<Answer>;
}

/** Routes whose pattern fits the address, with the part that stands for `{name}`. */
export function matchingRoutes(routes: readonly Route[], path: string): { route: Route; parameter: string }[] {
  return routes.flatMap((route) => {
    const pattern = new RegExp(`^${route.pattern.replace(/\{\w+\}/, '([^/]*)')}$`);
    const match = pattern.exec(path);
    return match === null ? [] : [{ route, parameter: match[1] ?? '' }];
  });
}
