/** Variables of this machine that Tower, the Temporal SDK or the OpenAI client would read. */
export const isForeignVariable = (name: string): boolean => /^(TOWER|TEMPORAL|XDG|OPENAI)_/.test(name);

/** The environment for a program of a test: no real cluster, server or key of whoever runs the tests. */
export function ownEnvironment(): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !isForeignVariable(name)));
}
