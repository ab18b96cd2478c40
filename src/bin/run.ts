/** `weft run`: one process that is a workload's proxy and the parent of its command; it ends with the command's exit code. */

import { systemClock } from '#base/clock'
import type { Log } from '#base/log'
import type { RunOptions } from '#cli/options'
import { makeFolder, userState } from '#io/files'
import { connectGrpc } from '#io/grpc'
import { canCapture, isInside } from '#io/namespace'
import { hostResolver, lookupBy, machineLookup, machineServers } from '#io/resolver'
import { CommandFailed, launchWorkload, type Workload } from '#io/workload'
import { allRoots } from '#model/trust'
import type { WorkloadPort } from '#model/workload'
import { openAdmin, pageOf } from '#proxy/admin'
import { Core } from '#proxy/core'
import { MeshDns, OutsideNames } from '#proxy/dns'
import { isTold } from '#proxy/exit'
import { openExplicit } from '#proxy/explicit'
import { bindAsBefore } from '#proxy/kept-ports'
import { fallBackTo, keepView } from '#proxy/kept-view'
import { Link, type Shelf } from '#proxy/link'
import { askReadiness } from '#proxy/readiness'
import { Datagrams } from '#proxy/udp'
import { adoptHost } from './capture.ts'
import { offerIdentity } from './identity-socket.ts'
import { becomeMember, invited, notLetIn } from './join.ts'
import { describeWorkload } from './proxy-node.ts'
import type { RunWorld } from './world.ts'

/** How long a connection of the workload waits for the proxy's first configuration. */
const patienceMs = 30_000
/** A command that ended before the mesh knew it waits so long for the verdict: a refused token is to be heard of. */
const verdictMs = 1000
/** And so long where the control plane is there and its verdict is out: another certificate may be asked for meanwhile. */
const mostVerdictMs = 3000

/** With the other workloads of one process. */
export type Shared = {
  readonly shelf?: Shelf
  /** It has its certificate. */
  readonly onMember?: () => void
}

export async function run(options: RunOptions, world: RunWorld, shared: Shared = {}): Promise<number> {
  try {
    const isCaptured = await chooseCapture(options, world)
    return await runMeshed(options, world, isCaptured, shared)
  } catch (thrown) {
    world.say(`weft: ${thrown instanceof Error ? thrown.message : String(thrown)}`)
    if (world.env['WEFT_DEBUG'] === '1' && thrown instanceof Error) world.say(thrown.stack ?? '')
    return thrown instanceof CommandFailed ? thrown.exitCode : 1
  }
}

