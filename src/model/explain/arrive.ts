/** The last part of the way: the called proxy takes the request in, by mutual TLS, and hands it to its workload. */

import type { FailureCode } from '#base/failure'
import type { RequestFacts } from '../match.ts'
import { chooseRoute } from '../match.ts'
import type { Backend, Endpoint, Listener, View } from '../view.ts'
import type { KnownOf } from '../explain.ts'

/** proxy: whether the called proxy is known; `none`: the workload is reached without one. identity: what it proves. expected: of what it must prove one. route: its rule, for people. to: the port of the workload. */
export type WayIn = {
  readonly proxy: 'connected' | 'away' | 'unasked' | 'none'
  readonly mtls?: {
    readonly mode: 'strict' | 'permissive' | 'off'
    readonly caller: string
    readonly identity: string
    readonly expected: readonly string[]
  }
  readonly listener?: string
  readonly protocol?: Listener['protocol']
  readonly route?: string
  readonly to?: string
  readonly failure?: { readonly code: FailureCode; readonly detail: string }
}

export function arrive(endpoint: Endpoint, backend: Backend, request: RequestFacts, caller: string, knownOf: KnownOf): WayIn {
  if (!endpoint.mtls) return { proxy: 'none', to: `${endpoint.host}:${endpoint.port}` }
  const known = knownOf(endpoint.workload)
  if (known === 'away' || known === 'unasked') return { proxy: known }
  const { view, identity } = known
  const listener = Object.values(view.listeners).find(
    each => each.direction === 'inbound' && each.host === endpoint.host && each.port === endpoint.port,
  )
  const mtls = { mode: listener?.tls?.mode ?? ('off' as const), caller, identity, expected: backend.identities }
  const so = { proxy: 'connected' as const, mtls }
  if (backend.identities.length > 0 && !backend.identities.includes(identity))
    return { ...so, failure: { code: 'identity-mismatch', detail: `${identity} is none of ${backend.identities.join(', ')}` } }
  if (listener === undefined)
    return {
      ...so,
      failure: {
        code: 'connect-refused',
        detail: `the proxy of ${endpoint.workload} takes nothing in at ${endpoint.host}:${endpoint.port}`,
      },
    }
  return { ...so, listener: listener.name, protocol: listener.protocol, ...taken(view, listener, request) }
}

function taken(view: View, listener: Listener, request: RequestFacts): Pick<WayIn, 'route' | 'to' | 'failure'> {
  const isHttp = listener.routes !== undefined
  const route = isHttp ? chooseRoute(view.routes[listener.routes] ?? { name: '', hosts: [] }, request) : undefined
  if (isHttp && route === undefined)
    return { failure: { code: 'no-route', detail: `${request.method} ${request.path} at ${listener.name}` } }
  const backends = route === undefined ? listener.backends : route.action.type === 'forward' ? route.action.backends : undefined
  const port = view.backends[backends?.[0]?.backend ?? '']?.port
  return {
    ...(route === undefined ? {} : { route: route.origin }),
    ...(port === undefined
      ? { failure: { code: 'backend-invalid', detail: `${listener.name} leads to no port of the workload` } }
      : { to: `127.0.0.1:${port}` }),
  }
}
