/**
 * The thread that lives in a workload's namespaces: it makes them, makes sockets there for the main thread, and starts the program there.
 * Only what happens on this very thread is inside: synchronous file calls are, asynchronous ones are not (Node runs them on other threads).
 */

import { spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, existsSync, readlinkSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { parentPort, workerData } from 'node:worker_threads'
import { SystemCallFailed, leaveHost, makeIcmpSocket, makeListener, makeSocket, mountEmpty, mountOver } from '../sockopt.ts'
import type { Batch, Beginning, Given, Listeners, Program, Told, Wanted } from './messages.ts'
import { capture, capturePort, comforts, datagrams, dnsPort, excludedPort, links, settings } from './rules.ts'
import { run } from './tools.ts'

const beginning = workerData as Beginning
const tell = (told: Told): void => parentPort!.postMessage(told)

/** Enough for a burst while the next batch is on its way. */
const batchSize = 64

async function begin(): Promise<void> {
  try {
    leaveHost()
    const [hasDatagrams] = await Promise.all([addRules(), addAddresses()])
    coverNames()
    for (const [name, value] of settings) attempt(() => writeFileSync(`/proc/sys/${name}`, value))
    beginning.sockets.on('message', serveSockets)
    beginning.flows.on('message', giveFlow)
    parentPort!.on('message', start)
    tell({
      type: 'ready',
      listeners: makeListeners(hasDatagrams),
      identity: readlinkSync('/proc/thread-self/ns/net'),
      first: makeBatch(batchSize),
    })
  } catch (thrown) {
    tell({ type: 'refused', says: (thrown as Error).message })
  }
}

async function addAddresses(): Promise<void> {
  const { code, says } = await run(beginning.tools.ip, ['-batch', '-'], links(beginning.ipv6))
  if (code !== 0) throw new Error(`ip: ${says}`)
}

/** The most that this kernel takes, whole or not at all. True when datagrams are captured. */
async function addRules(): Promise<boolean> {
  const needed = capture(beginning.exclude)
  const attempts = [...(beginning.datagrams ? [needed + comforts(true) + datagrams] : []), needed + comforts(false), needed]
  let says = ''
  for (const rules of attempts) {
    const tried = await run(beginning.tools.nft, ['-f', '-'], rules)
    if (tried.code === 0) return rules.includes('tproxy')
    says = tried.says
  }
  throw new Error(`nft: ${says}`)
}

/** Resolvers that are asked through a socket file (systemd-resolved, nscd) would answer for the machine; without their folder, programs ask DNS. */
const askedByFile = ['/run/systemd/resolve', '/run/nscd', '/var/run/nscd']

/** Without /etc/resolv.conf, or where it leads nowhere, resolvers ask 127.0.0.1, which is captured as well: only the search list is lost. */
function coverNames(): void {
  const resolv = attempt(() => realpathSync('/etc/resolv.conf'))
  const covered = [...new Set(askedByFile.flatMap(folder => attempt(() => realpathSync(folder)) ?? []))]
  for (const folder of covered) attempt(() => mountEmpty(folder))
  const folder = mkdtempSync(join(tmpdir(), 'weft-names-'))
  try {
    if (resolv !== undefined) cover(resolv, beginning.resolvConf, folder)
    if (existsSync('/etc/hosts')) cover(realpathSync('/etc/hosts'), beginning.hosts, folder)
  } finally {
    rmSync(folder, { recursive: true }) // what is mounted lives on without its name
  }
}

function cover(target: string, text: string, folder: string): void {
  if (!existsSync(target)) {
    mkdirSync(dirname(target), { recursive: true }) // it stood in a folder that is empty now, and ours
    return writeFileSync(target, text)
  }
  const source = join(folder, target.replaceAll('/', '-'))
  writeFileSync(source, text, { mode: 0o644 })
  mountOver(source, target)
}

function makeListeners(hasDatagrams: boolean): Listeners {
  const isLeftOut =
    beginning.exclude.outboundPorts.length + beginning.exclude.outboundCidrs.length + beginning.exclude.outboundUids.length > 0
  const hosts = beginning.ipv6 ? ['127.0.0.1', '::1'] : ['127.0.0.1']
  return {
    tcp: hosts.map(host => makeListener('tcp', host, capturePort)),
    dnsTcp: hosts.map(host => makeListener('tcp', host, dnsPort)),
    // Bound to loopback, not to every address: from there the answer leaves with the source that the kernel turns back into the address that was asked.
    dnsUdp: hosts.map(host => ({ fd: makeListener('udp', host, dnsPort), ipv6: host === '::1' })),
    excluded: isLeftOut ? hosts.map(host => makeListener('tcp', host, excludedPort)) : [],
    datagrams: hasDatagrams
      ? hosts.map(host => ({ fd: makeListener('datagrams', host, capturePort), icmp: makeIcmpSocket(host === '::1') }))
      : [],
  }
}

function serveSockets(): void {
  beginning.sockets.postMessage(makeBatch(batchSize))
  Atomics.add(beginning.served, 0, 1)
  Atomics.notify(beginning.served, 0)
}

function giveFlow({ id, host, port }: Wanted): void {
  let given: Given
  try {
    given = { id, fd: makeListener('flow', host, port) }
  } catch (thrown) {
    given = { id, failed: (thrown as Error).message }
  }
  beginning.flows.postMessage(given)
}

function makeBatch(count: number): Batch {
  const fds: number[] = []
  try {
    while (fds.length < count) fds.push(makeSocket(beginning.ipv6))
    return { fds }
  } catch (thrown) {
    if (!(thrown instanceof SystemCallFailed)) throw thrown
    return { fds, failed: { syscall: thrown.syscall, errno: thrown.errno } }
  }
}

/**
 * What the program must not be able to do: leave its namespaces or change their rules. An ordinary user's program gets no capability at all, as it would have none
 * without us; root's keeps those that services need (another user id, any file) and loses those that reach other namespaces.
 */
const withheld = (root: boolean): string[] =>
  root
    ? ['--inh-caps=-all', '--bounding-set=-net_admin,-sys_admin,-sys_ptrace,-sys_module,-sys_rawio']
    : ['--inh-caps=-all', '--ambient-caps=-all', '--bounding-set=-all', '--no-new-privs']

/** `setpriv` becomes the program, so its process, exit code and signals are the program's own. TERM reaches it when this process dies. */
function start({ command, env, cwd, stdio }: Program): void {
  const child = spawn(beginning.tools.setpriv, ['--pdeathsig', 'TERM', ...withheld(beginning.root), '--', ...command], {
    cwd,
    env,
    stdio: [...stdio],
  })
  child.once('error', error => tell({ type: 'unstarted', code: (error as NodeJS.ErrnoException).code ?? '', says: error.message }))
  child.once('spawn', () => tell({ type: 'started', pid: child.pid! }))
  child.once('exit', (code, signal) => tell({ type: 'exited', code, signal }))
}

function attempt<T>(act: () => T): T | undefined {
  try {
    return act()
  } catch {
    return undefined
  }
}

await begin()
