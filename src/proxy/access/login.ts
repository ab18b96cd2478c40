/**
 * Logins at a Gateway (OpenID Connect, authorization code with PKCE): who comes with a session goes on, who comes with a browser is sent to the provider.
 *
 *   request ─▶ session? ─▶ holds: claims, headers, tokens ─▶ on
 *                     └─▶ ended: renewed, or as none ─▶ a page is wanted: 302 to the provider, state sealed in a cookie ─▶ …
 *                                                   └─▶ else: 401
 *   redirectPath ─▶ the state's own cookie? ─▶ this host, in time, once ─▶ iss, code ─▶ tokens ─▶ ID token verified ─▶ session ─▶ 302 back
 *   logoutPath   ─▶ session gone ─▶ 302 to the provider's logout, or to afterLogout
 */

import { Failure } from '#base/failure'
import type { Log } from '#base/log'
import { begin, type Granted, LoginRefused, logoutUrl, type Provider, redeem, renew } from '#identity/openid'
import type { NameValue } from '#model/filter'
import type { LoginPolicy } from '#model/login'
import { metricNames } from '#model/metrics'
import { answerEmpty, answerPage } from '../requests/answer.ts'
import type { Exchange } from '../requests/exchange.ts'
import {
  clearPending,
  clearSession,
  type Cookies,
  cookiesIn,
  isOwn,
  loginMs,
  longestSession,
  pendingIn,
  sessionIn,
  writePending,
  writeSession,
} from './login/cookies.ts'
import { askOf, Providers } from './login/providers.ts'
import { openPending, openSession, type Pending, sealPending, sealSession, type Session } from './login/session.ts'
import type { Family, Registry } from '../registry.ts'
import { giveClaims, tellClaims } from './tokens.ts'
import { namesLike, withoutCookies } from './token-places.ts'

/** What ends so soon is renewed before it goes on. */
const aheadMs = 5_000
/** So many opened sessions, used states and ended sessions are remembered. */
const mostKnown = 2_000
/** Requests that were sent with the cookie of before a renewal get what it brought, for so long. */
const renewedMs = 60_000
const longestBack = 2_000

/** bearer: it brings a token in place of a session. */
export type Admitted = 'session' | 'bearer'

export class Logins {
  readonly #providers: Providers
  readonly #log: Log
  readonly #opened = new WeakMap<LoginPolicy, Map<string, Session>>()
  /** By sealed text: at most one renewal each. */
  readonly #renewals = new Map<string, Promise<Session>>()
  readonly #used = new Map<string, number>()
  readonly #ended = new Map<string, number>()
  readonly #counted: Family

