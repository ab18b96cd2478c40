/** EndpointSlices: endpoints of Services without a selector, each found among the workloads of the mesh by its address, or else outside it; and what is reported of each. */

import type { Endpoint, Health } from '#model/backend'
import type { Protocol } from '#model/listener'
import { isGivenOut } from '#model/virtual'
import type { Inventory, Workload, WorkloadPort } from '#model/workload'
import type { Service } from '#resources/core'
import { discoveryGroup, type EndpointSlice, serviceNameLabel } from '#resources/discovery'
import { weftGroup } from '#resources/weft'
import type { Gathered } from '../gather.ts'
import { nameOf, namespaceOf } from '../gather.ts'
import { toldProtocol } from './protocol.ts'
import { isGranted } from '../grants.ts'
import type { ResourceStatus } from '../status.ts'
import { state, statusFor } from '../status.ts'

/** One endpoint of one port of a Service. workload: absent: outside the mesh. */
export type Sliced = {
  readonly slice: EndpointSlice
  readonly endpoint: Endpoint
  readonly workload?: Workload
  readonly protocol: Protocol
}
/** name: of the port of the Service, '' where it has none. */
export type SlicedPort = { readonly name: string; readonly isUdp: boolean; readonly endpoints: readonly Sliced[] }
/** of: by `NAMESPACE/NAME` of the Service. problems: by slice, what of it is left out. */
export type Slices = {
  readonly of: ReadonlyMap<string, readonly SlicedPort[]>
  readonly verdicts: ReadonlyMap<EndpointSlice, Verdict>
}
type Problem = { readonly reason: string; readonly says: string }
type Verdict = { readonly refused?: Problem; readonly problems: readonly Problem[] }

type Known = {
  readonly byMesh: ReadonlyMap<string, Workload>
  readonly byHost: ReadonlyMap<string, readonly Workload[]>
  /** `ADDRESS:PORT` → the Gateway. */
  readonly gateways: ReadonlyMap<string, string>
}

export function readSlices(
  { endpointSlices, services, grants, gateways }: Pick<Gathered, 'endpointSlices' | 'services' | 'grants' | 'gateways'>,
  inventory: Inventory,
): Slices {
  const of = new Map<string, SlicedPort[]>()
  const verdicts = new Map<EndpointSlice, Verdict>()
  if (endpointSlices.length === 0) return { of, verdicts }
  const known = knownOf(inventory, gateways)
  const byName = new Map(services.map(each => [nameOf(each), each]))
  for (const slice of endpointSlices) {
    const refused = refusalOf(slice, byName)
    if (refused !== undefined) {
      verdicts.set(slice, { refused, problems: [] })
      continue
    }
    const problems: Problem[] = []
    const service = byName.get(serviceOf(slice)!)!
    const takesAll = service.spec?.publishNotReadyAddresses === true
    const ports = (slice.ports ?? []).flatMap((port, at): SlicedPort[] => {
      const { name = '', protocol = 'TCP', port: number } = port
      const path = `ports[${at}]`
      if (protocol === 'SCTP' || number === undefined) {
        const says =
          number === undefined
            ? `${path}.port: is needed: a port without a number is left out`
            : `${path}.protocol: SCTP is not carried out`
        problems.push({ reason: 'UnsupportedValue', says })
        return []
      }
      const isUdp = protocol === 'UDP'
      if (!(service.spec?.ports ?? []).some(each => (each.name ?? '') === name && (each.protocol === 'UDP') === isUdp)) {
        problems.push({ reason: 'PortNotFound', says: `${path}.name: Service ${nameOf(service)} has no port "${name}" of ${protocol}` })
        return []
      }
      const endpoints = (slice.endpoints ?? []).flatMap((each, nth): Sliced[] => {
        const found = find(slice, each.addresses[0]!, number, isUdp, known, grants)
        if ('reason' in found) {
          problems.push({ reason: found.reason, says: `endpoints[${nth}].addresses[0]: ${found.says}` })
          return []
        }
        return [slicedOf(slice, each, found, takesAll, toldProtocol(port)?.protocol)]
      })
      return [{ name, isUdp, endpoints }]
    })
    of.set(nameOf(service), [...(of.get(nameOf(service)) ?? []), ...ports])
    verdicts.set(slice, { problems })
  }
  return { of, verdicts }
}

