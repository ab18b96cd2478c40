/** FaultPolicies: which of them each route has, for which clients, and what is left of them when their time is over. */

import type { ClientMatch, Injection, Mesh } from '#model/mesh'
import type { Abort, Fault, RouteTable } from '#model/view'
import { durationMs } from '#resources/duration'
import type { FaultPolicy } from '#resources/weft'
import { nameOf, namespaceOf } from './gather.ts'
import { isHttp, isOpaque } from './protocol.ts'
import type { ServicePort } from './services.ts'
import type { Objection, Targets } from './targets.ts'

/** In millionths, of `percent` or `fraction`. */
export function millionths(part: {
  readonly percent?: number | undefined
  readonly fraction?: { readonly numerator: number; readonly denominator: number } | undefined
}): number {
  if (part.fraction !== undefined) return Math.round((1_000_000 * part.fraction.numerator) / part.fraction.denominator)
  return 10_000 * (part.percent ?? 100)
}

/** now: ms since the epoch. */
export function whyNoFault(policy: FaultPolicy, now: number): Objection | undefined {
  const expires = policy.spec?.expires
  if (expires === undefined || Date.parse(expires) > now) return undefined
  return { reason: 'Expired', says: `spec.expires: it ended by itself at ${expires}; delete it, or give a later time` }
}

/** Policies that name other clients hold beside each other. */
export const clientsOf = ({ spec }: FaultPolicy): string => (spec?.from === undefined ? '' : JSON.stringify(spec.from))

/** tables: of all clients, by service port: those of a namespace's own routes too, and of Gateways. Only routes that have any are named. */
export function lowerFaults(
  tables: readonly RouteTable[],
  ports: ReadonlyMap<string, ServicePort>,
  targets: Targets<FaultPolicy>,
): Pick<Mesh, 'faults' | 'connectionFaults'> {
  if (targets.isEmpty) return { faults: {}, connectionFaults: {} }
  const found: Record<string, Record<string, readonly Injection[]>> = {}
  const made = new Map<FaultPolicy, Injection>()
  const once = (policy: FaultPolicy): Injection => {
    const known = made.get(policy) ?? lower(policy)
    made.set(policy, known)
    return known
  }
  for (const table of tables) {
    const port = ports.get(table.name)
    for (const route of table.hosts.flatMap(host => host.routes)) {
      const injections = targets.of(port, route.name).map(once)
      if (injections.length > 0) (found[table.name] ??= {})[route.name] = injections
    }
  }
  const connectionFaults: Record<string, readonly Injection[]> = {}
  for (const port of ports.values()) {
    const injections = servesConnections(port) ? targets.ofPort(port).filter(isOfConnections).map(once) : []
    if (injections.length > 0) connectionFaults[`outbound/${port.key}`] = injections
  }
  return { faults: found, connectionFaults }
}

const servesConnections = ({ protocol }: ServicePort): boolean => isOpaque(protocol) && protocol !== 'udp'
const isOfConnections = ({ spec }: FaultPolicy): boolean => spec?.abort === undefined || spec.abort.reset === true

/** Opaque bytes have no statuses: their connections can be held up or reset. */
export const faultServes = {
  port: (policy: FaultPolicy, port: ServicePort): boolean => isHttp(port.protocol) || (servesConnections(port) && isOfConnections(policy)),
  says: 'opaque connections can be held up or reset, statuses are for requests of HTTP, and datagrams are left alone',
}

function lower(policy: FaultPolicy): Injection {
  const { from, delay, abort, expires } = policy.spec!
  const fault: Fault = {
    policy: nameOf(policy),
    ...(expires === undefined ? {} : { endsAt: Date.parse(expires) }),
    ...(delay === undefined
      ? {}
      : {
          delay: {
            ms: durationMs(delay.fixed),
            ...(delay.jitter === undefined ? {} : { jitterMs: durationMs(delay.jitter) }),
            share: millionths(delay),
          },
        }),
    ...(abort === undefined ? {} : { abort: { ...kindOf(abort), share: millionths(abort) } }),
  }
  const clients = from?.map(
    (one): ClientMatch => ({
      namespace: one.namespace ?? namespaceOf(policy),
      ...(one.service === undefined ? {} : { service: one.service }),
      labels: one.labels ?? {},
    }),
  )
  return { fault, ...(clients === undefined ? {} : { from: clients }) }
}

function kindOf(abort: NonNullable<NonNullable<FaultPolicy['spec']>['abort']>): Abort {
  if (abort.httpStatus !== undefined) return { type: 'http', status: abort.httpStatus }
  return abort.grpcStatus === undefined ? { type: 'reset' } : { type: 'grpc', status: abort.grpcStatus }
}

/** The next time at which a policy ends; undefined where none will. */
export function nextExpiry(policies: readonly FaultPolicy[], now: number): number | undefined {
  const times = policies.flatMap(({ spec }) => (spec?.expires === undefined ? [] : [Date.parse(spec.expires)])).filter(time => time > now)
  return times.length === 0 ? undefined : Math.min(...times)
}
