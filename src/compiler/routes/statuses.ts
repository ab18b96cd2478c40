/** What routes are told of themselves: what each parent makes of them, whether another route took their place, and what of their rules was refused. */

import type { HTTPRoute } from '#resources/gateway-api'
import type { Resource } from '#resources/kind'
import { type Outcome, reportRoute } from '../report.ts'
import type { ResourceStatus } from '../status.ts'
import type { Attached, Attachment } from './attach.ts'
import type { Audiences } from './audiences.ts'
import type { Verdict } from './parents.ts'
import type { AnyRoute, RequestRoute, Routes, StreamRoute } from './routes.ts'
import { findShadows, type Shadow } from './shadows.ts'

/** atGateways: what Gateways make of each. */
export function reportRoutes(
  { http, grpc, tls, tcp, udp, streams, lowered, delegation }: Routes,
  audiences: Audiences,
  atGateways: ReadonlyMap<Resource, readonly Verdict[]>,
): readonly ResourceStatus[] {
  const placesOf = Map.groupBy<AnyRoute, Attachment<AnyRoute>>(
    [http, tls, tcp, udp, grpc].flatMap(({ attachments }) => attachments as readonly Attachment<AnyRoute>[]),
    each => each.route,
  )
  const shadows = findShadows(audiences, lowered.http)
  const reported = <R extends AnyRoute>(route: R, { verdicts }: Attached<R>, outcome: Omit<Outcome, 'ruleCount'>) => {
    const lost = (placesOf.get(route) ?? []).filter(each => !audiences.isHeld(route, each.port.key, each))
    const own = conflicted(verdicts.get(route)!, lost)
    const told = shadows.get(route as RequestRoute)
    const said = [
      ...(told === undefined ? own : shadowed(own, placesOf.get(route) ?? [], told)),
      ...(atGateways.get(route) ?? []),
      ...(delegation.verdicts.get(route as HTTPRoute) ?? []),
    ]
    return reportRoute(route, said, { ...outcome, ruleCount: route.spec?.rules?.length ?? 0 })
  }
  return [
    ...[...http.verdicts.keys()].map(route => reported(route, http, lowered.http.get(route)!)),
    ...[...grpc.verdicts.keys()].map(route => reported(route, grpc, lowered.http.get(route)!)),
    ...streams.map(route =>
      reported<StreamRoute>(route, route.kind === 'TLSRoute' ? tls : route.kind === 'UDPRoute' ? udp : tcp, lowered.tcp.get(route)!),
    ),
  ]
}

/** A parent on which another route took the place says so; one port lost of several is enough, for half a split is no split. */
function conflicted(verdicts: readonly Verdict[], lost: readonly Attachment<unknown>[]): readonly Verdict[] {
  return verdicts.map(verdict => {
    const ports = lost.filter(each => each.parentRef === verdict.parentRef).map(each => each.port.key)
    return verdict.reason !== undefined || ports.length === 0
      ? verdict
      : { ...verdict, reason: 'Conflicted', says: `another route holds on ${ports.join(', ')}: of a more specific kind, or an older one` }
  })
}

/** What another rule takes away, or what is taken from one, is told at each parent on whose ports it is so. */
function shadowed(verdicts: readonly Verdict[], places: readonly Attachment<unknown>[], shadows: readonly Shadow[]): readonly Verdict[] {
  return verdicts.map(verdict => {
    const ports = places.filter(each => each.parentRef === verdict.parentRef).map(each => each.port.key)
    const told = shadows.filter(({ port }) => ports.includes(port))
    if (verdict.reason !== undefined || told.length === 0) return verdict
    const says = [...new Set(told.map(each => each.says))].slice(0, 8).join('; ')
    return { ...verdict, conflict: { reason: told.some(each => each.isBehind) ? 'Overruled' : 'Overrules', says } }
  })
}
