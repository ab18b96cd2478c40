/** Every way around the proxies that can be seen, from the control plane and on this machine, each with what to do about it. */

import type { Client } from '#api/client'
import type { MtlsPortReport, ProxyStatus } from '#api/mesh-api'
import type { Exclusions } from '#base/exclusions'
import type { ListeningAt } from '#io/checks'
import type { MachineCheck } from '../edge.ts'

/** What is asked; `listening` of the machine on which the command runs. */
export type Asked = {
  readonly client: Pick<Client, 'mtls' | 'list' | 'proxies' | 'kinds'>
  readonly listening: readonly ListeningAt[]
  /** The admin pages of a proxy on this machine; undefined: it is not here. */
  readonly statusOf: (proxy: Pick<ProxyStatus, 'admin' | 'identity'>) => Promise<ProxyTold | undefined>
}
/** Of /status. */
export type ProxyTold = {
  readonly interception?: { readonly capture: string; readonly exclude?: Exclusions; readonly published?: readonly string[] }
}

type Workload = {
  readonly metadata: { readonly name: string; readonly namespace?: string }
  readonly spec?: {
    readonly address?: string
    readonly gateway?: unknown
    readonly ports?: readonly {
      readonly port: number
      readonly protocol?: string
      readonly bind?: { readonly host: string; readonly port: number }
    }[]
  }
}
type Policy = {
  readonly kind: string
  readonly metadata: { readonly name: string; readonly namespace?: string }
  readonly status?: {
    readonly enforcement?: { readonly not?: readonly { readonly proxy: string; readonly reason: string; readonly message: string }[] }
    readonly ancestors?: readonly { readonly conditions: readonly Condition[] }[]
    readonly conditions?: readonly Condition[]
  }
}
type Condition = { readonly type: string; readonly status: string; readonly message: string }
type Gateway = {
  readonly metadata: { readonly name: string; readonly namespace?: string }
  readonly spec?: { readonly listeners?: readonly { readonly name: string; readonly port: number; readonly protocol: string }[] }
}

/** One for each kind of way; one that says yes where none was found. */
export async function findBypasses(asked: Asked): Promise<readonly MachineCheck[]> {
  const { client } = asked
  const [{ ports }, proxies, workloads, policies, gateways] = await Promise.all([
    client.mtls({}),
    client.proxies(),
    listed<Workload>(client, 'Workload'),
    Promise.all(guards.map(kind => listed<Policy>(client, kind))).then(each => each.flat()),
    listed<Gateway>(client, 'Gateway'),
  ])
  const found = [
    ...plaintextPorts(ports),
    ...unwatched(ports),
    ...bare(workloads),
    ...unenforced(policies),
    ...openListeners(gateways),
    ...(await here(asked, proxies, workloads)),
  ]
  return found.length > 0
    ? found
    : [
        {
          name: 'bypasses',
          ok: 'yes',
          says: 'none is seen: every port of a workload is strict and behind a proxy that keeps the policies for it',
        },
      ]
}

const guards = ['AuthenticationPolicy', 'AccessPolicy', 'JWTPolicy'] as const
const idOf = ({ metadata: { name, namespace = 'default' } }: Pick<Workload, 'metadata'>): string => `${name}.${namespace}`
/** So many are named. */
const mostNamed = 8
const named = (all: readonly string[]): string =>
  all.length <= mostNamed ? all.join(', ') : `${all.slice(0, mostNamed).join(', ')} and ${all.length - mostNamed} more`

async function listed<T>(client: Asked['client'], kind: string): Promise<readonly T[]> {
  const path = (await client.kinds()).find(each => each.kind === kind)
  return path === undefined ? [] : ((await client.list(path, { all: true })).items as unknown as readonly T[])
}

function* plaintextPorts(ports: readonly MtlsPortReport[]): Generator<MachineCheck> {
  for (const mode of ['permissive', 'disabled'] as const) {
    const open = ports.filter(each => each.mode === mode).map(({ workload, namespace, port }) => `${workload}.${namespace}:${port}`)
    if (open.length > 0)
      yield {
        name: `${mode} ports`,
        ok: 'warn',
        says: `${named(open)}: callers in plaintext are taken, who prove nothing`,
        remedy: 'weft mtls report says who comes so, and by which document it ends',
      }
  }
}

/** An Envoy beside a workload does not tell who calls. */
function* unwatched(ports: readonly MtlsPortReport[]): Generator<MachineCheck> {
  const silent = ports
    .filter(each => each.watchedSince === undefined)
    .map(({ workload, namespace, port }) => `${workload}.${namespace}:${port}`)
  if (silent.length > 0)
    yield {
      name: 'unwatched ports',
      ok: 'warn',
      says: `${named(silent)}: the proxy (an Envoy?) does not tell who calls, so plaintext there is not seen`,
      remedy: 'make them Strict by an AuthenticationPolicy, which an Envoy keeps too',
    }
}

