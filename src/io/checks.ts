/** Can this machine run Weft? Each thing that it needs, tried, with what to do where it is not there. */

import { constants, accessSync, existsSync, readFileSync, statfsSync, lstatSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import process from 'node:process'
import { setTimeout as pause } from 'node:timers/promises'
import type { Check } from './checks/check.ts'
import { readFacts } from './checks/facts.ts'
import { portOwner } from './checks/port-owner.ts'
import { restrictions } from './checks/restrictions.ts'
import { packages } from './namespace/refusal.ts'
import { findTool } from './namespace/tools.ts'
import { canCapture } from './namespace.ts'
import { listen } from './net.ts'
import { requireFfi } from './sockopt.ts'

export type { Check }
export { type ListeningAt, listeningAt } from './checks/listeners.ts'

export type CheckOptions = {
  /** Where the control plane keeps its store; need not exist yet. */
  readonly dataFolder: string
  /** The ports a control plane would open on 127.0.0.1. */
  readonly ports: readonly { readonly port: number; readonly purpose: string }[]
}

/** Never rejects. In the order in which a person would mend things. */
export async function checkMachine({ dataFolder, ports }: CheckOptions): Promise<Check[]> {
  const linux = process.platform === 'linux'
  const capture = await checkCapture()
  return [
    checkNode(process.versions.node),
    checkFfi(),
    ...(linux ? (['ip', 'nft', 'unshare', 'setpriv'] as const).map(checkTool) : []),
    capture,
    // Where capture was tried and works, what might forbid it does not.
    ...(linux ? restrictions(readFacts()).filter(({ name }) => capture.ok !== 'yes' || name !== 'user namespaces') : []),
    ...(await Promise.all(ports.map(({ port, purpose }) => checkPort(port, purpose)))),
    await checkClock(),
    checkData(resolve(dataFolder)),
    ...(linux ? [checkResolver('/etc/resolv.conf')] : []),
  ]
}

const fallback = 'weft run then uses HTTP_PROXY and a loopback address per service'

export function checkNode(version: string): Check {
  const [major = 0, minor = 0] = version.split('.').map(Number)
  if (major > 26 || (major === 26 && minor >= 10)) return { name: 'Node.js', ok: 'yes', says: version }
  return {
    name: 'Node.js',
    ok: 'no',
    says: `${version} is too old, 26.10 is needed`,
    remedy: 'start weft by its own launcher (./weft), which installs the right one beside itself',
  }
}

function checkFfi(): Check {
  try {
    requireFfi()
    return { name: 'node:ffi', ok: 'yes', says: 'the C library can be called' }
  } catch (thrown) {
    return {
      name: 'node:ffi',
      ok: 'warn',
      says: `${(thrown as Error).message}; ${fallback}`,
      remedy: 'start Node without --no-experimental-ffi',
    }
  }
}

function checkTool(name: keyof typeof packages): Check {
  const path = findTool(name)
  if (path !== undefined) return { name, ok: 'yes', says: path }
  return { name, ok: 'warn', says: `not installed; ${fallback}`, remedy: `apt-get install ${packages[name]}` }
}

/** User, network and mount namespaces, the redirect rules and the covered files, all at once as `weft run` needs them. */
async function checkCapture(): Promise<Check> {
  const name = 'transparent capture'
  const verdict = await canCapture()
  if (verdict.ok)
    return {
      name,
      ok: 'yes',
      says:
        process.getuid?.() === 0 ? 'a network namespace with redirection works' : 'a network namespace with redirection works without root',
    }
  return { name, ok: 'warn', says: `${verdict.why}; ${fallback}`, remedy: verdict.remedy }
}

async function checkPort(port: number, purpose: string): Promise<Check> {
  const name = `port ${port}`
  try {
    await using _ = await listen('127.0.0.1', port, socket => socket.destroy())
    return { name, ok: 'yes', says: `free for ${purpose}` }
  } catch {
    const owner = portOwner(port)
    return {
      name,
      ok: 'warn',
      says: `in use by ${owner ?? "another user's program"}`,
      remedy: `if that is not the control plane, stop it or choose another port for ${purpose}`,
    }
  }
}

/** No release is older than this; certificates made by an earlier clock would be valid in the past only. */
const firstRelease = Date.UTC(2026, 10, 1)
const farFuture = Date.UTC(2100, 0, 1)

/** The wall clock must be plausible, and run as fast as the one that only counts: within 20 ms over a tenth of a second, which a busy machine keeps too, for both are read together. */
async function checkClock(): Promise<Check> {
  const read = () => Date.now() - performance.now()
  const before = read()
  await pause(100)
  return judgeClock(Date.now(), read() - before)
}

export function judgeClock(now: number, jumpMs: number): Check {
  const name = 'clock'
  const remedy = 'set it, and keep it set: apt-get install systemd-timesyncd, or chrony'
  const says = Number.isFinite(now) && Math.abs(now) < 8.64e15 ? new Date(now).toISOString() : String(now)
  if (!(now >= firstRelease && now < farFuture))
    return { name, ok: 'no', says: `${says} cannot be right; certificates would not be valid`, remedy }
  if (Math.abs(jumpMs) > 20)
    return { name, ok: 'warn', says: `${says}, and it jumped by ${Math.round(jumpMs)} ms while it was watched`, remedy }
  return { name, ok: 'yes', says }
}

function checkData(folder: string): Check {
  const name = 'data folder'
  let existing = folder
  while (!existsSync(existing) && dirname(existing) !== existing) existing = dirname(existing)
  try {
    accessSync(existing, constants.W_OK | constants.X_OK)
    const { bavail, bsize } = statfsSync(existing)
    return judgeSpace(name, folder, bavail * bsize)
  } catch (thrown) {
    return {
      name,
      ok: 'no',
      says: `${existing} cannot be written: ${(thrown as Error).message}`,
      remedy: 'choose another: weft control --data FOLDER',
    }
  }
}

export function judgeSpace(name: string, folder: string, freeBytes: number): Check {
  const free = `${folder}: ${Math.floor(freeBytes / 2 ** 20)} MiB free`
  const remedy = 'free some space, or choose another folder: weft control --data FOLDER'
  if (freeBytes < 50 * 2 ** 20) return { name, ok: 'no', says: `${free}, too little to keep a store`, remedy }
  return freeBytes < 500 * 2 ** 20 ? { name, ok: 'warn', says: `${free}, which may run out`, remedy } : { name, ok: 'yes', says: free }
}

/** Names outside the mesh are asked of the machine's servers. */
export function checkResolver(file: string): Check {
  const name = 'DNS'
  const remedy = 'name a server there: nameserver ADDRESS'
  try {
    const servers = [...readFileSync(file, 'utf8').matchAll(/^\s*nameserver\s+(\S+)/gm)].map(([, server]) => server)
    if (servers.length === 0) return { name, ok: 'warn', says: `${file} names no server; names outside the mesh cannot be found`, remedy }
    return { name, ok: 'yes', says: `${file}: ${servers.join(', ')}` }
  } catch {
    const dangling = lstatSync(file, { throwIfNoEntry: false })?.isSymbolicLink() ?? false
    return {
      name,
      ok: 'warn',
      says: `${file} ${dangling ? 'is a link that leads nowhere' : 'cannot be read'}; names outside the mesh cannot be found`,
      remedy,
    }
  }
}