/** isStrict: whether the port of that name of Service `NAMESPACE/NAME` demands mutual TLS, so that what is outside the mesh is left out. */
export function reportSlices({ of, verdicts }: Slices, isStrict: (service: string, port: string) => boolean): readonly ResourceStatus[] {
  return [...verdicts].map(([slice, { refused, problems }]) => {
    if (refused !== undefined) return statusFor(slice, { conditions: [state(slice, 'Accepted', false, refused.reason, refused.says)] })
    const service = serviceOf(slice)!
    const plain = (of.get(service) ?? []).flatMap(port =>
      isStrict(service, port.name)
        ? port.endpoints
            .filter(each => each.slice === slice && each.workload === undefined)
            .map(({ endpoint }) => ({
              reason: 'PlaintextRefused',
              says: `${endpoint.host}:${endpoint.port} belongs to no workload of the mesh, and mutual TLS is demanded of Service ${service}: an AuthenticationPolicy with mode Permissive for it lets it be reached in plaintext`,
            }))
        : [],
    )
    const all = [...problems, ...plain]
    const resolved =
      all.length === 0
        ? state(slice, 'ResolvedRefs', true, 'ResolvedRefs', 'All endpoints are used')
        : state(slice, 'ResolvedRefs', false, all[0]!.reason, `${says(all)}; left out`)
    return statusFor(slice, {
      conditions: [state(slice, 'Accepted', true, 'Accepted', `They are endpoints of Service ${service}`), resolved],
    })
  })
}

const says = (problems: readonly Problem[]): string =>
  [...new Set(problems.map(each => each.says))].slice(0, 8).join('; ') + (problems.length > 8 ? '; …' : '')

const serviceOf = (slice: EndpointSlice): string | undefined => {
  const name = slice.metadata.labels?.[serviceNameLabel]
  return name === undefined || name === '' ? undefined : `${namespaceOf(slice)}/${name}`
}

function refusalOf(slice: EndpointSlice, services: ReadonlyMap<string, Service>): Problem | undefined {
  const name = serviceOf(slice)
  if (name === undefined)
    return { reason: 'NoServiceName', says: `metadata.labels["${serviceNameLabel}"]: is needed: it names the Service` }
  const service = services.get(name)
  if (service === undefined)
    return { reason: 'TargetNotFound', says: `metadata.labels["${serviceNameLabel}"]: Service ${name} does not exist` }
  if (Object.keys(service.spec?.selector ?? {}).length > 0)
    return {
      reason: 'ServiceHasSelector',
      says: `Service ${name} has a selector: its endpoints are the workloads that it selects. Take the selector away to name endpoints by hand`,
    }
  if (slice.addressType === 'FQDN')
    return { reason: 'UnsupportedValue', says: 'addressType: FQDN is not carried out: make an ExternalService for the name' }
  return undefined
}

function knownOf({ workloads }: Inventory, gateways: Gathered['gateways']): Known {
  const hosts = workloads.map(workload => ({
    workload,
    hosts: new Set(workload.ports.flatMap(port => port.bind?.host ?? []).concat(workload.address ?? [])),
  }))
  const byHost = new Map<string, Workload[]>()
  for (const { workload, hosts: own } of hosts) for (const host of own) byHost.set(host, [...(byHost.get(host) ?? []), workload])
  const listening = new Map(gateways.map(each => [nameOf(each), (each.spec?.listeners ?? []).map(({ port }) => port)]))
  return {
    byMesh: new Map(workloads.flatMap(each => (each.meshAddress === undefined ? [] : [[each.meshAddress, each] as const]))),
    byHost,
    gateways: new Map(
      workloads.flatMap(({ gateway, namespace }) => {
        const name = `${namespace}/${gateway?.name}`
        return gateway === undefined ? [] : (listening.get(name) ?? []).map(port => [`${gateway.address}:${port}`, name] as const)
      }),
    ),
  }
}

type Found = {
  readonly host: string
  readonly port: number
  readonly workload?: { readonly workload: Workload; readonly port: WorkloadPort }
}

