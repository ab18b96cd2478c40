/** What RoutePolicies say of bodies and of maintenance: as callers' proxies and Gateways carry it out, and as the called side does. */

import { type Compression, usualCompressible } from '#model/compression'
import type { Mesh, SelectedBodies } from '#model/mesh'
import type { Route, Sizes } from '#model/route'
import { durationMs } from '#resources/duration'
import type { RoutePolicy, RoutePolicySpec } from '#resources/weft'
import { specOf } from './fields.ts'
import { layerOf, layersFor } from './layers.ts'
import { merge } from './merge.ts'
import { isHttp } from '../services/protocol.ts'
import { type ServicePort, whyNobody } from '../services/services.ts'
import { nameOf } from '../gather.ts'
import type { Objection, Targets } from './targets.ts'

type Said = Partial<Pick<RoutePolicySpec, 'compression' | 'limits' | 'maintenance'>>

/** isEdge: at a Gateway, which is itself the called side of those outside. */
export function bodiesOf({ compression, limits }: Said, isEdge: boolean): Pick<Route, 'sizes' | 'compression'> {
  const sizes = limits && sizesOf(limits)
  const requests = compression?.requests
  const coded: Compression = {
    ...(isEdge ? takenIn(compression) : {}),
    ...(requests === undefined ? {} : { requests: { coding: requests.algorithm, ...compressible(requests) } }),
  }
  return { ...(sizes === undefined ? {} : { sizes }), ...(Object.keys(coded).length === 0 ? {} : { compression: coded }) }
}

const sizesOf = ({ requestBody, requestHeaders, requestHeaderBytes }: NonNullable<Said['limits']>): Sizes => ({
  ...(requestBody === undefined ? {} : { bodyBytes: requestBody }),
  ...(requestHeaders === undefined ? {} : { headerCount: requestHeaders }),
  ...(requestHeaderBytes === undefined ? {} : { headerBytes: requestHeaderBytes }),
})

const compressible = ({
  minBytes,
  contentTypes,
}: {
  readonly minBytes: number
  readonly contentTypes?: readonly string[] | undefined
}) => ({
  minBytes,
  types: contentTypes ?? usualCompressible.types,
})

const takenIn = ({ responses, decompress }: NonNullable<Said['compression']> = {}): Compression => ({
  ...(responses === undefined ? {} : { answers: { codings: responses.algorithms, ...compressible(responses) } }),
  ...(decompress === undefined ? {} : { takesCoded: { maxBytes: decompress.maxBytes } }),
})

/** By namespace: for the workloads behind each port of a Service. Policies that name clients hold where those call. */
export function findBodies(ports: readonly ServicePort[], targets: Targets<RoutePolicy>): Mesh['bodies'] {
  const found: Record<string, SelectedBodies[]> = {}
  if (targets.isEmpty) return found
  for (const port of ports) {
    if (!isHttp(port.protocol) || port.external !== undefined) continue
    const placed = targets.ofPort(port)
    const { compression, limits } = specOf('RoutePolicy', merge(layersFor(placed.map(layerOf), undefined))) as Said
    const coded = takenIn(compression)
    const bodies: Pick<Route, 'sizes' | 'compression'> = {
      ...(limits === undefined ? {} : { sizes: sizesOf(limits) }),
      ...(Object.keys(coded).length === 0 ? {} : { compression: coded }),
    }
    const { namespace, selector, target } = port
    const by = placed.filter(({ policy: { spec } }) => (spec?.limits ?? spec?.compression) !== undefined).map(each => nameOf(each.policy))
    if (Object.keys(bodies).length > 0) (found[namespace] ??= []).push({ selector, target, bodies, port: port.key, by })
  }
  return found
}

/** Fields that the called side carries out: it sees neither by which route a request comes nor, before it is let in, for whom a policy is. */
const ofCalled = ['compression.responses', 'compression.decompress']

export const whyNotCalled = (policy: RoutePolicy, field: string, port: ServicePort | undefined): string | undefined =>
  !ofCalled.includes(field)
    ? undefined
    : policy.spec?.from === undefined
      ? whyNobody(port)
      : 'it is carried out by the proxy that is called, alike for all clients: take from out'

/** route: the one that is targeted. */
export function whyNotByRoute(
  policy: RoutePolicy,
  path: string,
  route: { readonly kind: string; readonly spec?: unknown } | undefined,
): Objection | undefined {
  if (route === undefined) return undefined
  const { parentRefs = [] } = (route.spec ?? {}) as { readonly parentRefs?: readonly { readonly kind: string }[] }
  const { responses, decompress } = policy.spec?.compression ?? {}
  if ((responses === undefined && decompress === undefined) || !parentRefs.some(({ kind }) => kind === 'Service')) return undefined
  return {
    reason: 'Invalid',
    says: `${path}: spec.compression.${responses === undefined ? 'decompress' : 'responses'} is carried out by the proxy that is called, which does not see by which route a request comes: target the Service`,
  }
}

/** In place of whatever the route does. */
export function maintained(route: Route, { status, body, contentType, retryAfter, until }: NonNullable<Said['maintenance']>): Route {
  const { name, origin, match, cors, access } = route
  const again =
    retryAfter !== undefined
      ? String(Math.ceil(durationMs(retryAfter) / 1000))
      : until === undefined
        ? undefined
        : new Date(until).toUTCString()
  const set = [{ name: 'content-type', value: contentType }, ...(again === undefined ? [] : [{ name: 'retry-after', value: again }])]
  return {
    name,
    origin,
    match,
    filters: [{ type: 'response-headers', change: { set, add: [], remove: [] } }],
    action: { type: 'respond', status, detail: body },
    ...(cors === undefined ? {} : { cors }),
    ...(access === undefined ? {} : { access }),
  }
}

const isOver = ({ spec }: RoutePolicy, now: number): boolean =>
  spec?.maintenance?.until !== undefined && Date.parse(spec.maintenance.until) <= now

/** Without maintenance whose time is over. now: ms since the epoch. */
export const withoutEnded = (policies: readonly RoutePolicy[], now: number): readonly RoutePolicy[] =>
  policies.map(policy => (isOver(policy, now) ? { ...policy, spec: { ...policy.spec!, maintenance: undefined } } : policy))

/** Where nothing is left of a policy. */
export function whyEnded({ spec }: RoutePolicy): Objection | undefined {
  if (spec === undefined || !('maintenance' in spec) || spec.maintenance !== undefined) return undefined
  const others = Object.entries(spec).some(([key, value]) => key !== 'targetRefs' && key !== 'from' && value !== undefined)
  return others ? undefined : { reason: 'Expired', says: 'spec.maintenance.until: it ended by itself; delete it, or give a later time' }
}

/** The next time at which maintenance ends; undefined where none will. */
export function nextReopening(policies: readonly RoutePolicy[], now: number): number | undefined {
  const times = policies
    .flatMap(({ spec }) => (spec?.maintenance?.until === undefined ? [] : [Date.parse(spec.maintenance.until)]))
    .filter(time => time > now)
  return times.length === 0 ? undefined : Math.min(...times)
}
