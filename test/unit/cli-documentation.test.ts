import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import type { Command } from 'commander';
import { expect, it } from 'vitest';

import { createProgram } from '../../src/cli/program.js';
import { packageRoot } from '../../src/files/package-root.js';

/** The commands that do something, with their options. */
function optionsByCommand(parent: Command, path: readonly string[] = []): [string, string[]][] {
  return parent.commands.flatMap((command): [string, string[]][] => {
    const name = [...path, command.name()];
    if (command.commands.length > 0) return optionsByCommand(command, name);
    const options = command.options.flatMap(({ long, short }) => [long, short].filter((option) => option != null));
    return [[name.join(' '), options]];
  });
}

const known = new Map(optionsByCommand(createProgram(() => undefined)));

/** The usages in the table of commands, such as `data quarantine retry\|drop <batch> [--reason <text>]`. */
function documentedUsages(): { readonly commands: readonly string[]; readonly options: readonly string[] }[] {
  const documentation = readFileSync(join(packageRoot, 'docs', 'command-line.md'), 'utf8');
  const table = documentation.split('\n## Commands\n')[1]?.split('\n## ')[0] ?? '';
  const cells = table.split('\n').map((row) => row.replaceAll('\\|', '¦').split('|')[1] ?? '');
  return [...cells.join('\n').matchAll(/`([^`]+)`/g)].map(([, usage = '']) => {
    const words = usage
      .replaceAll(/\[(?:[^[\]]|\[[^\]]*\])*\]|<[^>]*>|-\S+|…/g, '')
      .replaceAll(/\s*¦\s*/g, '¦')
      .trim()
      .split(/\s+/);
    const alternatives = words.at(-1)?.split('¦') ?? [];
    const commands = alternatives.map((word) => commandOf([...words.slice(0, -1), word]));
    return { commands, options: usage.match(/(?<![\w-])--?[a-z][a-z-]*/g) ?? [] };
  });
}

/** Without an argument that stands there as a word: `report evolution`. */
function commandOf(words: readonly string[]): string {
  const command = words.join(' ');
  const shorter = words.slice(0, -1).join(' ');
  return !known.has(command) && known.has(shorter) ? shorter : command;
}

it('docs/command-line.md names every command, and no other', () => {
  const documented = new Set(documentedUsages().flatMap(({ commands }) => commands));
  expect([...documented].toSorted()).toEqual([...known.keys()].toSorted());
});

it('docs/command-line.md names no option that its command does not have', () => {
  const unknown = documentedUsages().flatMap(({ commands, options }) => {
    const all = commands.flatMap((command) => known.get(command) ?? []);
    return options.filter((option) => !all.includes(option)).map((option) => `${commands.join()} ${option}`);
  });
  expect(unknown).toEqual([]);
});