/** Who an address is, at a port. */
function find(
  slice: EndpointSlice,
  address: string,
  port: number,
  isUdp: boolean,
  { byMesh, byHost, gateways }: Known,
  grants: Gathered['grants'],
): Found | Problem {
  const own = byMesh.get(address)
  if (own === undefined && isGivenOut(address))
    return { reason: 'AddressNotFound', says: `${address} is an address of the mesh that no workload has now` }
  const candidates = own === undefined ? (byHost.get(address) ?? []) : [own]
  const ports = candidates.flatMap(workload =>
    workload.ports.filter(each => (each.protocol === 'udp') === isUdp).map(each => ({ workload, port: each })),
  )
  // Where its proxy takes callers in, or else by the number that the program itself has.
  const bound = ports.filter(each => each.port.bind?.host === address && each.port.bind.port === port)
  const fitting = bound.length > 0 ? bound : ports.filter(each => each.port.port === port)
  if (fitting.length > 1) {
    const names = fitting.map(({ workload }) => nameOfWorkload(workload)).sort()
    return {
      reason: 'AmbiguousAddress',
      says: `${address}:${port} may be any of the workloads ${names.join(', ')}: write the address in the mesh of the one that is meant (status.meshAddress)`,
    }
  }
  const [one] = fitting
  if (one !== undefined) {
    const { workload } = one
    const from = { group: discoveryGroup, kind: 'EndpointSlice', namespace: namespaceOf(slice) }
    if (
      workload.namespace !== from.namespace &&
      !isGranted(from, workload.namespace, { group: weftGroup, kind: 'Workload', name: workload.name }, grants)
    )
      return {
        reason: 'RefNotPermitted',
        says: `${address}:${port} is a workload of namespace ${workload.namespace}, which has no ReferenceGrant from EndpointSlice in ${from.namespace} to Workload`,
      }
    return { host: address, port, workload: one }
  }
  if (own !== undefined)
    return { reason: 'PortNotFound', says: `workload ${nameOfWorkload(own)} has no port ${port} of ${isUdp ? 'UDP' : 'TCP'}` }
  const gateway = gateways.get(`${address}:${port}`)
  if (gateway !== undefined)
    return {
      reason: 'AddressNotUsable',
      says: `${address}:${port} is where Gateway ${gateway} takes callers in: refer to a Service behind it`,
    }
  return { host: address, port }
}

const nameOfWorkload = ({ namespace, name }: Workload): string => `${namespace}/${name}`

type Written = NonNullable<EndpointSlice['endpoints']>[number]

function slicedOf(
  slice: EndpointSlice,
  written: Written,
  { host, port, workload: found }: Found,
  takesAll: boolean,
  told: Protocol | undefined,
): Sliced {
  const said = takesAll ? 'healthy' : healthOf(written.conditions ?? {})
  if (found === undefined) {
    const { zone, nodeName } = written
    const locality = zone === undefined ? {} : { locality: { region: '', zone, ...(nodeName === undefined ? {} : { host: nodeName }) } }
    const endpoint = { host, port, weight: 1, health: said, mtls: false, workload: host, ...locality }
    return { slice, endpoint, protocol: told ?? 'detect' }
  }
  const { workload } = found
  const { bind } = found.port
  return {
    slice,
    workload,
    protocol: told ?? found.port.protocol,
    endpoint: {
      host: bind?.host ?? host,
      port: bind?.port ?? port,
      weight: workload.weight ?? 1,
      health: worse(said, workload.health),
      mtls: bind !== undefined,
      workload: `${workload.name}.${workload.namespace}`,
      ...(workload.locality === undefined ? {} : { locality: workload.locality }),
    },
  }
}

/** What still serves while it goes away is used when nothing better is there (KEP-1672). */
function healthOf({ ready, serving, terminating = false }: NonNullable<Written['conditions']>): Health {
  if (ready ?? true) return 'healthy'
  return terminating && (serving ?? false) ? 'degraded' : 'unhealthy'
}

const order: readonly Health[] = ['healthy', 'degraded', 'draining', 'unhealthy']
const worse = (one: Health, other: Health): Health => (order.indexOf(one) > order.indexOf(other) ? one : other)