  constructor(log: Log, registry: Registry) {
    this.#log = log
    this.#counted = registry.family(
      metricNames.logins,
      'counter',
      'Logins by what became of them: begun, done, refused, unavailable; sessions renewed and ended by a logout',
      ['policy', 'outcome'],
    )
    this.#providers = new Providers(log)
  }

  /** Calls `goOn`, now or later, or answers, or throws why not, or gives it to `refuse` later. A caller that is gone meanwhile gets none of it. */
  admit(exchange: Exchange, policy: LoginPolicy, goOn: (by: Admitted) => void, refuse: (thrown: unknown) => void): void {
    if (policy.wrong !== undefined) throw new Failure('login-unavailable', policy.wrong)
    if (exchange.entry.isSecure !== true) throw new Failure('login-required', 'a login is possible over HTTPS only')
    const cookies = cookiesIn(exchange.head.fields)
    if (exchange.path === policy.redirectPath) return this.#later(exchange, policy, this.#comeBack(exchange, policy, cookies), refuse)
    if (exchange.path === policy.logoutPath) return this.#later(exchange, policy, this.#logOut(exchange, policy, cookies), refuse)
    if (policy.passesBearer && /^bearer /i.test(exchange.header('authorization') ?? '')) {
      bare(exchange, policy)
      return goOn('bearer')
    }
    const sealed = sessionIn(policy, cookies)
    const session = sealed === undefined ? undefined : this.#open(policy, sealed)
    const now = Date.now()
    const canRenew = policy.refreshes && session?.refreshToken !== undefined
    if (session !== undefined && now < session.until - (canRenew ? aheadMs : 0)) {
      take(exchange, policy, session)
      return goOn('session')
    }
    if (session !== undefined && canRenew && now < session.endsAt) {
      const renewed = this.#renewed(policy, sealed!, session).then(
        fresh => () => {
          this.#give(exchange, policy, fresh, cookies)
          take(exchange, policy, fresh)
          goOn('session')
        },
        (thrown: unknown) => {
          // The provider does not take it any more; while it cannot be asked, nobody knows.
          if (!(thrown instanceof LoginRefused)) throw thrown
          if (thrown.code === 'login-failed') return this.#ask(exchange, policy, cookies)
          if (Date.now() >= session.until) throw thrown
          return () => {
            take(exchange, policy, session)
            goOn('session')
          }
        },
      )
      return this.#later(exchange, policy, renewed, refuse)
    }
    const asked = this.#whyNoPage(exchange, policy)
    if (asked !== undefined) throw unauthorized(exchange, policy, asked)
    this.#later(exchange, policy, this.#ask(exchange, policy, cookies), refuse)
  }

  /** work: resolves with what is then to be done. */
  #later(exchange: Exchange, policy: LoginPolicy, work: Promise<() => void>, refuse: (thrown: unknown) => void): void {
    exchange.wasHeldUp = true
    work
      .then(act => {
        if (!exchange.isGone) act()
      })
      .catch((thrown: unknown) => {
        if (exchange.isGone) return
        if (thrown instanceof LoginRefused) {
          this.#count(policy, thrown.code === 'login-failed' ? 'refused' : 'unavailable')
          this.#log.warn(`a login by ${policy.name} was refused: ${thrown.message}`, { reason: thrown.code })
          exchange.changeAnswer({ set: [noStore], add: [], remove: [] })
          return refuse(new Failure(thrown.code, thrown.message))
        }
        refuse(thrown)
      })
  }

  /** Sends the browser to the provider. */
  async #ask(exchange: Exchange, policy: LoginPolicy, cookies: Cookies): Promise<() => void> {
    const why = this.#whyNoPage(exchange, policy)
    if (why !== undefined) throw unauthorized(exchange, policy, why)
    const provider = await this.#providers.of(policy)
    const host = calledHost(exchange)
    const { url, ...begun } = await begin(policy, provider, `https://${host}${policy.redirectPath}`)
    const pending: Pending = { ...begun, host, back: backOf(exchange), endsAt: Date.now() + loginMs }
    const written = writePending(policy, begun.state, sealPending(policy, pending), cookies)
    this.#count(policy, 'begun')
    return () => redirect(exchange, url, written)
  }

  #whyNoPage(exchange: Exchange, { apiPaths }: LoginPolicy): string | undefined {
    const { path } = exchange
    if (exchange.method !== 'GET' && exchange.method !== 'HEAD') return 'only GET is sent to a login'
    if (exchange.upgrade !== undefined) return 'no page is asked for'
    if (apiPaths.some(each => path === each || path.startsWith(each.endsWith('/') ? each : `${each}/`))) return 'programs call this path'
    const mode = exchange.header('sec-fetch-mode')
    const isPage = /\btext\/html\b|\bapplication\/xhtml\+xml\b/i.test(exchange.header('accept') ?? '')
    if (!isPage || exchange.header('x-requested-with') !== undefined || (mode !== undefined && mode !== 'navigate'))
      return 'no page is asked for'
    return undefined
  }

  /** From the provider, with a code or with why there is none. */
  async #comeBack(exchange: Exchange, policy: LoginPolicy, cookies: Cookies): Promise<() => void> {
    if (exchange.method !== 'GET') throw new LoginRefused('login-failed', 'the provider sends browsers back by GET')
    const answer = new URLSearchParams(exchange.search)
    const [state, ...others] = answer.getAll('state')
    if (state === undefined || others.length > 0 || !/^[\w-]{43}$/.test(state))
      throw new LoginRefused('login-failed', 'it does not say which login it belongs to (state)')
    const sealed = pendingIn(policy, cookies, state)
    const pending = sealed === undefined ? undefined : openPending(policy, sealed)
    // Who began it elsewhere would log this browser in as somebody else.
    if (pending === undefined || pending.state !== state)
      throw new LoginRefused('login-failed', 'it was not begun in this browser, or was done before')
    exchange.changeAnswer({ set: [], add: [cookie(clearPending(policy, state))], remove: [] })
    if (pending.host !== calledHost(exchange)) throw new LoginRefused('login-failed', 'it was begun at another host')
    if (pending.endsAt <= Date.now()) throw new LoginRefused('login-failed', 'it took too long')
    if (this.#used.has(state)) throw new LoginRefused('login-failed', 'it was done before')
    remember(this.#used, state, pending.endsAt)
    const provider = await this.#providers.of(policy)
    const granted = await redeem(policy, provider, pending, `https://${pending.host}${policy.redirectPath}`, answer, askOf(policy))
    const session = await this.#sessionOf(policy, provider, granted, undefined)
    const written = this.#written(policy, session, cookies)
    this.#count(policy, 'done')
    const url = `https://${pending.host}${pending.back}`
    return () => {
      // A cookie that is Strict would not come with what follows a redirect from another site.
      if (policy.cookie.sameSite === 'Strict') return answerPage(exchange, 200, leadingTo(url), headersOf(written))
      redirect(exchange, url, written)
    }
  }

  /** before: what is renewed. */
  async #sessionOf(policy: LoginPolicy, provider: Provider, granted: Granted, before: Session | undefined): Promise<Session> {
    const { accessToken, idToken, refreshToken = before?.refreshToken, expiresAt } = granted
    const verified = idToken === undefined ? undefined : await this.#providers.verify(policy, provider, idToken)
    const claims = verified?.claims ?? before?.claims
    if (claims === undefined) throw new LoginRefused('login-failed', 'it brought no ID token')
    // OpenID Connect Core §12.2.
    if (before !== undefined && claims['sub'] !== before.claims['sub'])
      throw new LoginRefused('login-failed', 'the renewed session is that of somebody else')
    const now = Date.now()
    const endsAt = before?.endsAt ?? now + policy.lifetimeMs
    const { nonce: _, at_hash: __, c_hash: ___, ...told } = claims
    const keptId = policy.idToken === undefined ? undefined : (idToken ?? before?.idToken)
    return {
      id: before?.id ?? crypto.randomUUID(),
      claims: told,
      until: Math.min(endsAt, expiresAt ?? verified?.until ?? now + 60_000),
      endsAt,
      ...(policy.accessToken === undefined ? {} : { accessToken }),
      ...(keptId === undefined ? {} : { idToken: keptId }),
      ...(policy.refreshes && refreshToken !== undefined ? { refreshToken } : {}),
    }
  }

  #written(policy: LoginPolicy, session: Session, cookies: Cookies): readonly string[] {
    const sealed = sealSession(policy, session)
    if (sealed.length > longestSession)
      throw new LoginRefused(
        'login-failed',
        `its session has ${sealed.length} bytes, and browsers take ${longestSession}: forward fewer tokens`,
      )
    const ttlMs = (session.refreshToken === undefined ? session.until : session.endsAt) - Date.now()
    return writeSession(policy, sealed, ttlMs, cookies)
  }

  #give(exchange: Exchange, policy: LoginPolicy, session: Session, cookies: Cookies): void {
    exchange.changeAnswer({ set: [], add: this.#written(policy, session, cookies).map(cookie), remove: [] })
  }

  /** What a browser sends beside each other with the same cookie is renewed once: a provider may take a refresh token as stolen that comes twice. */
  #renewed(policy: LoginPolicy, sealed: string, session: Session): Promise<Session> {
    let renewal = this.#renewals.get(sealed)
    if (renewal === undefined) {
      renewal = this.#renew(policy, session)
      this.#renewals.set(sealed, renewal)
      const forget = (): void => void this.#renewals.delete(sealed)
      const later = (): void => void setTimeout(forget, renewedMs).unref()
      // A no is remembered too: a page that asks every second must not make the proxy ask the provider every second.
      renewal.then(later, thrown => (thrown instanceof LoginRefused && thrown.code === 'login-failed' ? later() : forget()))
    }
    return renewal
  }

  async #renew(policy: LoginPolicy, session: Session): Promise<Session> {
    const provider = await this.#providers.of(policy)
    const granted = await renew(policy, provider, session.refreshToken!, askOf(policy))
    const renewed = await this.#sessionOf(policy, provider, granted, session)
    this.#count(policy, 'renewed')
    return renewed
  }

  async #logOut(exchange: Exchange, policy: LoginPolicy, cookies: Cookies): Promise<() => void> {
    if (exchange.header('sec-fetch-site') === 'cross-site') throw new LoginRefused('login-failed', 'a logout begins at its own site')
    const sealed = sessionIn(policy, cookies)
    const session = sealed === undefined ? undefined : this.#open(policy, sealed)
    if (session !== undefined) {
      remember(this.#ended, session.id, session.endsAt)
      this.#count(policy, 'ended')
    }
    const back = `https://${calledHost(exchange)}${policy.afterLogout}`
    // Whatever becomes of the provider, here the session is over.
    const at = await this.#providers.of(policy).then(
      provider => logoutUrl(policy, provider, back, session?.idToken),
      () => undefined,
    )
    return () => redirect(exchange, session === undefined ? back : (at ?? back), clearSession(policy, cookies))
  }

  #count({ name }: LoginPolicy, outcome: 'begun' | 'done' | 'refused' | 'unavailable' | 'renewed' | 'ended'): void {
    this.#counted.sample([name, outcome]).value++
  }

  #open(policy: LoginPolicy, sealed: string): Session | undefined {
    let opened = this.#opened.get(policy)
    if (opened === undefined) this.#opened.set(policy, (opened = new Map()))
    let session = opened.get(sealed)
    if (session === undefined) {
      session = openSession(policy, sealed)
      if (session === undefined) return undefined
      if (opened.size >= mostKnown) opened.clear()
      opened.set(sealed, session)
    }
    return session.endsAt <= Date.now() || this.#ended.has(session.id) ? undefined : session
  }
}

