/** By what requests are recognised, and the session of a client, in Envoy's words: hash policies of a route, and the stateful session filter. */

import { create } from '@bufbuild/protobuf'
import { type Any, anyPack } from '@bufbuild/protobuf/wkt'
import type { Listener } from '#model/listener'
import type { Action, HashOn, Session } from '#model/route'
import { type RouteAction_HashPolicy, RouteAction_HashPolicySchema } from '../gen/envoy/config/route/v3/route_components_pb.ts'
import {
  StatefulSessionPerRouteSchema,
  StatefulSessionSchema,
} from '../gen/envoy/extensions/filters/http/stateful_session/v3/stateful_session_pb.ts'
import { CookieBasedSessionStateSchema } from '../gen/envoy/extensions/http/stateful_session/cookie/v3/cookie_pb.ts'
import { HeaderBasedSessionStateSchema } from '../gen/envoy/extensions/http/stateful_session/header/v3/header_pb.ts'
import { duration, typed } from './source.ts'

export const sessionFilter = 'envoy.filters.http.stateful_session'

/** Stands in each chain and does nothing until a route says something. */
export const asleep = { name: sessionFilter, configType: typed(StatefulSessionSchema, create(StatefulSessionSchema)) }

export const encodeHash = (list: readonly HashOn[]): RouteAction_HashPolicy[] =>
  list.map(each => create(RouteAction_HashPolicySchema, { policySpecifier: specifierOf(each) }))

function specifierOf(each: HashOn) {
  switch (each.type) {
    case 'header':
      return { case: 'header' as const, value: { headerName: each.name } }
    case 'query':
      return { case: 'queryParameter' as const, value: { name: each.name } }
    case 'cookie':
      return {
        case: 'cookie' as const,
        value: { name: each.name, path: each.path ?? '', ...(each.ttlMs === undefined ? {} : { ttl: duration(each.ttlMs) }) },
      }
    case 'source-ip':
      return { case: 'connectionProperties' as const, value: { sourceIp: true } }
  }
}

/** Of connections of opaque bytes. */
export const encodeTcpHash = ({ hash }: Listener) =>
  hash === undefined ? {} : { hashPolicy: [{ policySpecifier: { case: 'sourceIp' as const, value: {} } }] }
export const encodeUdpHash = ({ hash }: Listener) =>
  hash === undefined ? {} : { hashPolicies: [{ policySpecifier: { case: 'sourceIp' as const, value: true } }] }

export function encodeSession(action: Action): Record<string, Any> {
  if (action.type !== 'forward' || action.session === undefined) return {}
  const sessionState = stateOf(action.session)
  const perRoute = create(StatefulSessionPerRouteSchema, { override: { case: 'statefulSession', value: { sessionState } } })
  return { [sessionFilter]: anyPack(StatefulSessionPerRouteSchema, perRoute) }
}

function stateOf(session: Session) {
  if (session.type === 'header') {
    const state = create(HeaderBasedSessionStateSchema, { name: session.name })
    return { name: 'envoy.http.stateful_session.header', typedConfig: typed(HeaderBasedSessionStateSchema, state).value }
  }
  const { name, path, ttlMs } = session
  const state = create(CookieBasedSessionStateSchema, { cookie: { name, path, ...(ttlMs === 0 ? {} : { ttl: duration(ttlMs) }) } })
  return { name: 'envoy.http.stateful_session.cookie', typedConfig: typed(CookieBasedSessionStateSchema, state).value }
}
