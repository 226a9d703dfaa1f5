import type { Command } from 'commander';

import { configSourcesOf, contextOf, outputOf } from '../command-context.js';

/** `tower config show|check|init|import`. */
export function addConfigCommand(program: Command): void {
  const config = program.command('config').description('look at, check and write the configuration');
  config
    .command('show')
    .description('print every setting in effect')
    .option('--origin', 'say where each value comes from')
    .action(async (options: { origin?: boolean }, command: Command) => {
      const { describeConfig } = await import('./config-text.js');
      const context = await contextOf(command);
      const described = describeConfig(context);
      context.output.result(described.json(options.origin ?? false), described.text(options.origin ?? false));
    });
  config
    .command('check')
    .description('look for faults; exit code 2 names all of them')
    .action(async (_options: unknown, command: Command) => {
      const context = await contextOf(command);
      const { server, schedules } = context.config;
      // Who has switched the daily cycle off needs no server.
      if (server.url === undefined && schedules.daily.enabled !== false) {
        context.output.say('warning server.url is not set: until it is, every daily cycle fails at once');
      }
      context.output.result(
        { valid: true, file: context.file ?? null },
        `The configuration is valid (${context.file ?? 'no file, defaults'}).`,
      );
    });
  config
    .command('init')
    .description('write a configuration file with every setting, its default and its meaning')
    .option('--force', 'replace an existing file')
    .action(async (options: { force?: boolean }, command: Command) => {
      const { writeConfigTemplate } = await import('./config-text.js');
      const output = outputOf(command);
      const file = await writeConfigTemplate(configSourcesOf(command), options.force ?? false);
      output.result(
        { file },
        `Wrote ${file}. Set server.url, and the key in TOWER_SERVER_API_KEY or server.apiKeyFile.`,
      );
    });
  config
    .command('import')
    .description('write the settings of an old tower as TOML, and its key into a file of mode 0600')
    .argument('<app_settings_tower.json>')
    .option('--force', 'replace existing files')
    .action(async (oldFile: string, options: { force?: boolean }, command: Command) => {
      const { importConfig } = await import('./config-import.js');
      const output = outputOf(command);
      const imported = await importConfig(oldFile, configSourcesOf(command), options.force ?? false);
      for (const warning of imported.warnings) output.say(`warning ${warning}`);
      output.result(
        imported,
        `Wrote ${imported.file}, and the key into ${imported.keyFile} (mode 0600).\nThe old file is unchanged and still has the key: delete it when the old tower is gone.`,
      );
    });
}