/** Of what is over nothing is remembered; where there is too much, the oldest goes. */
function remember(list: Map<string, number>, key: string, until: number): void {
  if (list.size >= mostKnown) {
    const now = Date.now()
    for (const [each, at] of list) if (at <= now) list.delete(each)
    if (list.size >= mostKnown) list.delete(list.keys().next().value!)
  }
  list.set(key, until)
}

function take(exchange: Exchange, policy: LoginPolicy, session: Session): void {
  exchange.ends = { at: session.refreshToken === undefined ? session.until : session.endsAt, code: 'login-required' }
  giveClaims(exchange, [policy], policy, session.claims)
  forward(exchange, policy, session)
}

/** Without a session, so that nobody can say who they are. */
function bare(exchange: Exchange, policy: LoginPolicy): void {
  tellClaims(exchange, [policy], [])
  forward(exchange, policy, undefined)
}

/** The workload gets the tokens that it is to have, and never those cookies. */
function forward(exchange: Exchange, policy: LoginPolicy, session: Session | undefined): void {
  withoutCookies(exchange, name => isOwn(policy, name))
  if (policy.accessToken === undefined && policy.idToken === undefined) return
  const set: NameValue[] = []
  const remove: string[] = []
  for (const [told, token] of [
    [policy.accessToken, session?.accessToken],
    [policy.idToken, session?.idToken],
  ] as const) {
    if (told === undefined) continue
    // A bearer token of the caller's own goes on.
    if (token === undefined && session === undefined && told.header === 'authorization') continue
    remove.push(...namesLike(exchange, told.header).filter(name => token === undefined || name !== told.header))
    if (token !== undefined) set.push({ name: told.header, value: `${told.prefix}${token}` })
  }
  const before = exchange.requestChange
  exchange.requestChange = { set: [...(before?.set ?? []), ...set], add: before?.add ?? [], remove: [...(before?.remove ?? []), ...remove] }
}

