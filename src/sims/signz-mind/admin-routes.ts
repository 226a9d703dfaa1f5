import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import { text } from 'node:stream/consumers';

import { z } from 'zod';

import { missingField, Refusal, type Answer } from './answers.js';
import type { Route, RouteContext } from './route.js';
import { hashKey, hashPassword, hasRole, isPassword, newKey, roles, type User } from './users.js';

const bearer = { 'www-authenticate': 'Bearer' };
const tokenSeconds = 3600;

/** The admin routes (contract signz-mind 2.5): a token by name and password, then users. */
export const adminRoutes: readonly Route[] = [
  { method: 'POST', pattern: '/admin/token', handle: issueToken },
  { method: 'GET', pattern: '/admin/users', handle: listUsers },
  { method: 'POST', pattern: '/admin/users', handle: createUser },
  { method: 'PUT', pattern: '/admin/users/{name}/status', handle: setStatus },
  { method: 'PUT', pattern: '/admin/users/{name}/roles', handle: setRoles },
  { method: 'PUT', pattern: '/admin/users/{name}/reset-password', handle: resetPassword },
  { method: 'PUT', pattern: '/admin/users/{name}/reset-apikey', handle: resetKey },
];

async function issueToken({ request, users }: RouteContext): Promise<Answer> {
  const form = new URLSearchParams(await text(request));
  const [username, password] = [form.get('username'), form.get('password')];
  if (username === null) throw missingField('body', 'username');
  if (password === null) throw missingField('body', 'password');
  const user = users.byName(username);
  const known = user?.isActive === true && user.password !== null && isPassword(password, user.password);
  if (user === undefined || !known) throw new Refusal(401, 'Falsche Anmeldedaten (simulated)', bearer);
  if (!hasRole(user, roles.admin)) throw new Refusal(403, 'Kein Administrator (simulated)');
  const claims = { sub: user.username, roles: user.roles.split(','), uid: user.id, exp: seconds() + tokenSeconds };
  return { status: 200, json: { access_token: signed(claims, users.tokenSecret), token_type: 'bearer' } };
}

function listUsers(context: RouteContext): Promise<Answer> {
  requireAdmin(context);
  const skip = Number(context.url.searchParams.get('skip') ?? 0);
  const limit = Number(context.url.searchParams.get('limit') ?? 100);
  return Promise.resolve({ status: 200, json: context.users.all.slice(skip, skip + limit).map(shown) });
}

async function createUser(context: RouteContext): Promise<Answer> {
  requireAdmin(context);
  const schema = z.object({
    username: z.string(),
    password: z.string(),
    roles: z.string(),
    notes: z.string().nullable().default(null),
  });
  const user = await jsonBody(context, schema);
  if (context.users.byName(user.username) !== undefined) throw new Refusal(400, 'Benutzername vergeben (simulated)');
  const [created, key] = await context.users.create(user);
  const { id, username } = created;
  return { status: 201, json: { message: 'Benutzer angelegt (simulated).', user_id: id, username, api_key: key } };
}

async function setStatus(context: RouteContext): Promise<Answer> {
  const user = target(context);
  user.isActive = (await jsonBody(context, z.object({ is_active: z.boolean() }))).is_active;
  await context.users.save();
  return { status: 200, json: shown(user) };
}

async function setRoles(context: RouteContext): Promise<Answer> {
  const user = target(context);
  user.roles = (await jsonBody(context, z.object({ roles: z.string() }))).roles;
  await context.users.save();
  return { status: 200, json: shown(user) };
}

async function resetPassword(context: RouteContext): Promise<Answer> {
  const user = target(context);
  const password = randomBytes(16).toString('base64url');
  user.password = hashPassword(password);
  await context.users.save();
  const { username } = user;
  return { status: 200, json: { message: 'Neues Passwort (simulated).', username, new_password: password } };
}

async function resetKey(context: RouteContext): Promise<Answer> {
  const user = target(context);
  const key = newKey();
  user.apiKey = hashKey(key);
  await context.users.save();
  return { status: 200, json: { message: 'Neuer Schlüssel (simulated).', username: user.username, new_api_key: key } };
}

/** The user in the address; user 1 is changed by user 1 only. */
function target(context: RouteContext): User {
  const admin = requireAdmin(context);
  const user = context.users.all.find(({ id }) => String(id) === context.parameter);
  if (user === undefined) throw new Refusal(404, 'Benutzer nicht gefunden (simulated)');
  if (user.id === 1 && admin.id !== 1) throw new Refusal(403, 'Der Hauptadministrator ist geschützt (simulated)');
  return user;
}

function requireAdmin({ request, users }: RouteContext): User {
  const token = /^Bearer (.+)$/i.exec(request.headers.authorization ?? '')?.[1];
  if (token === undefined) throw new Refusal(401, 'Not authenticated', bearer);
  const user = users.byName(subjectOf(token, users.tokenSecret) ?? '');
  if (user?.isActive !== true) throw new Refusal(401, 'Ungültiges Token (simulated)', bearer);
  // Roles come from the user, not from the token.
  if (!hasRole(user, roles.admin)) throw new Refusal(403, 'Kein Administrator (simulated)');
  return user;
}

async function jsonBody<Schema extends z.ZodType>(
  { request }: RouteContext,
  schema: Schema,
): Promise<z.output<Schema>> {
  const body = await text(request);
  let value: unknown;
  try {
    value = JSON.parse(body);
  } catch {
    throw new Refusal(422, [{ type: 'json_invalid', loc: ['body', 0], msg: 'JSON decode error', input: {} }]);
  }
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const faults = parsed.error.issues.map(({ path, message }) => ({
    ...{ type: 'value_error', loc: ['body', ...path.map(String)], msg: message, input: null },
  }));
  throw new Refusal(422, faults);
}

function shown({ id, username, roles: held, isActive, createdAt, notes }: User): Record<string, unknown> {
  return { id, username, roles: held, is_active: isActive, created_at: createdAt, notes };
}

/** A JSON Web Token, HS256. */
function signed(claims: object, secret: string): string {
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const content = `${part({ alg: 'HS256', typ: 'JWT' })}.${part(claims)}`;
  return `${content}.${signature(content, secret).toString('base64url')}`;
}

function subjectOf(token: string, secret: string): string | undefined {
  const [header = '', claims = '', given = ''] = token.split('.');
  const expected = signature(`${header}.${claims}`, secret);
  const found = Buffer.from(given, 'base64url');
  if (found.length !== expected.length || !timingSafeEqual(found, expected)) return undefined;
  const { sub, exp } = JSON.parse(Buffer.from(claims, 'base64url').toString()) as { sub: string; exp: number };
  return exp > seconds() ? sub : undefined;
}

function signature(content: string, secret: string): Buffer {
  return createHmac('sha256', secret).update(content).digest();
}

function seconds(): number {
  return Math.floor(Date.now() / 1000);
}
