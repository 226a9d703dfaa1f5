/**
 * `npm test`: every check there is, one after the other, all of them even when an early one fails. Nothing is skipped: the
 * Temporal CLI and the trainer's Python environment are found or fetched first. Ends with `N passed, N failed`.
 *
 * `node scripts/test.js --only <step>` runs the steps whose name contains the text.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
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
const flaky = [];

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

/**
 * Tests with processes, kills and deadlines meet a machine that stands still for seconds now and then: a file that failed
 * is run once more, alone. Passing then it counts, but is named at the end with what failed first: a flaky test is a defect.
 */
function vitest(project, { secondChance = false } = {}) {
  return () => {
    const first = runVitest(project, `${project}.json`, []);
    const failedFiles = first.files.filter((file) => file.failures.length > 0);
    if (!secondChance || failedFiles.length === 0) return summed(first);
    console.log(`── vitest ${project}: once more, alone: ${failedFiles.map(({ name }) => name).join(', ')}`);
    const names = failedFiles.map(({ name }) => name);
    const second = runVitest(project, `${project}-again.json`, ['--no-file-parallelism', ...names]);
    for (const { name, failures } of failedFiles) {
      if (second.files.some((again) => again.name === name && again.failures.length === 0)) flaky.push(...failures);
    }
    const others = first.files.filter((file) => !failedFiles.includes(file));
    return summed({ succeeded: second.succeeded, files: [...others, ...second.files] });
  };
}

function runVitest(project, reportName, args) {
  const report = join(reports, reportName);
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${report}`];
  const succeeded = run(bin('vitest'), ['run', '--project', project, ...reporters, ...args]);
  return { succeeded, files: readVitestReport(report) };
}

function readVitestReport(path) {
  if (!existsSync(path)) return [];
  return JSON.parse(readFileSync(path, 'utf8')).testResults.map((file) => {
    const name = relative(root, file.name);
    const bad = file.assertionResults.filter(({ status }) => status !== 'passed');
    return {
      name,
      passed: file.assertionResults.length - bad.length,
      failures: [
        ...(file.message ? [`${name}\n${file.message}`] : []),
        ...bad.map((test) => `${name} › ${test.fullName} (${test.status})\n${test.failureMessages.join('\n')}`),
      ],
    };
  });
}

function summed({ succeeded, files }) {
  failedTests.push(...files.flatMap(({ failures }) => failures));
  return counted(succeeded, () => ({
    passed: files.reduce((sum, file) => sum + file.passed, 0),
    failed: files.reduce((sum, file) => sum + file.failures.length, 0),
  }));
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
  for (const project of ['unit', 'contract', 'replay']) step(`vitest ${project}`, vitest(project));
  for (const project of ['server', 'faults']) step(`vitest ${project}`, vitest(project, { secondChance: true }));
} catch (error) {
  failed += 1;
  failures.push('test run');
  console.error(error);
} finally {
  rmSync(reports, { recursive: true, force: true });
}
const shown = (text) => stripVTControlCharacters(text).slice(0, 3000);
for (const text of flaky) console.log(`\n↻ flaky, passed alone: ${shown(text)}`);
for (const text of failedTests) console.log(`\n✗ ${shown(text)}`);
if (failures.length > 0) console.log(`\nFailed: ${failures.join(', ')}`);
console.log(`\n${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
