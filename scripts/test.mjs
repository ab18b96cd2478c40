// `npm test`: makes the clone ready, checks types, rooms, lint, format and dead code, then runs every test; ends with one line of counts.
import { spawn, spawnSync } from 'node:child_process'
import { cpus, homedir, tmpdir } from 'node:os'
import { basename, delimiter, dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { ready } from './ready.mjs'

const root = resolve(dirname(fileURLToPath(import.meta.url)), '..')
const node = ready()
if (process.versions.node.split('.')[0] < 26) {
  // On from here under Node 26, which has globSync (so it is imported below) and the newer test runner.
  const again = spawnSync(node, [fileURLToPath(import.meta.url), ...process.argv.slice(2)], { stdio: 'inherit', cwd: root })
  process.exit(again.status ?? 1)
}
const { existsSync, globSync, mkdtempSync, readFileSync, rmSync } = await import('node:fs')
const bin = join(root, 'node_modules', '.bin')
const bundle = join(root, 'dist', 'bin', 'main.js')
// The end-to-end tests start some hundred processes: from the bundle each takes half the time. ready() made it of the sources as they are now.
const program = existsSync(bundle) ? { WEFT_TEST_PROGRAM: bundle } : {}
// Compiled code is kept as the launcher keeps it: a third of a second of CPU for each of the hundreds of processes.
const compiled = { NODE_COMPILE_CACHE: join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'weft', 'compile') }
const env = {
  ...compiled,
  ...process.env,
  ...program,
  PATH: bin + delimiter + process.env.PATH,
  NODE_OPTIONS: '--disable-warning=ExperimentalWarning',
}
const only = process.argv.slice(2)
const counts = { passed: 0, failed: 0, skipped: 0 }

async function check(name, command, args) {
  const began = Date.now()
  const child = spawn(command, args, { cwd: root, env, stdio: ['ignore', 'pipe', 'pipe'] })
  let said = ''
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', text => (said += text))
  const ok = await new Promise(done => child.on('error', () => done(false)).on('close', code => done(code === 0)))
  counts[ok ? 'passed' : 'failed']++
  console.log(`${ok ? '✓' : '✗'} ${name} (${((Date.now() - began) / 1000).toFixed(1)} s)`)
  if (!ok) console.log(said)
}

/** Whether what is needed is known to be vulnerable: 3 says that the registry does not tell, which is no fault of ours. */
function audit() {
  const began = Date.now()
  const { status, stdout } = spawnSync(node, [join(root, 'scripts', 'audit.mjs')], { cwd: root, env, encoding: 'utf8' })
  counts[status === 0 ? 'passed' : status === 3 ? 'skipped' : 'failed']++
  const lines = stdout.trim().split('\n')
  console.log(
    `${status === 0 ? '✓' : status === 3 ? '-' : '✗'} npm audit${status === 3 ? ' # SKIP' : ''} (${((Date.now() - began) / 1000).toFixed(1)} s)`,
  )
  for (const line of lines) console.log(`  ${line}`)
}

/** Runs those files. Returns each file's outcome, the output, and whether all is well. */
function run(files, concurrency) {
  const folder = mkdtempSync(join(tmpdir(), 'weft-tests-'))
  const outcomes = join(folder, 'outcomes')
  const reporters = ['tap', join(root, 'scripts', 'by-file.mjs')].map(name => `--test-reporter=${name}`)
  const to = ['stdout', outcomes].map(name => `--test-reporter-destination=${name}`)
  const ends = join(root, 'test', 'harness', 'ends.ts')
  const ran = spawnSync(node, ['--test', '--import', ends, `--test-concurrency=${concurrency}`, ...reporters, ...to, ...files], {
    cwd: root,
    env,
    encoding: 'utf8',
    maxBuffer: 1 << 28,
  })
  const told = existsSync(outcomes) ? readFileSync(outcomes, 'utf8') : ''
  rmSync(folder, { recursive: true })
  return {
    good: ran.status === 0,
    outcomes: told.split('\n').flatMap(line => (line === '' ? [] : [JSON.parse(line)])),
    stdout: ran.stdout,
    stderr: ran.stderr,
  }
}

