/** Hash policies and the stateful session of a route → by what requests are recognised. */

import type { Any } from '@bufbuild/protobuf/wkt'
import type { Listener } from '#model/listener'
import type { HashOn, Session } from '#model/route'
import {
  type RouteAction_HashPolicy,
  RouteAction_HashPolicy_CookieSchema,
  RouteAction_HashPolicy_HeaderSchema,
  RouteAction_HashPolicySchema,
} from '../gen/envoy/config/route/v3/route_components_pb.ts'
import {
  StatefulSessionPerRouteSchema,
  StatefulSessionSchema,
} from '../gen/envoy/extensions/filters/http/stateful_session/v3/stateful_session_pb.ts'
import { CookieBasedSessionStateSchema } from '../gen/envoy/extensions/http/stateful_session/cookie/v3/cookie_pb.ts'
import { HeaderBasedSessionStateSchema } from '../gen/envoy/extensions/http/stateful_session/header/v3/header_pb.ts'
import { carries, msOf, refuse, typeName, unpack } from './carried.ts'

const checkPolicy = carries(RouteAction_HashPolicySchema, ['header', 'cookie', 'connection_properties', 'query_parameter'])
const checkHeader = carries(RouteAction_HashPolicy_HeaderSchema, ['header_name'])
const checkCookie = carries(RouteAction_HashPolicy_CookieSchema, ['name', 'ttl', 'path'])
const checkSession = carries(StatefulSessionSchema, ['session_state'])

export function decodeHash(policies: readonly RouteAction_HashPolicy[], where: string): readonly HashOn[] {
  return policies.map((policy, index): HashOn => {
    const at = `${where}.hash_policy[${index}]`
    checkPolicy(policy, at)
    const said = policy.policySpecifier
    switch (said.case) {
      case 'header':
        checkHeader(said.value, `${at}.header`)
        return { type: 'header', name: said.value.headerName.toLowerCase() }
      case 'queryParameter':
        return { type: 'query', name: said.value.name }
      case 'cookie': {
        checkCookie(said.value, `${at}.cookie`)
        const { name, ttl, path } = said.value
        return { type: 'cookie', name, ...(ttl === undefined ? {} : { ttlMs: msOf(ttl) }), ...(path === '' ? {} : { path }) }
      }
      case 'connectionProperties':
        return said.value.sourceIp ? { type: 'source-ip' } : refuse(`${at}.connection_properties`, 'only source_ip is carried out')
      default:
        return refuse(at, 'header, cookie, connection_properties or query_parameter is needed')
    }
  })
}

type OpaquePolicies = readonly { readonly policySpecifier: { readonly case?: string | undefined } }[]

/** Of connections or datagrams. */
export function decodeOpaqueHash(policies: OpaquePolicies, where: string): Pick<Listener, 'hash'> {
  const [only, ...others] = policies
  if (only === undefined) return {}
  if (others.length > 0 || only.policySpecifier.case !== 'sourceIp') refuse(where, 'only source_ip is carried out')
  return { hash: 'source-ip' }
}

/** any: the per-route config of the filter. */
export function decodeSession(any: Any | undefined, where: string): Session | undefined {
  if (any === undefined) return undefined
  const { override } = unpack(any, StatefulSessionPerRouteSchema, where)
  if (override.case !== 'statefulSession') return undefined
  checkSession(override.value, `${where}.stateful_session`)
  const at = `${where}.stateful_session.session_state`
  const state = override.value.sessionState?.typedConfig
  if (typeName(state) === HeaderBasedSessionStateSchema.typeName)
    return { type: 'header', name: unpack(state, HeaderBasedSessionStateSchema, at).name.toLowerCase() }
  const { cookie } = unpack(state, CookieBasedSessionStateSchema, at)
  if (cookie === undefined) refuse(at, 'the cookie is missing')
  return { type: 'cookie', name: cookie.name, path: cookie.path, ttlMs: cookie.ttl === undefined ? 0 : msOf(cookie.ttl) }
}
