/** The last part of the way: the called proxy takes the request in, by mutual TLS, and hands it to its workload. */

import type { FailureCode } from '#base/failure'
import type { Access } from '../access-rule.ts'
import { type Caller, CallerAccess, placeOf, tellVerdict, tellWhy, type Verdict } from '../access.ts'
import { isAskedAbout } from '../authorize.ts'
import type { Backend, Endpoint } from '../backend.ts'
import type { RequestFacts } from '../match.ts'
import { accessFor, routeAt, tellJudged } from '../tunnel.ts'
import type { KnownOf } from './question.ts'
import type { Listener } from '../listener.ts'
import type { Route } from '../route.ts'
import type { View } from '../view.ts'

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
  /** What is asked of its token. */
  readonly token?: string
  /** Who is asked whether it may go on, which nobody else knows. */
  readonly asks?: string
  /** What the rules of the called side say. audit: what would be denied if it were not only tried. */
  readonly access?: { readonly says: string; readonly audit?: string }
  /** The same for programs, and of what is denied too. policy: `NAMESPACE/NAME`, rule: its place in it; absent where none decided, but a default, or that no Allow policy matches. */
  readonly judged?: { readonly verdict: 'Allow' | 'Deny' | 'Audit'; readonly policy?: string; readonly rule?: string }
  readonly failure?: { readonly code: FailureCode; readonly detail: string }
}

/** endpoint, backend: of those only what leads there and who must answer. */
export function arrive(
  endpoint: Pick<Endpoint, 'mtls' | 'host' | 'port' | 'workload'>,
  backend: Pick<Backend, 'identities'>,
  request: RequestFacts,
  caller: string,
  knownOf: KnownOf,
): WayIn {
  const known = knownOf(endpoint.workload)
  const direct = { proxy: 'none', to: `${endpoint.host}:${endpoint.port}` } as const
  if (known === 'away' || known === 'unasked') return endpoint.mtls ? { proxy: known } : direct
  const { view, identity } = known
  const listener = Object.values(view.listeners).find(
    each => each.direction === 'inbound' && each.host === endpoint.host && each.port === endpoint.port,
  )
  if (!endpoint.mtls && listener === undefined) return direct
  // In plaintext nobody proves anything.
  if (!endpoint.mtls) {
    if (listener!.tls?.mode === 'strict')
      return { proxy: 'connected', listener: listener!.name, failure: { code: 'identity-required', detail: listener!.name } }
    return { proxy: 'connected', listener: listener!.name, protocol: listener!.protocol, ...taken(view, listener!, request, undefined) }
  }
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
  return {
    ...so,
    listener: listener.name,
    protocol: listener.protocol,
    ...taken(view, listener, request, caller === '' ? undefined : caller),
  }
}

function taken(
  view: View,
  listener: Listener,
  request: RequestFacts,
  caller: string | undefined,
): Pick<WayIn, 'route' | 'to' | 'token' | 'asks' | 'access' | 'judged' | 'failure'> {
  const isHttp = listener.routes !== undefined
  const route = isHttp ? routeAt(listener.direction, view.routes[listener.routes] ?? { name: '', hosts: [] }, request) : undefined
  if (isHttp && route === undefined)
    return { failure: { code: 'no-route', detail: `${request.method} ${request.path} at ${listener.name}` } }
  const token = route?.tokens === undefined ? undefined : askedFor(listener, route.tokens, request)
  if (token?.failure !== undefined) return { route: route!.origin, failure: token.failure }
  const access = route === undefined ? listener.access : accessFor(listener, route, request.method)
  // Claims that nobody verifies are none.
  const seen = isHttp ? (token === undefined ? withoutClaims(request) : request) : undefined
  const verdict = access && judged(access, seen, caller, request)
  if (verdict?.isAllowed === false) {
    const { caller: by, now } = callOf(caller, request)
    const why = tellWhy(access!, by, seen, verdict, now)
    return {
      ...(route === undefined ? {} : { route: route.origin }),
      judged: judgedBy(verdict),
      failure: {
        code: verdict.badPath === true ? 'bad-request' : 'access-denied',
        detail: `${tellJudged(verdict, seen?.method)}${why === undefined ? '' : `: ${why}`}`,
      },
    }
  }
  const backends = route === undefined ? listener.backends : route.action.type === 'forward' ? route.action.backends : undefined
  const port = view.backends[backends?.[0]?.backend ?? '']?.port
  const asks = route === undefined ? listener.connectionAuthorizer?.name : asksOf(listener, route, request).join(', ')
  return {
    ...(route === undefined ? {} : { route: route.origin }),
    ...(token === undefined ? {} : { token: token.says }),
    ...(asks === undefined || asks === '' ? {} : { asks: `a service is asked, by ${asks}: it decides` }),
    ...(verdict === undefined ? {} : { access: told(verdict), judged: judgedBy(verdict) }),
    ...(port === undefined
      ? { failure: { code: 'backend-invalid', detail: `${listener.name} leads to no port of the workload` } }
      : { to: `127.0.0.1:${port}` }),
  }
}

