/**
 * The thread that lives in the namespaces of workloads: it makes them, makes sockets there for the main thread, and starts the programs there.
 * Only what happens on this very thread is inside: synchronous file calls are, asynchronous ones are not (Node runs them on other threads).
 * It is in one namespace at a time, so whatever waits enters its own again before it goes on.
 */

import { spawn } from 'node:child_process'
import { closeSync, existsSync, mkdirSync, mkdtempSync, openSync, readlinkSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import process from 'node:process'
import { parentPort } from 'node:worker_threads'
import { SystemCallFailed, enter, leaveHost, makeIcmpSocket, makeListener, makeSocket, mountEmpty, mountOver } from '../sockopt.ts'
import type { Batch, Beginning, Given, Listeners, News, Order, Program, Told, Wanted } from './messages.ts'
import { capture, capturePort, comforts, datagrams, dnsPort, excludedPort, links, settings } from './rules.ts'
import { run } from './tools.ts'

/** The namespaces of a workload, or of nobody: open files that lead into them. */
type Place = { readonly id: number; readonly network: number; readonly mounts: number; readonly programs: Set<number> }
type Inhabited = Place & { readonly beginning: Beginning }

const tell = (id: number, news: News): void => parentPort!.postMessage({ id, ...news } satisfies Told)

/** Enough for a burst while the next batch is on its way. */
const batchSize = 64

const places = new Map<number, Inhabited>()
/** Nobody's: where this thread is when the one it was in is closed, and what the mounts of the next are copied from. */
let nowhere: Place | undefined
let current: Place | undefined
/** One is opened after the other. */
let opening: Promise<void> = Promise.resolve()

parentPort!.on('message', (order: Order) => {
  switch (order.type) {
    case 'open':
      opening = opening.then(() => open(order.id, order.beginning))
      return
    case 'start':
      return start(places.get(order.id)!, order.program)
    case 'run':
      return runBeside(places.get(order.id)!, order)
    case 'close':
      return close(order.id)
  }
})

function go(place: Place): void {
  if (current === place) return
  enter(place.network, place.mounts)
  current = place
}

/** Leaves the namespaces that this thread is in for fresh ones, with a copy of the mounts. */
function leave(id: number): Place {
  leaveHost()
  const network = openSync('/proc/thread-self/ns/net', 'r')
  current = { id, network, mounts: openSync('/proc/thread-self/ns/mnt', 'r'), programs: new Set() }
  return current
}

async function open(id: number, beginning: Beginning): Promise<void> {
  try {
    nowhere ??= leave(0)
    go(nowhere)
    const place: Inhabited = Object.assign(leave(id), { beginning })
    places.set(id, place)
    const [hasDatagrams] = await Promise.all([addRules(place), addAddresses(beginning)])
    go(place)
    coverNames(beginning)
    for (const [name, value] of settings) attempt(() => writeFileSync(`/proc/sys/${name}`, value))
    beginning.sockets.on('message', () => serveSockets(place))
    beginning.flows.on('message', (wanted: Wanted) => giveFlow(place, wanted))
    tell(id, {
      type: 'ready',
      listeners: makeListeners(beginning, hasDatagrams),
      identity: readlinkSync('/proc/thread-self/ns/net'),
      first: makeBatch(beginning),
    })
  } catch (thrown) {
    tell(id, { type: 'refused', says: (thrown as Error).message })
  }
}

/** What still runs there is told to end, as by the death of its parent. */
function close(id: number): void {
  const place = places.get(id)
  if (place === undefined) return
  places.delete(id)
  for (const pid of place.programs) attempt(() => process.kill(pid, 'SIGTERM'))
  if (current === place) go(nowhere!)
  closeSync(place.network)
  closeSync(place.mounts)
}

async function addAddresses({ tools, ipv6 }: Beginning): Promise<void> {
  const { code, says } = await run(tools.ip, ['-batch', '-'], links(ipv6))
  if (code !== 0) throw new Error(`ip: ${says}`)
}

/** The most that this kernel takes, whole or not at all. True when datagrams are captured. */
async function addRules(place: Inhabited): Promise<boolean> {
  const { beginning } = place
  const needed = capture(beginning.exclude)
  const attempts = [...(beginning.datagrams ? [needed + comforts(true) + datagrams] : []), needed + comforts(false), needed]
  let says = ''
  for (const rules of attempts) {
    go(place)
    const tried = await run(beginning.tools.nft, ['-f', '-'], rules)
    if (tried.code === 0) return rules.includes('tproxy')
    says = tried.says
  }
  throw new Error(`nft: ${says}`)
}

/** Resolvers that are asked through a socket file (systemd-resolved, nscd) would answer for the machine; without their folder, programs ask DNS. */
const askedByFile = ['/run/systemd/resolve', '/run/nscd', '/var/run/nscd']

/** Without /etc/resolv.conf, or where it leads nowhere, resolvers ask 127.0.0.1, which is captured as well: only the search list is lost. */
function coverNames(beginning: Beginning): void {
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

function makeListeners(beginning: Beginning, hasDatagrams: boolean): Listeners {
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

function serveSockets(place: Inhabited): void {
  const { beginning } = place
  go(place)
  beginning.sockets.postMessage(makeBatch(beginning))
  Atomics.add(beginning.served, 0, 1)
  Atomics.notify(beginning.served, 0)
}

function giveFlow(place: Inhabited, { id, host, port }: Wanted): void {
  go(place)
  let given: Given
  try {
    given = { id, fd: makeListener('flow', host, port) }
  } catch (thrown) {
    given = { id, failed: (thrown as Error).message }
  }
  place.beginning.flows.postMessage(given)
}

function makeBatch({ ipv6 }: Beginning): Batch {
  const fds: number[] = []
  try {
    while (fds.length < batchSize) fds.push(makeSocket(ipv6))
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

const confined = ({ root }: Beginning, atDeath: 'TERM' | 'KILL', command: readonly string[]): readonly string[] => [
  '--pdeathsig',
  atDeath,
  ...withheld(root),
  '--',
  ...command,
]

/** In a process group of its own, which is killed as a whole when its time is over. What cannot be started has failed. */
function runBeside(place: Inhabited, { run: number, program, timeoutMs }: Order & { readonly type: 'run' }): void {
  const { id, beginning, programs } = place
  const { command, env, cwd, stdio } = program
  go(place)
  const child = spawn(beginning.tools.setpriv, confined(beginning, 'KILL', command), { cwd, env, stdio: [...stdio], detached: true })
  let isOver = false
  const over = (code: number | null, signal: NodeJS.Signals | null) => {
    if (isOver) return
    isOver = true
    clearTimeout(timer)
    if (child.pid !== undefined) programs.delete(child.pid)
    tell(id, { type: 'ran', run: number, code, signal })
  }
  const timer = setTimeout(() => attempt(() => process.kill(-child.pid!, 'SIGKILL')), timeoutMs)
  if (child.pid !== undefined) programs.add(child.pid)
  child.once('error', () => over(127, null))
  child.once('exit', over)
}

/** `setpriv` becomes the program, so its process, exit code and signals are the program's own. TERM reaches it when this process dies. */
function start(place: Inhabited, { command, env, cwd, stdio }: Program): void {
  const { id, beginning, programs } = place
  go(place)
  const child = spawn(beginning.tools.setpriv, confined(beginning, 'TERM', command), { cwd, env, stdio: [...stdio] })
  child.once('error', error => tell(id, { type: 'unstarted', code: (error as NodeJS.ErrnoException).code ?? '', says: error.message }))
  child.once('spawn', () => {
    programs.add(child.pid!)
    tell(id, { type: 'started', pid: child.pid! })
  })
  child.once('exit', (code, signal) => {
    programs.delete(child.pid!)
    tell(id, { type: 'exited', code, signal })
  })
}

function attempt<T>(act: () => T): T | undefined {
  try {
    return act()
  } catch {
    return undefined
  }
}
