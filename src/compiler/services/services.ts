/** Second stage: each TCP and UDP port of each Service, with its virtual address, its protocol and the workloads behind it. */

import type { Backend, Endpoint } from '#model/backend'
import type { Protocol } from '#model/listener'
import { portName } from '#model/port'
import type { Inventory, Workload, WorkloadPort } from '#model/workload'
import type { Service, ServiceSpec } from '#resources/core'
import type { ServiceSubset } from '#resources/weft'
import type { Note } from '../gather.ts'
import { nameOf, namespaceOf } from '../gather.ts'
import { protocolOf } from './protocol.ts'
import type { Sliced, SlicedPort, Slices } from './slices.ts'

type PortSpec = NonNullable<ServiceSpec['ports']>[number]

/** key: `NAMESPACE/SERVICE:PORT`, with `/udp` behind it for UDP, the name of its route table and backend. host: the virtual IP; absent: it cannot be called by address. */
export type ServicePort = {
  readonly key: string
  readonly namespace: string
  readonly service: string
  readonly port: number
  readonly name?: string
  /** Of a ServiceSubset: its name. */
  readonly subset?: string
  /** It is a port of this workload itself, which belongs to the service. */
  readonly workload?: string
  readonly host?: string
  readonly protocol: Protocol
  readonly selector: Readonly<Record<string, string>>
  readonly target: number | string
  readonly endpoints: readonly Endpoint[]
  readonly identities: readonly string[]
  /** Of EndpointSlices, outside the mesh: of `endpoints` only where plaintext is let through (`withOutside`). */
  readonly outside?: readonly Endpoint[]
  readonly proxyProtocol?: 'v1' | 'v2'
  /** It leads out of the mesh. port: of the backend, where it is not that of the listener. */
  readonly external?: External
}

/** host: exact or `*.suffix`, of one ExternalService. */
export type External = Pick<Backend, 'hosts' | 'tls'> & {
  readonly host: string
  readonly type: Exclude<Backend['type'], 'local'>
  /** It has no backend. */
  readonly isRefused?: true
  readonly port?: number
}

/** by: `NAMESPACE/SERVICE` → its ports, in order of number; known also when it has none. */
export type Services = {
  readonly ports: readonly ServicePort[]
  readonly by: ReadonlyMap<string, readonly ServicePort[]>
  /** The same of each ServiceSubset, with `@SUBSET` behind the key; known also when its Service is not. */
  readonly subsets: ReadonlyMap<string, Subset>
  /** Services without a virtual IP. */
  readonly headless: readonly Headless[]
  /** Keys of ports to which Gateways speak TLS. */
  readonly inTls?: ReadonlySet<string>
  readonly notes: readonly Note[]
}

/** service: `NAMESPACE/SERVICE`. ports: undefined where there is no such Service. workloads: how many have its labels. */
export type Subset = { readonly service: string; readonly ports: readonly ServicePort[] | undefined; readonly workloads: number }

/** workloads: behind it, in order of name. takesAll: those too that are not ready. */
export type Headless = {
  readonly namespace: string
  readonly service: string
  readonly workloads: readonly Workload[]
  readonly takesAll: boolean
  /** Addresses of others, by EndpointSlices. */
  readonly outside: readonly string[]
}