async function runMeshed(options: RunOptions, world: RunWorld, isCaptured: boolean, shared: Shared): Promise<number> {
  const { log } = world
  await using owned = new AsyncDisposableStack()
  const folder = await makeFolder(`${userState(world.env)}/proxies/${options.namespace}.${options.service}`, 0o700)
  const invitation = await invited(options, world, folder)

  const launched = Promise.withResolvers<Workload>()
  launched.promise.catch(() => {})
  let running: Workload | undefined
  const self = () => ({
    service: options.service,
    namespace: options.namespace,
    workload: options.workload,
    version: options.version ?? '',
    identity: invitation.identity,
  })
  const { dnsServers } = options
  const isMachines = dnsServers.length === 0
  const ask = hostResolver({ servers: isMachines ? machineServers({ passStub: options.host !== undefined }) : () => dnsServers })
  const outside = new OutsideNames({ virtual: options.externalVips, isTold: name => isTold(core.view, name) })
  const core = owned.use(
    new Core({
      self,
      patienceMs,
      log,
      outside,
      lookup: isMachines ? machineLookup : lookupBy(ask),
      control: () => invitation,
      dialLocal: async (port, timeoutMs) => (await launched.promise).dial(port, { timeoutMs }),
      // Before it runs nobody takes datagrams, and nobody waits for that.
      dialLocalUdp: (port, on) => (running === undefined ? noFlow : running.dialUdp(port, on)),
      ...(options.detectMs === undefined ? {} : { detectMs: options.detectMs }),
    }),
  )
  const ports = await openPorts(core, options, folder, log)
  const datagrams = new Datagrams({
    view: () => core.view,
    ready: () => core.ready(),
    meter: core.meter,
    log,
    exit: core.exit,
    dial: core.dialOutside,
    carry: (session, to) => core.datagrams(session, to),
  })
  const dns = new MeshDns({
    view: () => core.view,
    ready: () => core.ready(),
    ask,
    outside,
    now: () => performance.now(),
  })
  // Captured programs of the machine are told nothing by their environment.
  const isOffered = options.host === undefined && invitation.agent === undefined
  const offer = isOffered ? owned.use(await offerIdentity(invitation.identity, launched.promise, world)) : undefined
  const launch = async (extra: Readonly<Record<string, string>>): Promise<Workload> => {
    const onDnsQuery = (query: Uint8Array, from: 'udp' | 'tcp') => dns.answer(query, from)
    const started =
      options.host === undefined
        ? launchWorkload({
            command: options.command,
            env: { ...childEnvironment(world.env), ...offer?.env, ...options.env, ...extra },
            ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
            namespace: options.namespace,
            capture: isCaptured ? 'namespace' : 'none',
            exclude: options.exclude,
            onConnection: (socket, destination) => core.outbound(socket, destination),
            onExcluded: (socket, destination) => core.excluded(socket, destination),
            onDatagram: session => datagrams.take(session),
            onDnsQuery,
          })
        : adoptHost(options.host, options, core, onDnsQuery, world)
    const workload = owned.use(await started)
    running = workload
    launched.resolve(workload)
    return workload
  }
  const departure = new Departure(options, world, launched.promise, core)
  owned.defer(() => departure.forget())

  // Captured, the command starts at once: what it asks for waits until the proxy knows the mesh.
  let workload = isCaptured ? await launch({}) : undefined
  let membership: Awaited<ReturnType<typeof becomeMember>> | undefined
  const present = () => {
    const { key, cert, roots } = membership!.certificate.current()
    const trust = core.view.trust.roots.length > 0 ? core.view.trust : { domain: '', roots }
    core.present({ key, cert, roots: allRoots(trust), ...(trust.federated === undefined ? {} : { resumes: false }) })
    offer?.trusted(trust.roots, trust.federated)
  }
  let renewed = () => {}
  const ended = new AbortController()
  const endSoon = () => void setTimeout(() => ended.abort(), verdictMs).unref()
  workload?.exited.then(endSoon, endSoon)
  try {
    const signal = AbortSignal.any([departure.signal, ended.signal])
    membership = await becomeMember(invitation, { folder, world, signal, onChange: () => renewed() })
  } catch (thrown) {
    if (workload === undefined || !(departure.signal.aborted || ended.signal.aborted)) throw thrown
    // It ended, or was told to, before the mesh knew it: its exit code is all there is to tell.
    return exitCodeOf(await workload.exited)
  }
  const { certificate, tls } = membership
  shared.onMember?.()
  owned.defer(() => certificate.stop())
  const channel = connectGrpc(tls)
  owned.defer(() => channel.close())
  offer?.reaches(channel)
  renewed = () => {
    channel.renew()
    present()
  }
  core.meter.follow(() => certificate.current(), systemClock)
  const interception = {
    capture: options.host !== undefined ? 'host' : isCaptured ? 'namespace' : 'proxy',
    exclude: options.exclude,
    externalVips: options.externalVips,
    published: options.publish.map(({ host, hostPort, port }) => `${host}:${hostPort} to port ${port}`),
  }
  const admin = owned.use(
    await openAdmin(path => pageOf({ core, certificate: () => certificate.current(), interception }, path), options.adminPort),
  )

  const denied = Promise.withResolvers<never>()
  denied.promise.catch(() => {})
  const keep = keepView(folder, log)
  let hasView = false
  const link = new Link({
    node: { ...describeWorkload(options), ports, admin: admin.url, version: world.version },
    channel,
    meter: core.meter,
    clock: systemClock,
    log,
    shelf: shared.shelf,
    probe: probe => launched.promise.then(running => askReadiness(probe, running, options.readyCommand)),
    onRefused: () => certificate.refused(),
    onDenied: reason => denied.reject(notLetIn('workload', reason)),
    onView: view => {
      const hasNewRoots = allRoots(view.trust).join() !== allRoots(core.view.trust).join()
      hasView = true
      core.swap(view)
      if (hasNewRoots) present()
      certificate.trusted(view.trust.roots)
      keep(view)
    },
  })
  owned.defer(() => link.close())
  departure.leaves(link)
  present()
  owned.defer(
    fallBackTo(folder, log, {
      hasView: () => hasView,
      use: kept => {
        core.swap(kept)
        present()
      },
    }),
  )

  if (workload === undefined) {
    // Not captured, the command must be told addresses, so the mesh must be known first.
    await Promise.race([core.ready(), departure.isTold(), denied.promise])
    // Told to end before the mesh was known: there is nothing yet to pass it on to.
    if (departure.signal.aborted) return exitCodeOf({ code: null, signal: 'SIGTERM' })
    workload = await launch(owned.use(await openExplicit(core, log)).env)
  }
  const exit = await Promise.race([workload.exited, denied.promise])
  const verdict = new Promise(resolve => setTimeout(resolve, mostVerdictMs).unref())
  if (!departure.signal.aborted) await Promise.race([denied.promise, link.tried, verdict, departure.isTold()])
  link.leave()
  await core.drain(departure.leftMs(options.drainMs))
  await link.farewell()
  return exitCodeOf(exit)
}

