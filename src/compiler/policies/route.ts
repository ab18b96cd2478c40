/** RoutePolicies and FaultPolicies: what they, and the rules of routes themselves, come to at one route or at one listener of opaque bytes. */

import type { Fault } from '#model/fault'
import type { Listener } from '#model/listener'
import type { Layer } from '#model/mesh'
import type { Route } from '#model/route'
import { durationMs } from '#resources/duration'
import type { HTTPRule } from '#resources/gateway-api'
import type { Resource } from '#resources/kind'
import type { FaultPolicy, RoutePolicy, RoutePolicySpec } from '#resources/weft'
import { bodiesOf, maintained, whyEnded, whyNotByRoute, whyNotCalled } from './bodies.ts'
import { isOfConnections, isOfDatagrams, isOfRequests, lowerFault } from './faults.ts'
import { specOf } from './fields.ts'
import { layerOf } from './layers.ts'
import { merge } from './merge.ts'
import { retryOf } from './retry.ts'
import type { Judging, Objection, Placed } from './targets.ts'

/** What can be carried out where requests are not seen. */
const idle = 'timeouts.idle'

export const judgingRoutes: Judging<RoutePolicy> = {
  unable: (policy, field, { carriers, port }) => {
    const { spec } = policy
    if (field === idle && carriers.includes('datagrams') && durationMs(spec?.timeouts?.idle ?? '1s') === 0)
      return 'of datagrams nobody says when a session is over: it must be above 0'
    if (field === idle) return undefined
    return carriers.includes('requests') ? whyNotCalled(policy, field, port) : 'it is for requests of HTTP, which are not seen there'
  },
  objection: (policy, _, path, route) => whyEnded(policy) ?? whyNotByRoute(policy, path, route) ?? whyNoBytes(policy, path, route),
}

/** What goes by connections at a Gateway is not known by its route there. */
export function whyNoBytes(_: Resource, path: string, route: Resource | undefined): Objection | undefined {
  if (route === undefined || (route.kind !== 'TCPRoute' && route.kind !== 'UDPRoute')) return undefined
  const { parentRefs = [] } = (route.spec ?? {}) as { readonly parentRefs?: readonly { readonly kind: string }[] }
  if (parentRefs.some(({ kind }) => kind === 'Service')) return undefined
  return { reason: 'Invalid', says: `${path}: the ${route.kind} holds at Gateways only: there policies are for requests` }
}

type Said = Partial<Omit<RoutePolicySpec, 'targetRefs'>>

/** The parts of a Route that policies set. */
export const settled = ['timeouts', 'retry', 'hedge', 'fault', 'sizes', 'compression'] as const satisfies readonly (keyof Route)[]
const isSettled: ReadonlySet<string> = new Set(settled)
type Settings = Partial<Pick<Route, (typeof settled)[number]>>

/** The route as the layers, of one client, have it; those that count most first. isEdge: it stands at a Gateway. */
export function settleRoute(route: Route, layers: readonly Layer[], isEdge = false): Route {
  const says = merge(layers)
  const made = settled.some(key => route[key] !== undefined)
    ? (Object.fromEntries(Object.entries(route).filter(([key]) => !isSettled.has(key))) as Route)
    : route
  const said = specOf('RoutePolicy', says) as Said
  if (said.maintenance !== undefined) return maintained(route, said.maintenance)
  return { ...made, ...settingsOf(said, route.action), ...bodiesOf(said, isEdge), ...faultIn(says) }
}

function settingsOf({ timeouts, retry, hedge }: Said, action: Route['action']): Settings {
  const ms = (text: string | undefined): number => (text === undefined ? 0 : durationMs(text))
  const times = Object.entries({ requestMs: ms(timeouts?.request), tryMs: ms(timeouts?.try), idleMs: ms(timeouts?.idle) }).filter(
    ([, each]) => each > 0,
  )
  return {
    ...(times.length === 0 || action.type !== 'forward' ? {} : { timeouts: Object.fromEntries(times) }),
    ...(action.type === 'forward' && retry !== undefined ? retryOf(retry) : {}),
    ...(action.type === 'forward' && hedge !== undefined ? { hedge: hedgeOf(hedge) } : {}),
  }
}

const hedgeOf = ({ after, attempts, allMethods }: NonNullable<Said['hedge']>): NonNullable<Route['hedge']> => ({
  afterMs: durationMs(after),
  attempts,
  ...(allMethods ? { allMethods: true } : {}),
})

/** What a rule of a route says itself, in the words of a RoutePolicy. origin: of the route. */
export function ownLayer(origin: string, { timeouts, retry }: Pick<HTTPRule, 'timeouts' | 'retry'>): Layer {
  return {
    policy: origin,
    says: {
      ...(timeouts?.request === undefined ? {} : { 'timeouts.request': timeouts.request }),
      ...(timeouts?.backendRequest === undefined ? {} : { 'timeouts.try': timeouts.backendRequest }),
      ...(retry === undefined ? {} : { retry: { ...retry, ...(retry.backoff === undefined ? {} : { backoff: { base: retry.backoff } }) } }),
    },
  }
}

const faultIn = (says: Layer['says']): { readonly fault?: Fault } => (says['fault'] === undefined ? {} : { fault: says['fault'] as Fault })

/** With the fault as the view has it, which names the policy. */
export const faultLayer = (placed: Placed<FaultPolicy>): Layer => ({ ...layerOf(placed), says: { fault: lowerFault(placed.policy) } })

/** The same for a listener of opaque bytes. */
export function settleListener(listener: Listener, layers: readonly Layer[]): Listener {
  const says = merge(layers)
  const { timeouts } = specOf('RoutePolicy', says) as Said
  const { fault: _, idleMs: __, ...rest } = listener
  return { ...rest, ...(timeouts?.idle === undefined ? {} : { idleMs: durationMs(timeouts.idle) }), ...faultIn(says) }
}

/** Of layers what they say of connections, or of datagrams: a session of those cannot be without end. */
export const ofBytesOnly = (layers: readonly Layer[], isUdp: boolean): readonly Layer[] =>
  layers.flatMap(layer => {
    const said = layer.says[idle] as string | undefined
    return said === undefined || (isUdp && durationMs(said) === 0) ? [] : [{ ...layer, says: { [idle]: said } }]
  })

export const breaksRequests = ({ policy }: Placed<FaultPolicy>): boolean => isOfRequests(policy.spec)
export const breaksBytes =
  (isUdp: boolean) =>
  ({ policy }: Placed<FaultPolicy>): boolean =>
    isUdp ? isOfDatagrams(policy.spec) : isOfConnections(policy.spec)