export function findServices(
  services: readonly Service[],
  inventory: Inventory,
  subsets: readonly ServiceSubset[] = [],
  slices: Slices['of'] = new Map(),
): Services {
  const notes: Note[] = []
  const headless: Headless[] = []
  const by = new Map<string, readonly ServicePort[]>()
  const places = new Map<string, string>()
  const workloads = byNamespace(inventory.workloads)
  const subsetsOf = Map.groupBy(subsets, serviceOf)
  const found = new Map<string, Subset>(subsets.map(each => [nameOf(each), { service: serviceOf(each), ports: undefined, workloads: 0 }]))
  for (const service of services) {
    const about = `Service ${nameOf(service)}`
    const spec: Partial<ServiceSpec> = service.spec ?? {}
    if (spec.type === 'ExternalName')
      notes.push({ about, path: 'spec.type', says: 'ExternalName is not carried out yet: the name is not answered' })
    const host = spec.clusterIP === undefined || spec.clusterIP === '' || spec.clusterIP === 'None' ? undefined : spec.clusterIP
    const selected = select(spec.selector ?? {}, workloads.get(namespaceOf(service)) ?? [])
    const written = slices.get(nameOf(service)) ?? []
    const sliced = written.flatMap(each => each.endpoints)
    if (spec.clusterIP === 'None')
      headless.push({
        namespace: namespaceOf(service),
        service: service.metadata.name,
        workloads: inOrder([...selected, ...sliced.flatMap(each => each.workload ?? [])]),
        takesAll: spec.publishNotReadyAddresses === true,
        outside: [
          ...new Set(
            sliced.flatMap(each => (each.workload === undefined && each.endpoint.health === 'healthy' ? [each.endpoint.host] : [])),
          ),
        ].sort(),
      })
    const proxyProtocol = announcedBy(service, about, notes)
    const ports: ServicePort[] = []
    for (const [at, port] of (spec.ports ?? []).entries()) {
      if (port.protocol === 'SCTP') {
        notes.push({ about, path: `spec.ports[${at}].protocol`, says: `${port.protocol} is not carried out yet: the port is left out` })
        continue
      }
      const transport = port.protocol === 'UDP' ? 'udp' : 'tcp'
      const place = `${host}:${portName(port.port, transport)}`
      const before = host === undefined ? undefined : places.get(place)
      const made = {
        ...makePort(service, port, before === undefined ? host : undefined, selected, written),
        ...(transport === 'udp' ? {} : proxyProtocol),
      }
      ports.push(made)
      if (host === undefined) continue
      if (before === undefined) places.set(place, about)
      else notes.push({ about, path: 'spec.clusterIP', says: `${place} is taken by ${before}: calls go there` })
    }
    by.set(
      nameOf(service),
      ports.sort((a, b) => a.port - b.port),
    )
    for (const subset of subsetsOf.get(nameOf(service)) ?? []) found.set(nameOf(subset), subsetOf(subset, service, ports, selected))
  }
  return {
    ports: [...by.entries()].sort(([a], [b]) => (a < b ? -1 : 1)).flatMap(([, ports]) => ports),
    by,
    subsets: found,
    headless,
    notes,
  }
}

const serviceOf = (subset: ServiceSubset): string => `${namespaceOf(subset)}/${subset.spec?.service}`

/** All but its endpoints is as of the whole, so that nothing else depends on whether it has any. */
function subsetOf(subset: ServiceSubset, service: Service, whole: readonly ServicePort[], selected: readonly Workload[]): Subset {
  const part = select(subset.spec?.labels ?? {}, selected)
  const ports = whole.map(port => ({
    ...port,
    key: `${port.key}@${subset.metadata.name}`,
    subset: subset.metadata.name,
    endpoints: endpointsAt(part, port.target, port.protocol === 'udp'),
  }))
  return { service: nameOf(service), ports, workloads: part.length }
}

const annotation = 'weft.dev/proxy-protocol'

/** Whether the workloads want a PROXY header, of which version. */
function announcedBy(service: Service, about: string, notes: Note[]): Pick<ServicePort, 'proxyProtocol'> {
  const said = service.metadata.annotations?.[annotation]
  if (said === undefined) return {}
  if (said === 'v1' || said === 'v2') return { proxyProtocol: said }
  notes.push({
    about,
    path: `metadata.annotations["${annotation}"]`,
    says: `is "${said}" and counts for nothing: write v1 or v2, or take it away`,
  })
  return {}
}

function makePort(
  service: Service,
  port: PortSpec,
  host: string | undefined,
  selected: readonly Workload[],
  written: readonly SlicedPort[],
): ServicePort {
  const namespace = namespaceOf(service)
  const target = port.targetPort ?? port.port
  const isUdp = port.protocol === 'UDP'
  const reached = selected.map(workload => ({ workload, port: portOf(workload, target, isUdp) }))
  const sliced = written.filter(each => each.isUdp === isUdp && each.name === (port.name ?? '')).flatMap(each => each.endpoints)
  const inside = sliced.filter(each => each.workload !== undefined)
  const outside = sliced.filter(each => each.workload === undefined)
  const said = [...reached.flatMap(each => (each.port === undefined ? [] : [each.port.protocol])), ...sliced.map(each => each.protocol)]
  const protocol = isUdp ? 'udp' : protocolOf(port, said)
  return {
    key: `${namespace}/${service.metadata.name}:${portName(port.port, protocol)}`,
    namespace,
    service: service.metadata.name,
    port: port.port,
    ...(port.name === undefined ? {} : { name: port.name }),
    ...(host === undefined ? {} : { host }),
    protocol,
    selector: service.spec?.selector ?? {},
    target,
    endpoints: [...endpointsAt(selected, target, isUdp), ...unlike(inside)],
    identities: [...new Set([...selected, ...inside.map(each => each.workload!)].map(workload => workload.identity))].sort(),
    ...(outside.length === 0 ? {} : { outside: unlike(outside) }),
  }
}