const noStore: NameValue = { name: 'cache-control', value: 'no-store' }
const cookie = (value: string): NameValue => ({ name: 'set-cookie', value })
const headersOf = (cookies: readonly string[]): readonly string[] => [
  noStore.name,
  noStore.value,
  ...cookies.flatMap(each => ['set-cookie', each]),
]

function redirect(exchange: Exchange, url: string, cookies: readonly string[]): void {
  answerEmpty(exchange, 302, ['location', url, ...headersOf(cookies)])
}

/** RFC 9110 §15.5.2 demands a challenge. */
function unauthorized(exchange: Exchange, { passesBearer }: LoginPolicy, why: string): Failure {
  const realm = `realm="${exchange.entry.listener.service.replaceAll(/[^\w.-]/g, '')}"`
  const value = `${passesBearer ? 'Bearer' : 'Cookie'} ${realm}`
  exchange.changeAnswer({ set: [{ name: 'www-authenticate', value }, noStore], add: [], remove: [] })
  return new Failure('login-required', why)
}

/** As it may stand in a URL: what browsers call a host, with its port. */
function calledHost({ host }: Exchange): string {
  const called = host.toLowerCase()
  if (!/^(?:[a-z0-9_-]+(?:\.[a-z0-9_-]+)*\.?|\[[0-9a-f:.]+\])(?::\d{1,5})?$/.test(called))
    throw new LoginRefused('login-failed', 'Host is no name and no address')
  return called
}

/** Where the browser wanted to go, at this host: it is put behind the host that it called, so that it cannot lead elsewhere. */
function backOf({ path, search }: Exchange): string {
  const back = search === '' ? path : `${path}?${search}`
  return back.startsWith('/') && back.length <= longestBack && /^[\x21-\x7e]+$/.test(back) ? back : '/'
}

const leadingTo = (url: string): string => {
  const shown = url.replaceAll('&', '&amp;').replaceAll('"', '&quot;').replaceAll('<', '&lt;')
  return `<!doctype html><meta charset="utf-8"><meta http-equiv="refresh" content="0;url=${shown}"><title>…</title><a href="${shown}">Go on</a>`
}
