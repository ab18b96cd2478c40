/**
 * Tokens (JWT) that routes ask for: found where their policy says, verified once, and what they say given to rules and to the workload.
 *
 *   places ─▶ none: 401 or on · two: 401 ─▶ verified before? ─▶ read ─▶ keys of its issuer ─▶ verify ─▶ claims, headers, without the token
 */

import { Failure } from '#base/failure'
import type { Log } from '#base/log'
import { type KeyRing, readJwt, TokenRefused, type Verified } from '#identity/jwt'
import { plainName } from '#model/claim-headers'
import { type Claims, claimPath, headerOf } from '#model/claims'
import type { NameValue } from '#model/filter'
import type { TokenIssuer, TokenPlace, TokenPolicy } from '#model/token'
import type { Exchange } from '../requests/exchange.ts'
import { TokenKeys, type Fetch } from './token-keys.ts'
import { findTokens, type Found, withoutToken } from './token-places.ts'

/** So many verified tokens of one issuer are remembered. */
const mostKnown = 2_000
type Known = Verified & { readonly ring: KeyRing }

export class Tokens {
  readonly #keys: TokenKeys
  readonly #known = new WeakMap<TokenIssuer, Map<string, Known>>()

  constructor(log: Log, fetch?: Fetch) {
    this.#keys = new TokenKeys(log, fetch)
  }

  /** Calls `goOn` now or later, or throws why not, or gives it to `refuse` later. A caller that is gone meanwhile gets neither. */
  admit(exchange: Exchange, policy: TokenPolicy, goOn: () => void, refuse: (thrown: unknown) => void): void {
    let found: Found | undefined
    try {
      found = this.#only(exchange, policy)
    } catch (thrown) {
      throw refusal(exchange, thrown)
    }
    if (found === undefined) {
      tellClaims(exchange, policy.issuers, [])
      return goOn()
    }
    const { text, place } = found
    for (const issuer of policy.issuers) {
      const known = takenAt(issuer, place) ? this.#remembered(issuer, text) : undefined
      if (known !== undefined) {
        take(exchange, policy, issuer, known, place)
        return goOn()
      }
    }
    exchange.wasHeldUp = true
    this.#verify(policy, found)
      .then(({ issuer, verified }) => {
        if (exchange.isGone) return
        take(exchange, policy, issuer, verified, place)
        goOn()
      })
      .catch((thrown: unknown) => {
        if (!exchange.isGone) refuse(refusal(exchange, thrown))
      })
  }

  /** The one token; undefined: none, where there need not be one. */
  #only(exchange: Exchange, policy: TokenPolicy): Found | undefined {
    const [found, ...others] = findTokens(exchange, placesOf(policy))
    if (others.length > 0) throw new TokenRefused('there is more than one')
    if (found === undefined && policy.isRequired) throw new Failure('token-missing', policy.name)
    return found
  }

  async #verify(policy: TokenPolicy, { text, place }: Found): Promise<{ readonly issuer: TokenIssuer; readonly verified: Verified }> {
    const token = readJwt(text)
    const issuer = policy.issuers.find(each => each.issuer === token.issuer && takenAt(each, place))
    if (issuer === undefined) throw new TokenRefused('its issuer is none that is taken here')
    const ring = await this.#keys.for(issuer, token)
    const verified = await ring.verify(token, issuer, Date.now())
    let known = this.#known.get(issuer)
    if (known === undefined) this.#known.set(issuer, (known = new Map()))
    if (known.size >= mostKnown) known.clear()
    known.set(text, { ...verified, ring })
    return { issuer, verified }
  }

  /** As long as it holds and its keys are the same. */
  #remembered(issuer: TokenIssuer, text: string): Known | undefined {
    const list = this.#known.get(issuer)
    const known = list?.get(text)
    if (known === undefined) return undefined
    if (known.until > Date.now() && (issuer.keys.type === 'inline' || this.#keys.now(issuer) === known.ring)) return known
    list!.delete(text)
    return undefined
  }
}

const places = new WeakMap<TokenPolicy, readonly TokenPlace[]>()

/** Of all its issuers, each once. */
function placesOf(policy: TokenPolicy): readonly TokenPlace[] {
  let found = places.get(policy)
  if (found === undefined) {
    const all = policy.issuers.flatMap(({ from }) => from)
    places.set(policy, (found = all.filter((place, at) => all.findIndex(other => isSame(place, other)) === at)))
  }
  return found
}

const isSame = (one: TokenPlace, other: TokenPlace): boolean =>
  one.type === other.type && one.name === other.name && (one.type !== 'header' || other.type !== 'header' || one.prefix === other.prefix)

const takenAt = ({ from }: TokenIssuer, place: TokenPlace): boolean => from.some(each => isSame(each, place))

function take(exchange: Exchange, policy: TokenPolicy, issuer: TokenIssuer, { claims, until }: Verified, place: TokenPlace): void {
  // A login before it may end sooner.
  if (policy.isBoundToToken === true && !(exchange.ends !== undefined && exchange.ends.at <= until))
    exchange.ends = { at: until, code: 'token-expired' }
  giveClaims(exchange, policy.issuers, issuer, claims)
  if (!issuer.forward) withoutToken(exchange, place)
}

type Telling = Pick<TokenIssuer, 'claimsToHeaders'>

/** To rules, and in headers to the workload. all: who of them might have told something. */
export function giveClaims(exchange: Exchange, all: readonly Telling[], { claimsToHeaders }: Telling, claims: Claims): void {
  exchange.claims = claims
  const set = claimsToHeaders.flatMap(({ claim, header }): readonly NameValue[] => {
    const value = headerOf(claims, claimPath(claim))
    return value === undefined ? [] : [{ name: header, value }]
  })
  tellClaims(exchange, all, set)
}

/** What is told of tokens is told by nobody else, to rules and to the workload: not in another spelling, which servers of CGI's kind take for the same. */
export function tellClaims(exchange: Exchange, all: readonly Telling[], set: readonly NameValue[]): void {
  const names = all.flatMap(({ claimsToHeaders }) => claimsToHeaders.map(({ header }) => header))
  if (names.length === 0) return
  const own = new Set(names.map(plainName))
  const { fields } = exchange.head
  const remove = fields.flatMap((name, at) => (at % 2 === 0 && own.has(plainName(name)) ? [name.toLowerCase()] : []))
  exchange.claimHeaders = new Map([
    ...(exchange.claimHeaders ?? []),
    ...[...names, ...remove].map(name => [name, undefined] as const),
    ...set.map(({ name, value }) => [name, value] as const),
  ])
  const before = exchange.requestChange
  // Who tells later has the last word, also where it says nothing.
  const kept = (before?.set ?? []).filter(each => !own.has(plainName(each.name)))
  exchange.requestChange = { set: [...kept, ...set], add: before?.add ?? [], remove: [...(before?.remove ?? []), ...remove] }
}

/** RFC 6750 §3: with it, the answer says how to come. */
function refusal(exchange: Exchange, thrown: unknown): unknown {
  const realm = `Bearer realm="${exchange.entry.listener.service.replaceAll(/[^\w.-]/g, '')}"`
  const say = (value: string): void => exchange.changeAnswer({ set: [{ name: 'www-authenticate', value }], add: [], remove: [] })
  if (thrown instanceof Failure) {
    if (thrown.code === 'token-missing') say(realm)
    return thrown
  }
  if (!(thrown instanceof TokenRefused)) return thrown
  say(`${realm}, error="invalid_token", error_description="${thrown.message}"`)
  return new Failure(thrown.code, thrown.message)
}
