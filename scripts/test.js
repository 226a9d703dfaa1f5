/**
 * `npm test`: every check there is, all of them even when an early one fails. Nothing is skipped: the Temporal CLI and the
 * trainer's Python environment are found or fetched first. Checks of the TypeScript and of the Python code run side by side,
 * tests one group after the other. Ends with `N passed, N failed`.
 *
 * `node scripts/test.js --only <step>` runs the steps whose name contains the text.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
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

/** Shows what the program says as it comes, or with `says` hands it on. */
async function run(command, args, { says, ...options } = {}) {
  const stdio = says === undefined ? ['ignore', 'inherit', 'inherit'] : ['ignore', 'pipe', 'pipe'];
  const child = spawn(command, args, { cwd: root, stdio, ...options });
  for (const stream of [child.stdout, child.stderr]) stream?.setEncoding('utf8').on('data', says);
  const complain = (message) => (says ?? console.error)(`${message}\n`);
  try {
    const [code, signal] = await once(child, 'close');
    // A check that was killed, for want of memory perhaps, has said nothing itself.
    if (code !== 0) complain(`${command} ended with ${signal ?? `code ${code}`}`);
    return code === 0;
  } catch (error) {
    complain(`${command}: ${error.message}`);
    return false;
  }
}

/** @param says - Takes what the step says, heading and all; default: it is shown as it comes. */
async function step(name, work, says) {
  if (process.argv.includes('--only') && !name.includes(only)) return;
  const say = says ?? ((text) => process.stdout.write(text));
  const started = Date.now();
  say(`\n── ${name}\n`);
  const outcome = await work(says);
  passed += outcome.passed;
  failed += outcome.failed;
  if (outcome.failed > 0) failures.push(name);
  const seconds = Math.round((Date.now() - started) / 1000);
  say(`── ${name}: ${outcome.passed} passed, ${outcome.failed} failed, ${seconds} s\n`);
}

/** A step beside others: what it says is shown whole when it has ended. */
async function quietStep(name, work) {
  const said = [];
  await step(name, work, (text) => said.push(text));
  process.stdout.write(said.join(''));
}

/** A check without cases of its own counts as one. */
const check = (command, args, options) => async (says) =>
  (await run(command, args, { ...options, says })) ? { passed: 1, failed: 0 } : { passed: 0, failed: 1 };

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
function vitest(projects) {
  return async () => {
    const first = await runVitest(projects, 'first.json', []);
    const failedFiles = first.files.filter((file) => file.failures.length > 0);
    if (failedFiles.length === 0) return summed(first);
    // A second run of other files does not unsay them.
    failedTests.push(...first.unhandled);
    const names = failedFiles.map(({ name }) => name);
    console.log(`── vitest: once more, alone: ${names.join(', ')}`);
    const second = await runVitest(projects, 'again.json', ['--no-file-parallelism', ...names]);
    for (const { name, failures } of failedFiles) {
      if (second.files.some((again) => again.name === name && again.failures.length === 0)) flaky.push(...failures);
    }
    const others = first.files.filter((file) => !failedFiles.includes(file));
    const sum = summed({ succeeded: second.succeeded, files: [...others, ...second.files] });
    return { ...sum, failed: sum.failed + first.unhandled.length };
  };
}

async function runVitest(projects, reportName, args) {
  const report = join(reports, reportName);
  const unhandledReport = join(reports, 'unhandled.json');
  for (const file of [report, unhandledReport]) rmSync(file, { force: true });
  const unhandledReporter = join(root, 'scripts', 'unhandled-errors-reporter.js');
  const reporters = ['default', 'json', unhandledReporter].map((reporter) => `--reporter=${reporter}`);
  reporters.push(`--outputFile.json=${report}`);
  const named = projects.flatMap((project) => ['--project', project]);
  const env = { ...process.env, UNHANDLED_ERRORS_FILE: unhandledReport };
  const succeeded = await run(bin('vitest'), ['run', ...named, ...reporters, ...args], { env });
  const unhandled = existsSync(unhandledReport) ? JSON.parse(readFileSync(unhandledReport, 'utf8')) : [];
  return { succeeded, unhandled, files: readVitestReport(report) };
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
  return async (says) => {
    const file = join(reports, 'pytest.xml');
    const args = ['-m', 'pytest', '-q', '-p', 'no:cacheprovider', `--junitxml=${file}`, 'tests', 'qlora/tests'];
    const options = { cwd: join(root, 'trainers'), env: toolsEnvironment(tools), says };
    const succeeded = await run(python, args, options);
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

/** The run itself could not do what it was to do. */
function broken(error) {
  failed += 1;
  failures.push('test run');
  console.error(error);
}

async function checkTypescript() {
  for (const [name, script] of [
    ['types', 'typecheck'],
    ['lint', 'lint'],
    ['format', 'format:check'],
    ['unused', 'unused'],
  ]) {
    await quietStep(name, check('npm', ['run', '--silent', script]));
  }
}

async function checkPython() {
  const { preparePythonTools } = await import('./python-tools.js');
  const { python, tools } = await preparePythonTools();
  const trainers = { cwd: join(root, 'trainers'), env: toolsEnvironment(tools) };
  const cache = join(reports, 'mypy');
  await quietStep('ruff', check(python, ['-m', 'ruff', 'check', '--no-cache', '.'], trainers));
  const mypy = ['-m', 'mypy', '--strict', '--cache-dir', cache, 'launcher.py', 'qlora'];
  await quietStep('mypy', check(python, mypy, trainers));
  await quietStep('pytest', pytest(python, tools));
}

try {
  await step('build', check('npm', ['run', '--silent', 'build']));
  for (const { reason } of await Promise.allSettled([checkTypescript(), checkPython()])) {
    if (reason !== undefined) broken(reason);
  }
  await step('vitest unit, contract, replay', vitest(['unit', 'contract', 'replay']));
  await step('vitest server, faults', vitest(['server', 'faults']));
} catch (error) {
  broken(error);
} finally {
  rmSync(reports, { recursive: true, force: true });
}
const shown = (text) => stripVTControlCharacters(text).slice(0, 3000);
for (const text of flaky) console.log(`\n↻ flaky, passed alone: ${shown(text)}`);
for (const text of failedTests) console.log(`\n✗ ${shown(text)}`);
if (failures.length > 0) console.log(`\nFailed: ${failures.join(', ')}`);
console.log(`\n${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
