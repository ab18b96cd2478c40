/** The program: reads the world once, hands it to the command line, ends with its exit code. */

import { constants } from 'node:os'
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import { main } from '#cli/main'
import { userConfig, userState } from '#io/files'
import { canCapture, reexecForCapture } from '#io/namespace'
import { version } from './version.ts'

const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
if (major < 26 || (major === 26 && minor < 10)) {
  process.stderr.write(
    `weft: this is Node ${process.version}; Weft needs Node 26.10 or newer. In a clone start it by ./weft, which brings its own\n`,
  )
  process.exit(1)
}

// A workload's proxy must own its user namespace before anything is opened; where that cannot be had, `run` says so and falls back.
if ((process.argv[2] === 'run' || process.argv[2] === 'node') && process.platform === 'linux' && !asksForNoCapture(process.argv))
  await reexecForCapture().catch(() => canCapture())

function asksForNoCapture(argv: readonly string[]): boolean {
  const flags = argv.slice(3, argv.includes('--') ? argv.indexOf('--') : undefined)
  return flags.some(
    (flag, at) => flag === '--capture=proxy' || (flag === '--capture' && flags[at + 1] === 'proxy') || flag === '--help' || flag === '-h',
  )
}

const say = (text: string): void => void process.stderr.write(`${text}\n`)
const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url))
const log = async (level?: string) =>
  (await import('#io/log')).consoleLog({
    level: (process.env['WEFT_LOG'] ?? level ?? 'warn') as 'warn',
    stream: process.stderr,
    format: process.stderr.isTTY ? 'pretty' : 'json',
  })

/** Calls back for each signal that is ours to pass on. A Ctrl-C at a terminal reaches the command by itself; it only must not end us before it. */
function onSignal(heard: (name: NodeJS.Signals) => void, hasCommand = true): () => void {
  const isAtTerminal = process.stdin.isTTY && hasCommand
  if (isAtTerminal) process.on('SIGINT', () => {})
  const names = (['SIGTERM', 'SIGHUP', 'SIGQUIT', 'SIGUSR1', 'SIGUSR2', 'SIGINT'] as const).filter(
    name => name in constants.signals && !(name === 'SIGINT' && isAtTerminal),
  )
  for (const name of names) process.on(name, heard)
  return () => {
    for (const name of names) process.off(name, heard)
  }
}

function ended(): AbortSignal {
  const end = new AbortController()
  for (const name of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(name, () => end.abort())
  return end.signal
}

/** For a server that is told to end twice: orderly, then at once. */
function endings(): { readonly signal: AbortSignal; readonly insisted: AbortSignal } {
  const [first, second] = [new AbortController(), new AbortController()]
  for (const name of ['SIGTERM', 'SIGINT'] as const) process.on(name, () => (first.signal.aborted ? second : first).abort())
  return { signal: first.signal, insisted: second.signal }
}

const on =
  (name: NodeJS.Signals) =>
  (heard: () => void): (() => void) => {
    process.on(name, heard)
    return () => void process.off(name, heard)
  }

/** For the processes that stay. */
const rest = async (): Promise<unknown> => (await import('#io/memory')).giveBackWhenResting()

// Started by a proxy of ours, which speaks to it over the channel that came with it: no command line.
if (process.argv[2] === 'worker' && process.send !== undefined) {
  await rest()
  await (await import('./worker.ts')).work({ log: await log() })
  process.exit()
}

process.exitCode = await main(process.argv.slice(2), {
  env: process.env,
  stdin: process.stdin,
  stdout: process.stdout,
  stderr: process.stderr,
  isTTY: process.stdout.isTTY ?? false,
  columns: process.stdout.columns ?? 120,
  cwd: process.cwd(),
  configFolder: userConfig(process.env),
  version,
  cleanCapture: async options => (await import('./capture.ts')).clean(options, say),
  run: async options => {
    await rest()
    return (await import('./run.ts')).run(options, {
      env: process.env,
      version,
      log: await log(),
      say,
      onSignal: heard => onSignal(heard, options.host === undefined),
    })
  },
  node: async workloads => {
    await rest()
    return (await import('./node.ts')).node(workloads, {
      env: process.env,
      version,
      log: await log(),
      say,
      onSignal: heard => onSignal(heard, true),
    })
  },
  gateway: async options => {
    await rest()
    return (await import('./gateway.ts')).gateway(options, {
      env: process.env,
      version,
      log: await log(),
      say,
      onSignal: heard => onSignal(heard, false),
    })
  },
  control: async options => {
    await rest()
    return (await import('./control.ts')).control(options, {
      env: process.env,
      version,
      log: await log('info'),
      say,
      print: text => void process.stdout.write(text),
      signal: ended(),
      dashboard: here('../../dashboard/dist'),
    })
  },
  envoy: async options => {
    await rest()
    return (await import('./envoy.ts')).envoy(options, {
      env: process.env,
      version,
      log: await log(),
      say,
      print: text => void process.stdout.write(text),
      onSignal: heard => onSignal(heard, false),
    })
  },
  proxy: async options => {
    await rest()
    return (await import('./proxy.ts')).proxy(options, {
      env: process.env,
      pid: process.pid,
      log: await log(),
      say,
      print: text => void process.stdout.write(text),
      ...endings(),
      onHangup: on('SIGHUP'),
      onRestart: on('SIGUSR2'),
      worker: [process.execPath, ...process.execArgv, here('./weft.ts'), 'worker'],
    })
  },
  demo: async options =>
    (await import('./demo.ts')).demo(options, {
      env: process.env,
      self: [process.execPath, ...process.execArgv, here('./weft.ts')],
      node: process.execPath,
      shopFolder: here('../../examples/shop'),
      say,
      print: text => void process.stdout.write(text),
      isTTY: process.stdout.isTTY ?? false,
      signal: ended(),
    }),
  listeningAt: async () => (await import('#io/checks')).listeningAt(),
  checkMachine: async () =>
    (await import('#io/checks')).checkMachine({
      dataFolder: `${userState(process.env)}/control`,
      ports: [
        { port: 7070, purpose: 'the operator API and dashboard' },
        { port: 7071, purpose: 'proxies' },
      ],
    }),
})
// Sockets that wait for a peer must not keep a finished command alive.
process.exit()