const hasFailed = ({ failed, hasFailed }) => failed > 0 || hasFailed === true

/** Files that failed beside others are run once more, alone; a machine of two cores under many processes is no fault of theirs. Both runs are told. */
const mostRunAgain = 8

function tests(name, files, concurrency) {
  if (files.length === 0) return
  const began = Date.now()
  const first = run(files, concurrency)
  let { good, outcomes } = first
  const failed = outcomes.filter(hasFailed).map(({ file }) => file)
  const isAgain = !good && concurrency > 1 && failed.length > 0 && failed.length <= mostRunAgain
  const again = isAgain ? run(failed, 1) : undefined
  if (again !== undefined) {
    good = again.good
    outcomes = [...outcomes.filter(outcome => !hasFailed(outcome)), ...again.outcomes]
  }
  const sum = word => outcomes.reduce((total, outcome) => total + outcome[word], 0)
  const count = { passed: sum('passed'), failed: good ? sum('failed') : sum('failed') || 1, skipped: sum('skipped') }
  for (const word of ['passed', 'failed', 'skipped']) counts[word] += count[word]
  console.log(
    `${good ? '✓' : '✗'} ${name}: ${count.passed} passed, ${count.failed} failed, ${count.skipped} skipped (${((Date.now() - began) / 1000).toFixed(1)} s)`,
  )
  const slowest = first.outcomes.toSorted((a, b) => b.seconds - a.seconds).slice(0, 24)
  console.log(`  slowest: ${slowest.map(({ file, seconds }) => `${basename(file, '.test.ts')} ${seconds.toFixed(0)} s`).join(' · ')}`)
  for (const line of new Set(first.stdout.match(/^.*# SKIP.*$/gm) ?? [])) console.log(`  ${line.trim()}`)
  if (again !== undefined)
    console.log(`  △ failed beside the others, so run once more alone, and then ${good ? 'passed' : 'failed again'}: ${failed.join(', ')}`)
  if (!first.good) tell(first)
  if (again?.good === false) tell(again)
}

function tell({ stdout, stderr }) {
  const lines = stdout.split('\n').filter(line => !/^\s*(ok |duration_ms|type:|---|\.\.\.|# Subtest|\d+\.\.\d+$)/.test(line))
  console.log(lines.slice(-400).join('\n'), stderr.slice(-8000))
}

/** What takes minutes: `npm test` is for those who wait for it. */
const long = /(\/(soak|storm|faults|demo-faults|restart|root-rotation|asleep|sidecar-envoy|conformance)\.test|\/conformance\/gateway-api\/)/

if (only.length > 0) tests('chosen tests', only, 1)
else {
  await Promise.all([
    check('types: src, test, bench', join(bin, 'tsc'), ['-p', '.']),
    check('types: dashboard', join(bin, 'tsc'), ['-p', 'dashboard']),
    check('lint', join(bin, 'oxlint'), ['--deny-warnings']),
    check('format', join(bin, 'biome'), ['format']),
    check('dead code', join(bin, 'knip'), []),
  ])
  tests(
    'unit',
    globSync(['test/*.test.ts', 'src/**/*.test.ts'], { cwd: root }).filter(file => !file.includes('xds/gen')),
    2 * cpus().length,
  )
  const ends = globSync(['test/e2e/*.test.ts', 'test/conformance/gateway-api/*.test.ts'], { cwd: root })
  if (process.env.WEFT_TEST_ALL === '1') {
    audit()
    // Three at once: most of their time is waiting. The longest goes first, so that it is not left alone at the end.
    const isLongest = file => file.endsWith('soak.test.ts')
    tests('end to end', [...ends.filter(isLongest), ...ends.filter(file => !isLongest(file))], 3)
  } else {
    tests(
      'end to end',
      ends.filter(file => !long.test(file)),
      3,
    )
    const left = ends.filter(file => long.test(file))
    counts.skipped += left.length
    console.log(
      `  ${left.length} files of faults, endurance and suites of others left out; .ci/run, or WEFT_TEST_ALL=1 npm test, runs them too`,
    )
  }
}
console.log(`${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`)
process.exit(counts.failed > 0 ? 1 : 0)