async function openPorts(core: Core, options: RunOptions, folder: string, log: Log): Promise<WorkloadPort[]> {
  const ports = await bindAsBefore(core, options.ports, options.address ?? '127.0.0.1', folder, log)
  for (const { host, hostPort, port } of options.publish) {
    const published = await core.publish(host, hostPort, port, options.acceptProxyProtocol)
    log.info(`port ${port} of ${options.name} is published at http://${published.host}:${published.port}`)
  }
  return ports
}

const noFlow = { send: () => {}, close: () => {} }

/**
 * Passes signals on. The first that ends leaves the mesh, waits for requests under way, and only then tells the command; a second is passed
 * on at once.
 */
class Departure {
  readonly #leave = new AbortController()
  readonly #forget: () => void
  #link: Link | undefined
  #leftAt: number | undefined

  constructor({ ports, drainMs }: RunOptions, { onSignal }: RunWorld, workload: Promise<Workload>, core: Core) {
    const pass = (name: NodeJS.Signals) => void workload.then(running => running.signal(name))
    this.#forget = onSignal(name => {
      if (this.#leftAt !== undefined || (name !== 'SIGTERM' && name !== 'SIGINT')) return pass(name)
      this.#leftAt = performance.now()
      this.#leave.abort()
      const haveHeard = this.#link?.isConnected ?? false
      this.#link?.leave()
      const quiet = ports.length > 0 ? core.quiet(haveHeard, drainMs) : Promise.resolve()
      void quiet.then(() => {
        core.letGo()
        pass(name)
      })
    })
  }
  /** Aborted when a signal to end came. */
  get signal(): AbortSignal {
    return this.#leave.signal
  }
  /** Resolves when such a signal comes. */
  isTold(): Promise<void> {
    const { signal } = this
    return new Promise(done => (signal.aborted ? done() : signal.addEventListener('abort', () => done(), { once: true })))
  }
  /** Of so many milliseconds since it began; all of them when it did not. */
  leftMs(ms: number): number {
    return this.#leftAt === undefined ? ms : Math.max(0, this.#leftAt + ms - performance.now())
  }
  leaves(link: Link): void {
    this.#link = link
  }
  forget(): void {
    this.#forget()
  }
}

/** Whether the workload gets a namespace of its own. Throws when it was asked for and cannot be had. */
async function chooseCapture({ capture, host }: RunOptions, { say }: RunWorld): Promise<boolean> {
  if (host !== undefined) return true // by the packet filter, which refuses by itself
  if (capture === 'proxy') return false
  const verdict = await canCapture()
  if (verdict.ok && isInside()) return true
  const { why, remedy } = verdict.ok
    ? { why: 'this process did not get the capabilities for it', remedy: 'start the plain node binary, not a wrapper' }
    : verdict
  if (capture === 'namespace') throw new Error(`the workload cannot be captured: ${why}. ${remedy}`)
  say(`weft: the workload cannot be captured (${why}), so it gets HTTP_PROXY and a loopback address per service instead. ${remedy}`)
  return false
}

/** Everything of ours stays with us; the rest is the command's. */
const childEnvironment = (env: RunWorld['env']): Record<string, string> =>
  Object.fromEntries(
    Object.entries(env).flatMap(([name, value]) =>
      value === undefined || name === 'NODE_COMPILE_CACHE' || name.startsWith('WEFT_') ? [] : [[name, value]],
    ),
  )

/** As a shell shows it: for a signal, 128 and its number. */
const exitCodeOf = ({ code, signal }: Awaited<Workload['exited']>): number => code ?? 128 + (signalNumbers[signal ?? 'SIGTERM'] ?? 0)

const signalNumbers: Partial<Record<NodeJS.Signals, number>> = {
  SIGHUP: 1,
  SIGINT: 2,
  SIGQUIT: 3,
  SIGILL: 4,
  SIGABRT: 6,
  SIGKILL: 9,
  SIGUSR1: 10,
  SIGSEGV: 11,
  SIGUSR2: 12,
  SIGPIPE: 13,
  SIGALRM: 14,
  SIGTERM: 15,
}
