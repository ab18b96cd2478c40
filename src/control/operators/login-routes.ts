/**
 * The login of the dashboard: a token is pasted, or the OpenID provider says who it is; either becomes a session by cookie.
 *
 *   GET /weft/v1/login/oidc ──302──▶ provider ──302──▶ /weft/v1/login/callback ──302──▶ the dashboard
 *
 * What is pending is known by a cookie that comes along when the provider sends the browser back (SameSite=Lax): who begins a login elsewhere and lets
 * somebody else finish it gets nothing.
 */

import type { Login } from '#api/mesh-api'
import { hashOf, newSecretText } from '#identity/secret-text'
import { LoginRefused } from '#identity/openid'
import type { Pending, SignIn } from '#identity/sign-in'
import { TokenRefused } from '#identity/jwt'
import type { HttpReply, HttpRequest } from '#io/http-server'
import { apiAuthor } from '../api/author.ts'
import { json } from '../api/call.ts'
import type { ExtraRoute } from '../api/extra.ts'
import { Refusal } from '../api/refusal.ts'
import type { Store } from '../store.ts'
import type { Identify } from './identify.ts'
import type { CallerLimits } from './limits.ts'
import type { Principal } from './principal.ts'
import { cookieOf, loginCookie, sessionCookie, sessionLifeMs, setCookie, type Sessions } from './sessions.ts'

export type LoginParts = {
  readonly identify: Identify
  readonly sessions: Sessions<Principal>
  readonly limits: CallerLimits
  readonly store: Store
  readonly signIn: () => SignIn | undefined
  readonly providerName: () => string
  readonly isRequired: boolean
  readonly now: () => number
}

/** To type a password and a second factor in. */
const pendingMs = 600_000
const mostPending = 1000