/** By which authorizers somebody is asked about this request. */
export const asksOf = ({ authorizers = [] }: Listener, { authorize = [] }: Route, request: RequestFacts): readonly string[] =>
  authorize.filter(name => {
    const authorizer = authorizers.find(each => each.name === name)
    return authorizer === undefined || isAskedAbout(authorizer, request)
  })

const withoutClaims = (request: RequestFacts): RequestFacts => (request.claims === undefined ? request : { ...request, claims: undefined })

/** What a policy asks of a token: which claims it has is part of the question, whether it is genuine only its proxy finds out. */
export function askedFor(
  { tokens = [] }: Listener,
  name: string,
  { claims }: RequestFacts,
): { readonly says: string; readonly failure?: NonNullable<WayIn['failure']> } {
  const policy = tokens.find(each => each.name === name)
  if (policy === undefined) return { says: '', failure: { code: 'keys-unavailable', detail: `${name} is not known yet` } }
  if (claims !== undefined) {
    const { iss } = claims
    if (iss !== undefined && !policy.issuers.some(each => each.issuer === iss))
      return { says: '', failure: { code: 'token-invalid', detail: `JWTPolicy ${name} takes none of the issuer ${String(iss)}` } }
    return { says: `JWTPolicy ${name} verifies its token` }
  }
  if (!policy.isRequired) return { says: `JWTPolicy ${name} lets it in without a token` }
  return { says: '', failure: { code: 'token-missing', detail: `JWTPolicy ${name}; --claim NAME=VALUE says what a token would hold` } }
}

/** request: undefined for opaque bytes. */
function judged(access: Access, request: RequestFacts | undefined, identity: string | undefined, facts: RequestFacts): Verdict {
  const { caller, now } = callOf(identity, facts)
  const left = new CallerAccess(access, caller, now)
  return request === undefined ? left.judgeConnection() : left.judge(request)
}

/** From which address and when is part of the question; where it is not, from none known, and now. */
const callOf = (identity: string | undefined, { asked }: RequestFacts): { readonly caller: Caller; readonly now: number } => ({
  caller: { identity, address: asked?.address },
  now: asked?.at ?? Date.now(),
})

function judgedBy({ isAllowed, rule, wouldDeny }: Verdict): NonNullable<WayIn['judged']> {
  if (!isAllowed) return { verdict: 'Deny', ...(rule === undefined ? {} : placeOf(rule)) }
  if (wouldDeny !== undefined) return { verdict: 'Audit', ...(wouldDeny === 'no-allow' ? {} : placeOf(wouldDeny)) }
  return { verdict: 'Allow', ...(rule === undefined ? {} : placeOf(rule)) }
}

function told(verdict: Verdict): NonNullable<WayIn['access']> {
  const { wouldDeny } = verdict
  const says = tellVerdict(verdict)
  if (wouldDeny === undefined) return { says }
  return {
    says,
    audit:
      wouldDeny === 'no-allow'
        ? 'no audited Allow policy matches'
        : `rule ${placeOf(wouldDeny).rule} of AccessPolicy ${placeOf(wouldDeny).policy} would deny it`,
  }
}

/** What a policy asks of a login: --claim says who is logged in. Undefined: it is. */
export function loginAskedFor({ logins = [] }: Listener, name: string, { claims }: RequestFacts): WayIn['failure'] {
  const policy = logins.find(each => each.name === name)
  if (policy === undefined) return { code: 'keys-unavailable', detail: `${name} is not known yet` }
  if (policy.wrong !== undefined) return { code: 'login-unavailable', detail: policy.wrong }
  if (claims !== undefined) return undefined
  return {
    code: 'login-required',
    detail: `LoginPolicy ${name} sends browsers to ${policy.issuer}; --claim NAME=VALUE says what the session of who is logged in would hold`,
  }
}
