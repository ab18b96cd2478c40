/** AuthenticationPolicies: what each port of each workload takes, mutual TLS or plaintext, and what callers speak to it; both from the same answer. */

import type { EndpointSet } from '#model/backend'
import type { Mesh, MtlsMode, MtlsModes, MtlsPlace, MtlsPort, Spoken } from '#model/mesh'
import type { Workload, WorkloadPort } from '#model/workload'
import type { AuthenticationPolicy, AuthenticationPolicySpec } from '#resources/weft'
import type { Nameless } from './policies.ts'
import { portOf, type ServicePort, type Services, selects, whyNobody } from '../services/services.ts'
import type { Judging, Placed, Targets } from '../policies/targets.ts'

/** Whose port it is: a workload, or what its proxy says of it. */
type Place = Pick<Workload, 'namespace' | 'service' | 'labels' | 'ports'>

export const judgingModes = (services: Services): Judging<AuthenticationPolicy> => ({
  unable: ({ spec }, _field, { port }) => {
    if (port === undefined) return undefined
    // Without a selector it is about endpoints outside the mesh, by EndpointSlices.
    if (port.protocol === 'udp' && whyNobody(port) === undefined)
      return 'datagrams come by other proxies only: mutual TLS is always demanded there'
    if (port.external !== undefined) return 'it is outside the mesh'
    const why = whyNeeded(services, port)
    return spec?.mtls.mode === 'Disabled' && why !== undefined ? `${why}: it stays strict` : undefined
  },
})

/** Why plaintext would lose more there than who called. */
const whyNeeded = (services: Services, port: ServicePort): string | undefined =>
  port.proxyProtocol !== undefined
    ? 'its workloads want a PROXY header, which only their own proxy writes behind mutual TLS'
    : services.inTls?.has(port.key) === true
      ? 'a BackendTLSPolicy has TLS inside the mutual TLS of the mesh'
      : undefined

/** of: what the Mesh says. moving: by `WORKLOAD.NAMESPACE:PORT`, ports on their way. */
export function findModes(
  of: 'strict' | 'permissive',
  targets: Targets<AuthenticationPolicy>,
  services: Services,
  workloads: readonly Workload[],
  moving: Readonly<Record<string, Spoken>>,
): Mesh['mtls'] {
  if (targets.isEmpty && Object.keys(moving).length === 0) return of
  const ports = services.ports.filter(each => each.protocol !== 'udp')
  const byNamespace = Map.groupBy(ports, each => each.namespace)
  const places: Record<string, readonly MtlsPlace[]> = {}
  const needed: Record<string, readonly MtlsPort[]> = {}
  const names = new Set([...byNamespace.keys(), ...workloads.map(each => each.namespace)])
  for (const namespace of [...names].sort()) {
    const own = byNamespace.get(namespace) ?? []
    const wide = targets.ofPlace(namespace).filter(({ level }) => level !== 'Mesh')
    const all = [
      ...own.flatMap(port => atPort(targets, port, 'port')).sort(stricter),
      ...own.flatMap(port => atPort(targets, port, 'Service')).sort(stricter),
      ...wide.map(each => ({ ...(each.labels === undefined ? {} : { selector: each.labels }), mode: modeOf(each) })),
    ]
    if (all.length > 0) places[namespace] = all
    const must = own.filter(port => whyNeeded(services, port) !== undefined)
    if (must.length > 0) needed[namespace] = must.map(({ selector, target }) => ({ selector, target }))
  }
  const widest = targets.ofPlace('').find(({ level }) => level === 'Mesh')
  return { everywhere: widest === undefined ? of : modeOf(widest), places, needed, moving }
}

function atPort(targets: Targets<AuthenticationPolicy>, port: ServicePort, level: 'port' | 'Service'): readonly MtlsPlace[] {
  const said = targets.ofPort(port).find(each => each.level === level)
  return said === undefined ? [] : [{ selector: port.selector, target: port.target, mode: modeOf(said) }]
}