function* bare(workloads: readonly Workload[]): Generator<MachineCheck> {
  const open = workloads.flatMap(each =>
    (each.spec?.ports ?? [])
      .filter(({ bind }) => bind === undefined && each.spec?.address !== undefined && each.spec.gateway === undefined)
      .map(({ port }) => `${idOf(each)} at ${each.spec!.address}:${port}`),
  )
  if (open.length > 0)
    yield {
      name: 'ports without a proxy',
      ok: 'warn',
      says: `${named(open)}: reached in plaintext, and no policy is kept there`,
      remedy: 'start it by weft run, weft capture or weft envoy, and delete the Workload that was written by hand',
    }
}

function* unenforced(policies: readonly Policy[]): Generator<MachineCheck> {
  for (const { kind, metadata, status = {} } of policies) {
    const name = `${kind} ${metadata.namespace ?? 'default'}/${metadata.name}`
    const conditions = [...(status.conditions ?? []), ...(status.ancestors ?? []).flatMap(each => each.conditions)]
    const bad = conditions.filter(
      ({ type, status: is }) => (type === 'Accepted' && is === 'False') || (type === 'PartiallyInvalid' && is === 'True'),
    )
    const not = (status.enforcement?.not ?? []).filter(({ reason }) => reason !== 'Pending')
    if (bad.length > 0)
      yield {
        name,
        ok: 'warn',
        says: `it does not hold as written: ${bad[0]!.message}`,
        remedy: `weft describe ${kind.toLowerCase()} ${metadata.name} -n ${metadata.namespace ?? 'default'}`,
      }
    if (not.length > 0)
      yield {
        name,
        ok: 'warn',
        says: `not kept by ${named(not.map(({ proxy, message }) => `${proxy} (${message})`))}`,
        remedy: 'mend these proxies, or take their workloads out of the mesh',
      }
  }
}

function* openListeners(gateways: readonly Gateway[]): Generator<MachineCheck> {
  const open = gateways.flatMap(each =>
    (each.spec?.listeners ?? [])
      .filter(({ protocol }) => protocol === 'HTTP')
      .map(({ name, port }) => `${name} (port ${port}) of ${each.metadata.namespace ?? 'default'}/${each.metadata.name}`),
  )
  if (open.length > 0)
    yield {
      name: 'plaintext listeners',
      ok: 'warn',
      says: `${named(open)}: callers of these Gateways are not encrypted`,
      remedy: 'give them certificates (protocol HTTPS), and redirect what comes by HTTP: docs/guide/gateway.md',
    }
}

/** On this machine: what is open beside a proxy, what it leaves out, and which doors somebody opened. */
async function here(
  { listening, statusOf }: Asked,
  proxies: readonly ProxyStatus[],
  workloads: readonly Workload[],
): Promise<readonly MachineCheck[]> {
  const found: MachineCheck[] = []
  const isOpen = (host: string, port: number): boolean =>
    listening.some(each => each.port === port && (each.address === host || each.address === '0.0.0.0'))
  for (const workload of workloads) {
    const id = idOf(workload)
    const proxy = proxies.find(each => each.id === id)
    const told = proxy && (await statusOf(proxy))
    const ports = (workload.spec?.ports ?? []).filter(({ protocol }) => protocol !== 'udp')
    const isHere = told !== undefined || ports.some(({ bind }) => bind !== undefined && isOpen(bind.host, bind.port))
    if (!isHere || workload.spec?.gateway !== undefined) continue
    const { capture = 'proxy', exclude, published = [] } = told?.interception ?? {}
    // In a namespace of its own, or behind rules of the packet filter, nobody gets to its ports but by its proxy.
    const beside =
      capture !== 'proxy'
        ? []
        : ports.flatMap(({ port, bind }) => listening.filter(each => each.port === port && !each.isLoopback && bind?.port !== port))
    if (beside.length > 0)
      found.push({
        name: `open beside ${id}`,
        ok: 'warn',
        says: `${named(beside.map(({ address, port }) => `${address}:${port}`))}: callers get past its proxy`,
        remedy: 'let the program listen on 127.0.0.1 only, or start it by weft run --capture namespace',
      })
    if (published.length > 0)
      found.push({
        name: `published by ${id}`,
        ok: 'warn',
        says: `${named(published)}: callers without an identity are let in there, in any mode`,
        remedy: 'start it without --publish where a Gateway does as well; rules of an AccessPolicy hold there too',
      })
    const left =
      exclude === undefined
        ? []
        : Object.entries(exclude).flatMap(([what, list]) => (list.length > 0 ? [`${words[what] ?? what} ${list.join(', ')}`] : []))
    if (left.length > 0)
      found.push({
        name: `left out by ${id}`,
        ok: 'warn',
        says: `${left.join('; ')}: not captured, so without identity, encryption and policy`,
        remedy: 'start it without --exclude-… as far as it can do without',
      })
  }
  return found
}

const words: Readonly<Record<string, string>> = {
  outboundPorts: 'calls to ports',
  outboundCidrs: 'calls to networks',
  outboundUids: 'calls of users',
  inboundPorts: 'callers of ports',
  inboundCidrs: 'callers from networks',
}