/** Each place once, in order: several slices may name it. */
const unlike = (sliced: readonly Sliced[]): readonly Endpoint[] =>
  [...new Map(sliced.map(({ endpoint }) => [`${endpoint.host}:${endpoint.port}`, endpoint] as const))]
    .sort(([one], [other]) => (one < other ? -1 : 1))
    .map(([, endpoint]) => endpoint)

const inOrder = (workloads: readonly Workload[]): readonly Workload[] =>
  [...new Set(workloads)].sort((one, other) => (one.name < other.name ? -1 : 1))

/** The ports with what is outside the mesh behind them, where plaintext may be spoken there. */
export const withOutside = (ports: readonly ServicePort[], isStrict: (port: ServicePort) => boolean): readonly ServicePort[] =>
  ports.map(port =>
    port.outside === undefined
      ? port
      : isStrict(port)
        ? { ...port, outside: [] }
        : { ...port, endpoints: [...port.endpoints, ...port.outside] },
  )

/** Why what workloads take in cannot be said of a Service: EndpointSlices name those behind it, and these know nothing of it. */
export const whyNobody = (port: ServicePort | undefined): string | undefined =>
  port !== undefined && port.external === undefined && Object.keys(port.selector).length === 0
    ? 'the Service has no selector, so that no workload knows that it is behind it: name workloads by their labels'
    : undefined

export const endpointsAt = (workloads: readonly Workload[], target: number | string, isUdp: boolean): readonly Endpoint[] =>
  workloads.flatMap(workload => endpointOf(workload, portOf(workload, target, isUdp), target))

/** Workloads in order of name, by namespace: endpoint lists come out in this order. */
function byNamespace(workloads: readonly Workload[]): ReadonlyMap<string, readonly Workload[]> {
  const found = new Map<string, Workload[]>()
  for (const workload of workloads.toSorted((a, b) => (a.name < b.name ? -1 : 1))) {
    const list = found.get(workload.namespace)
    if (list) list.push(workload)
    else found.set(workload.namespace, [workload])
  }
  return found
}

/** An empty selector selects nothing (core/v1: endpoints are then managed by hand). */
export function selects(
  selector: Readonly<Record<string, string>>,
  of: { readonly service: string; readonly labels: Readonly<Record<string, string>> },
): boolean {
  const wanted = Object.entries(selector)
  return wanted.length > 0 && has(of, wanted)
}
const has = (of: Parameters<typeof selects>[1], wanted: readonly (readonly [string, string])[]): boolean =>
  wanted.every(([key, value]) => (of.labels[key] ?? (key === 'app' ? of.service : undefined)) === value)

/** Each Service looks at all workloads of its namespace: little may be done for each. */
function select(selector: Readonly<Record<string, string>>, workloads: readonly Workload[]): readonly Workload[] {
  const wanted = Object.entries(selector)
  return wanted.length === 0 ? [] : workloads.filter(workload => has(workload, wanted))
}

/** TCP and UDP have numbers of their own. */
export const portOf = (
  workload: { readonly ports: readonly WorkloadPort[] },
  target: number | string,
  isUdp = false,
): WorkloadPort | undefined =>
  workload.ports.find(
    each => (each.protocol === 'udp') === isUdp && (typeof target === 'number' ? each.port === target : each.name === target),
  )

/** Through its proxy with mutual TLS where that listens, else straight to the process, else not at all. */
function endpointOf(workload: Workload, port: WorkloadPort | undefined, target: number | string): readonly Endpoint[] {
  const direct = port?.port ?? (typeof target === 'number' ? target : undefined)
  const place =
    port?.bind ?? (workload.address !== undefined && direct !== undefined ? { host: workload.address, port: direct } : undefined)
  if (place === undefined) return []
  return [
    {
      host: place.host,
      port: place.port,
      weight: workload.weight ?? 1,
      health: workload.health,
      mtls: port?.bind !== undefined,
      workload: `${workload.name}.${workload.namespace}`,
      ...(workload.locality === undefined ? {} : { locality: workload.locality }),
    },
  ]
}