export function loginRoutes(parts: LoginParts): ExtraRoute[] {
  const { identify, sessions, limits, store, signIn, now } = parts
  const pending = new Map<string, { readonly what: Pending; readonly until: number }>()

  /** token: by which it was proved; absent: by the provider itself. */
  const begin = (by: Principal, token: string | undefined, request: HttpRequest, reply: (cookie: string) => HttpReply): HttpReply => {
    const session = sessions.begin(identify.proofOf(by, token), by.until)
    store.note('logged in', { group: '', kind: 'Session', namespace: '', name: by.name }, apiAuthor(request, by))
    const lifeMs = Math.min(session.until - now(), sessionLifeMs)
    return reply(setCookie(sessionCookie(request.isSecure), session.value, { isSecure: request.isSecure, lifeMs }))
  }

  return [
    {
      method: 'GET',
      path: '/weft/v1/login',
      handle: async request => {
        const who = await identify.of(request).catch((thrown: unknown) => {
          if (thrown instanceof Refusal) return undefined
          throw thrown
        })
        const login: Login = {
          isRequired: parts.isRequired,
          ...(signIn() === undefined ? {} : { oidc: { name: parts.providerName() } }),
          ...(who === undefined ? {} : { user: told(who) }),
        }
        return json(200, login)
      },
    },
    {
      method: 'POST',
      path: '/weft/v1/login',
      handle: async request => {
        const token = tokenIn(new TextDecoder().decode(await request.body()))
        // A token of ours is refused at once, one of the provider later: both are a failed login.
        const by = await Promise.try(() => identify.ofToken(token)).catch((thrown: unknown) => fail(thrown, request))
        if (by.grants.length === 0) throw new Refusal(403, 'Forbidden', withoutRole(by))
        return begin(by, token, request, cookie => json(200, told(by), { 'set-cookie': cookie }))
      },
    },
    {
      method: 'POST',
      path: '/weft/v1/logout',
      handle: request => {
        const name = sessionCookie(request.isSecure)
        const value = cookieOf(request, name)
        if (value !== undefined) sessions.end(value)
        return json(200, {}, { 'set-cookie': setCookie(name, '', { isSecure: request.isSecure, lifeMs: 0 }) })
      },
    },
    {
      method: 'GET',
      path: '/weft/v1/login/oidc',
      handle: async request => {
        const provider = signIn()
        if (provider === undefined) throw new Refusal(404, 'NotFound', 'this control plane has no OpenID provider')
        const { url, pending: what } = await provider.begin(callbackOf(request)).catch(fail503)
        for (const [key, { until }] of pending) if (until <= now() || pending.size >= mostPending) pending.delete(key)
        const value = newSecretText()
        pending.set(hashOf(value), { what, until: now() + pendingMs })
        const cookie = setCookie(loginCookie(request.isSecure), value, {
          isSecure: request.isSecure,
          lifeMs: pendingMs,
          sameSite: 'Lax',
        })
        return { status: 302, headers: { location: url, 'set-cookie': cookie } }
      },
    },
    {
      method: 'GET',
      path: '/weft/v1/login/callback',
      handle: async request => {
        const provider = signIn()
        const key = hashOf(cookieOf(request, loginCookie(request.isSecure)) ?? '')
        const found = pending.get(key)
        pending.delete(key)
        if (provider === undefined || found === undefined || found.until <= now())
          return back(request, 'this login was not begun here, or too long ago: begin again')
        try {
          const { claims, until } = await provider.finish(request.query, found.what)
          const by = identify.ofClaims(claims, until)
          if (by.grants.length === 0) return back(request, withoutRole(by))
          // The ID token says who it was a moment ago; the session is ours, and lasts as long as sessions do.
          const { until: _, ...lasting } = by
          return begin(lasting, undefined, request, cookie => ({
            status: 302,
            headers: { location: '/', 'set-cookie': [cookie, forget(request)] },
          }))
        } catch (thrown) {
          if (thrown instanceof TokenRefused || thrown instanceof LoginRefused || thrown instanceof Refusal)
            return back(request, thrown.message)
          throw thrown
        }
      },
    },
  ]

  function fail(thrown: unknown, request: HttpRequest): never {
    if (thrown instanceof Refusal && thrown.code === 401) {
      limits.failure(request.address)
      store.note('refused login', { group: '', kind: 'Session', namespace: '', name: '' }, apiAuthor(request))
    }
    throw thrown
  }
}

const withoutRole = ({ name }: Principal): string => `${name} is known, and has no role here: an admin gives one`

const forget = ({ isSecure }: HttpRequest): string => setCookie(loginCookie(isSecure), '', { isSecure, lifeMs: 0, sameSite: 'Lax' })

/** To the login page, which says it. */
const back = (request: HttpRequest, says: string): HttpReply => ({
  status: 302,
  headers: { location: `/#/login?error=${encodeURIComponent(says)}`, 'set-cookie': forget(request) },
})

function fail503(thrown: unknown): never {
  if (thrown instanceof LoginRefused) throw new Refusal(503, 'ServiceUnavailable', thrown.message, { retryAfterSeconds: 10 })
  throw thrown
}

/** Under the name by which the browser came; the provider takes only addresses that it knows. */
const callbackOf = ({ isSecure, headers }: HttpRequest): string =>
  `${isSecure ? 'https' : 'http'}://${headers['host'] ?? 'localhost'}/weft/v1/login/callback`

const told = ({ name, how, grants, until }: Principal): NonNullable<Login['user']> => ({
  name,
  how,
  grants,
  ...(until === undefined ? {} : { until: new Date(until).toISOString() }),
})

function tokenIn(text: string): string {
  try {
    const { token } = JSON.parse(text) as { token?: unknown }
    if (typeof token === 'string' && /^[\w.~+/=-]{1,16384}$/.test(token.trim())) return token.trim()
  } catch {
    // Said below: a body that is none is as wrong as one without a token, and may hold one.
  }
  throw new Refusal(400, 'BadRequest', 'the body must be {"token": "…"}')
}
