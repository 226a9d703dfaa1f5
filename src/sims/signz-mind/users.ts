import { createHmac, randomBytes, scryptSync, timingSafeEqual } from 'node:crypto';
import { join } from 'node:path';

import { z } from 'zod';

import { writeJsonDurable } from '../../files/durable-write.js';
import { readJsonIfExists } from '../../files/read-json.js';

export const roles = {
  contributor: 'ROLE_DATA_CONTRIBUTOR',
  consumer: 'ROLE_MODEL_CONSUMER',
  tower: 'ROLE_TOWER_TRAINER',
  admin: 'ROLE_USER_ADMIN',
} as const;

export type Role = (typeof roles)[keyof typeof roles];

const secretSchema = z.object({ salt: z.string(), hash: z.string() });
const userSchema = z.object({
  id: z.int(),
  username: z.string(),
  /** Comma-separated, not validated, as in the real server. */
  roles: z.string(),
  isActive: z.boolean(),
  createdAt: z.string(),
  notes: z.string().nullable(),
  apiKey: secretSchema.nullable(),
  password: secretSchema.nullable(),
});
const fileSchema = z.object({ simulated: z.literal(true), tokenSecret: z.string(), users: z.array(userSchema) });

export type User = z.output<typeof userSchema>;

/** A user to be there when the server starts. */
export interface SeededUser {
  readonly username: string;
  readonly roles: readonly Role[];
  readonly apiKey: string;
  readonly password?: string;
}

/** The users of the simulated server in `<directory>/users.json`; keys and passwords as salted hashes only. */
export class UserStore {
  readonly #path: string;
  readonly #file: z.output<typeof fileSchema>;

  private constructor(path: string, file: z.output<typeof fileSchema>) {
    this.#path = path;
    this.#file = file;
  }

  static async open(directory: string, seeds: readonly SeededUser[]): Promise<UserStore> {
    const path = join(directory, 'users.json');
    const file = (await readJsonIfExists(path, fileSchema)) ?? {
      simulated: true as const,
      tokenSecret: randomBytes(32).toString('hex'),
      users: [],
    };
    const store = new UserStore(path, file);
    for (const seed of seeds) store.#seed(seed);
    await store.save();
    return store;
  }

  get tokenSecret(): string {
    return this.#file.tokenSecret;
  }

  get all(): readonly User[] {
    return this.#file.users;
  }

  byName(username: string): User | undefined {
    return this.#file.users.find((user) => user.username === username);
  }

  /** The active user with this key. */
  byKey(key: string): User | undefined {
    return this.#file.users.find((user) => user.isActive && user.apiKey !== null && isKey(key, user.apiKey));
  }

  /** @returns the user and its key, which can never be read again. */
  async create(user: {
    username: string;
    password: string;
    roles: string;
    notes: string | null;
  }): Promise<[User, string]> {
    const key = newKey();
    const created = this.#add({ ...user, apiKey: hashKey(key), password: hashPassword(user.password) });
    await this.save();
    return [created, key];
  }

  async save(): Promise<void> {
    await writeJsonDurable(this.#path, this.#file, 0o600);
  }

  #seed(seed: SeededUser): void {
    const known = this.byName(seed.username);
    const password = seed.password === undefined ? null : hashPassword(seed.password);
    const fields = { roles: seed.roles.join(','), apiKey: hashKey(seed.apiKey), password };
    if (known === undefined) this.#add({ username: seed.username, notes: 'simulated', ...fields });
    else Object.assign(known, fields);
  }

  #add(user: Omit<User, 'id' | 'isActive' | 'createdAt'>): User {
    const id = Math.max(0, ...this.#file.users.map((other) => other.id)) + 1;
    const createdAt = new Date().toISOString().replace('Z', '000');
    const added = { ...user, id, isActive: true, createdAt };
    this.#file.users.push(added);
    return added;
  }
}

/** The user admin passes every role check. */
export function hasRole(user: User, role: Role): boolean {
  const held = user.roles.split(',').map((entry) => entry.trim());
  return held.includes(role) || held.includes(roles.admin);
}

/** 32 random bytes, URL-safe base64 without padding: 43 characters. */
export function newKey(): string {
  return randomBytes(32).toString('base64url');
}

/** Keys are random, so a fast hash is enough; the real server's bcrypt costs 100 ms and more per user and request. */
export function hashKey(key: string): z.output<typeof secretSchema> {
  const salt = randomBytes(16).toString('hex');
  return { salt, hash: createHmac('sha256', salt).update(key).digest('hex') };
}

export function hashPassword(password: string): z.output<typeof secretSchema> {
  const salt = randomBytes(16).toString('hex');
  return { salt, hash: scryptSync(password, salt, 32).toString('hex') };
}

export function isPassword(password: string, { salt, hash }: z.output<typeof secretSchema>): boolean {
  return timingSafeEqual(scryptSync(password, salt, 32), Buffer.from(hash, 'hex'));
}

function isKey(key: string, { salt, hash }: z.output<typeof secretSchema>): boolean {
  return timingSafeEqual(createHmac('sha256', salt).update(key).digest(), Buffer.from(hash, 'hex'));
}
