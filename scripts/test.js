/**
 * `npm test`: every check there is, one after the other, all of them even when an early one fails. Nothing is skipped: the
 * Temporal CLI and the trainer's Python environment are found or fetched first. Ends with `N passed, N failed`.
 *
 * `node scripts/test.js --only <step>` runs the steps whose name contains the text.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { stripVTControlCharacters } from 'node:util';

const root = fileURLToPath(new URL('..', import.meta.url));
const bin = (name) => join(root, 'node_modules', '.bin', name);
const reports = mkdtempSync(join(tmpdir(), 'tower-test-reports-'));
const only = process.argv[process.argv.indexOf('--only') + 1];

let passed = 0;
let failed = 0;
const failures = [];
/** What failed and why, said again after everything else: the log of a whole run is long. */
const failedTests = [];

function run(command, args, options = {}) {
  const result = spawnSync(command, args, { cwd: root, stdio: ['ignore', 'inherit', 'inherit'], ...options });
  if (result.error) console.error(`${command}: ${result.error.message}`);
  // A check that was killed, for want of memory perhaps, has said nothing itself.
  else if (result.status !== 0) console.error(`${command} ended with ${result.signal ?? `code ${result.status}`}`);
  return result.status === 0;
}

function step(name, work) {
  if (process.argv.includes('--only') && !name.includes(only)) return;
  const started = Date.now();
  console.log(`\n── ${name}`);
  const outcome = work();
  passed += outcome.passed;
  failed += outcome.failed;
  if (outcome.failed > 0) failures.push(name);
  console.log(
    `── ${name}: ${outcome.passed} passed, ${outcome.failed} failed, ${Math.round((Date.now() - started) / 1000)} s`,
  );
}

/** A check without cases of its own counts as one. */
const check = (command, args, options) => () =>
  run(command, args, options) ? { passed: 1, failed: 0 } : { passed: 0, failed: 1 };

/** Counts of a runner's report; a runner that fails without failed cases (a crash, a broken file) counts as one failure. */
function counted(succeeded, readCounts) {
  let counts = { passed: 0, failed: 0 };
  try {
    counts = readCounts();
  } catch (error) {
    console.error(`no report: ${error.message}`);
  }
  const silent = counts.failed === 0 && (!succeeded || counts.passed === 0);
  return silent ? { passed: counts.passed, failed: 1 } : counts;
}

function vitest(project) {
  return () => {
    const file = join(reports, `${project}.json`);
    const args = ['run', '--project', project, '--reporter=default', '--reporter=json', `--outputFile.json=${file}`];
    const succeeded = run(bin('vitest'), args);
    return counted(succeeded, () => {
      const report = JSON.parse(readFileSync(file, 'utf8'));
      const skipped = report.numPendingTests + report.numTodoTests;
      for (const file of report.testResults) {
        const name = relative(root, file.name);
        if (file.message) failedTests.push(`${name}\n${file.message}`);
        for (const test of file.assertionResults.filter(({ status }) => status !== 'passed'))
          failedTests.push(`${name} › ${test.fullName} (${test.status})\n${test.failureMessages.join('\n')}`);
      }
      return { passed: report.numPassedTests, failed: report.numFailedTests + skipped };
    });
  };
}

function pytest(python, tools) {
  return () => {
    const file = join(reports, 'pytest.xml');
    const args = ['-m', 'pytest', '-q', '-p', 'no:cacheprovider', `--junitxml=${file}`, 'tests', 'qlora/tests'];
    const succeeded = run(python, args, { cwd: join(root, 'trainers'), env: toolsEnvironment(tools) });
    return counted(succeeded, () => {
      const count = (name) =>
        Number(new RegExp(`<testsuite [^>]*\\b${name}="(\\d+)"`).exec(readFileSync(file, 'utf8'))?.[1] ?? 0);
      const bad = count('failures') + count('errors') + count('skipped');
      return { passed: count('tests') - bad, failed: bad };
    });
  };
}

function toolsEnvironment(tools) {
  const inherited = process.env.PYTHONPATH;
  return {
    ...process.env,
    PYTHONPATH: [tools, ...(inherited ? [inherited] : [])].join(delimiter),
    PYTHONDONTWRITEBYTECODE: '1',
  };
}

try {
  step('build', check('npm', ['run', '--silent', 'build']));
  step('types', check('npm', ['run', '--silent', 'typecheck']));
  step('lint', check('npm', ['run', '--silent', 'lint']));
  step('format', check('npm', ['run', '--silent', 'format:check']));
  step('unused', check('npm', ['run', '--silent', 'unused']));
  const { preparePythonTools } = await import('./python-tools.js');
  const { python, tools } = await preparePythonTools();
  const trainers = { cwd: join(root, 'trainers'), env: toolsEnvironment(tools) };
  step('ruff', check(python, ['-m', 'ruff', 'check', '--no-cache', '.'], trainers));
  step(
    'mypy',
    check(python, ['-m', 'mypy', '--strict', '--cache-dir', join(reports, 'mypy'), 'launcher.py', 'qlora'], trainers),
  );
  step('pytest', pytest(python, tools));
  for (const project of ['unit', 'contract', 'replay', 'server', 'faults']) step(`vitest ${project}`, vitest(project));
} catch (error) {
  failed += 1;
  failures.push('test run');
  console.error(error);
} finally {
  rmSync(reports, { recursive: true, force: true });
}
for (const text of failedTests) console.log(`\n✗ ${stripVTControlCharacters(text).slice(0, 3000)}`);
if (failures.length > 0) console.log(`\nFailed: ${failures.join(', ')}`);
console.log(`\n${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