/** Of two Services in front of one port the one that lets less in counts. */
const rank: Readonly<Record<MtlsMode, number>> = { strict: 0, permissive: 1, disabled: 2 }
const stricter = (one: MtlsPlace, other: MtlsPlace): number => rank[one.mode] - rank[other.mode]

const modeOf = ({ says }: Pick<Placed<AuthenticationPolicy>, 'says'>): MtlsMode => lowered((says as AuthenticationPolicySpec).mtls.mode)
const modes = { Strict: 'strict', Permissive: 'permissive', Disabled: 'disabled' } as const
export const lowered = (mode: keyof typeof modes): MtlsMode => modes[mode]

/** What a Service asks of endpoints that are no workloads of the mesh. of: what the Mesh says. */
export const spokenTo = (targets: Targets<AuthenticationPolicy>, port: ServicePort, of: MtlsMode): MtlsMode => {
  const [said] = targets.ofPort(port).filter(({ level }) => level !== 'Workload')
  return said === undefined ? of : modeOf(said)
}

/** What is asked for at a port of TCP. */
export function modeAt({ mtls }: Pick<Mesh, 'mtls'>, at: Place, port: WorkloadPort): MtlsMode {
  if (typeof mtls === 'string') return mtls
  const isHere = ({ selector, target }: Partial<MtlsPort>): boolean =>
    (selector === undefined || selects(selector, at)) && (target === undefined || portOf(at, target)?.port === port.port)
  const mode = mtls.places[at.namespace]?.find(isHere)?.mode ?? mtls.everywhere
  return mode === 'disabled' && mtls.needed[at.namespace]?.some(isHere) === true ? 'strict' : mode
}

/** What the port takes now: on its way both, so that no caller is early or late. */
export const takenAt = (mesh: Pick<Mesh, 'mtls'>, at: Place & { readonly workload: string }, port: WorkloadPort): MtlsMode =>
  typeof mesh.mtls !== 'string' && mesh.mtls.moving[`${at.workload}.${at.namespace}:${port.port}`] !== undefined
    ? 'permissive'
    : modeAt(mesh, at, port)

/** Ports behind a proxy at which nobody is to prove who it is, in order of the workloads. */
export const namelessPorts = (mtls: Mesh['mtls'], workloads: readonly Workload[]): readonly Nameless[] =>
  typeof mtls === 'string'
    ? []
    : workloads.flatMap(workload =>
        workload.ports
          .filter(port => port.bind !== undefined && port.protocol !== 'udp' && modeAt({ mtls }, workload, port) === 'disabled')
          .map(port => ({ workload, port })),
      )

export const keyOfPort = ({ workload, port }: Nameless): string => `${workload.name}.${workload.namespace}:${port.port}`

/** What callers speak to each endpoint, by what its port takes. */
export function withSpoken(
  sets: Readonly<Record<string, EndpointSet>>,
  mtls: MtlsModes | MtlsMode,
  nameless: readonly Nameless[],
  workloads: readonly Workload[],
): Readonly<Record<string, EndpointSet>> {
  if (typeof mtls === 'string') return sets
  const { moving } = mtls
  const plain = new Set(nameless.filter(each => moving[keyOfPort(each)] !== 'tls').map(placeOf))
  for (const workload of Object.keys(moving).length === 0 ? [] : workloads)
    for (const port of workload.ports) if (moving[keyOfPort({ workload, port })] === 'plaintext') plain.add(placeOf({ workload, port }))
  if (plain.size === 0) return sets
  return Object.fromEntries(
    Object.entries(sets).map(([name, set]) => {
      if (ofDatagrams.test(name)) return [name, set]
      const endpoints = set.endpoints.map(each =>
        each.mtls && plain.has(`${each.workload} ${each.host}:${each.port}`) ? { ...each, mtls: false } : each,
      )
      return [name, endpoints.every((each, at) => each === set.endpoints[at]) ? set : { ...set, endpoints }]
    }),
  )
}

/** A port of UDP may have the number of one of TCP. */
const ofDatagrams = /\/udp(@|$)/

const placeOf = ({ workload, port }: Nameless): string => `${workload.name}.${workload.namespace} ${port.bind?.host}:${port.bind?.port}`
