import js from '@eslint/js';
import { defineConfig } from 'eslint/config';
import importX from 'eslint-plugin-import-x';
import tseslint from 'typescript-eslint';

/** Dependencies point one way: workflows → interfaces of activities → services; cli and worker sit on top (docs/architecture.md). */
const services = [
  'config',
  'temporal',
  'gpu',
  'toolchain',
  'training',
  'qlora',
  'evaluation',
  'signz-mind',
  'syntx',
  'character',
  'comfyui',
  'kohya',
  'report',
  'sims',
  'files',
  'threads',
  'log',
];
const zones = [
  ...services.map((service) => ({
    target: `./src/${service}`,
    from: ['./src/workflows', './src/activities', './src/cli', './src/worker.ts', './src/client.ts'],
    message: 'A service knows nothing of workflows, activities or the command line.',
  })),
  {
    target: './src/workflows',
    from: [
      './src/cli',
      './src/worker.ts',
      './src/client.ts',
      ...services
        .filter((service) => service !== 'temporal' && service !== 'character')
        .map((service) => `./src/${service}`),
    ],
    message: 'Workflow code imports activity interfaces only.',
  },
  {
    target: './src/workflows',
    from: './src/temporal',
    except: ['./task-queues.ts', './search-attributes.ts'],
    message: 'Of src/temporal, workflow code imports names only.',
  },
  {
    target: './src/workflows',
    from: './src/character',
    except: ['./review-decision.ts'],
    message: 'Of src/character, workflow code imports the shape of a decision only.',
  },
  {
    target: './src/activities',
    from: ['./src/cli', './src/worker.ts', './src/client.ts'],
    message: 'cli and worker sit on top.',
  },
];

const nodeBuiltins = {
  group: ['node:*', 'fs', 'path', 'os', 'child_process', 'crypto'],
  message: 'Not in workflow code.',
};

export default defineConfig(
  { ignores: ['dist', 'dist-bench', 'node_modules', 'trainers'] },
  js.configs.recommended,
  { linterOptions: { reportUnusedDisableDirectives: 'error' } },
  {
    files: ['**/*.ts'],
    extends: [tseslint.configs.recommendedTypeChecked, tseslint.configs.stylisticTypeChecked],
    plugins: { 'import-x': importX },
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    settings: { 'import-x/resolver-next': [importX.createNodeResolver({ extensionAlias: { '.js': ['.ts', '.js'] } })] },
    rules: {
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/explicit-module-boundary-types': 'error',
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/no-misused-promises': 'error',
      '@typescript-eslint/switch-exhaustiveness-check': 'error',
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true, allowBoolean: true }],
      '@typescript-eslint/no-deprecated': 'error',
      'import-x/no-cycle': 'error',
      'import-x/no-restricted-paths': ['error', { zones, basePath: import.meta.dirname }],
      'max-params': ['error', 4],
      'no-console': 'error',
    },
  },
  {
    files: ['src/workflows/**/*.ts'],
    rules: {
      'no-restricted-imports': ['error', { patterns: [nodeBuiltins] }],
      'no-restricted-globals': ['error', 'process'],
    },
  },
  { files: ['test/**/*.ts'], rules: { '@typescript-eslint/explicit-module-boundary-types': 'off' } },
  {
    files: ['scripts/**/*.js', 'deploy/*.js', 'test/support/*.mjs', '*.js'],
    languageOptions: {
      globals: { process: 'readonly', console: 'readonly', URL: 'readonly', AbortController: 'readonly' },
    },
    rules: { 'no-console': 'off' },
  },
);
