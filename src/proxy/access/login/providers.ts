/** Providers of OpenID Connect as this proxy knows them: what they say of themselves, kept a while, and what their ID tokens say, verified. */

import type { Log } from '#base/log'
import { readJwt, TokenRefused, type Verified } from '#identity/jwt'
import { type Ask, discover, LoginRefused, type Provider } from '#identity/openid'
import { Failure } from '#base/failure'
import { askHttp } from '#io/ask-http'
import type { LoginPolicy } from '#model/login'
import type { TokenIssuer } from '#model/token'
import { type Fetch, TokenKeys } from '../token-keys.ts'

/** What a provider says of itself is asked for again so often; while it does not answer, what was said before holds. */
const freshMs = 600_000
/** After a question without an answer the next one waits so long. */
const againMs = 1_000

type Known = { provider: Provider | undefined; askedAt: number; why: LoginRefused | undefined; asking: Promise<void> | undefined }

const skewMs = 60_000
/** HS256 is none of these: who has the client's secret could write ID tokens. */
const taken = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA']

export class Providers {
  readonly #log: Log
  /** By the roots by which the provider is known; '': those of the machine. */
  readonly #keys = new Map<string, TokenKeys>()
  readonly #known = new Map<string, Known>()
  readonly #issuers = new WeakMap<LoginPolicy, { readonly of: Provider; readonly issuer: TokenIssuer }>()

  constructor(log: Log) {
    this.#log = log
  }

  /** Throws LoginRefused where nothing is known of it. */
  async of(policy: LoginPolicy): Promise<Provider> {
    const key = `${policy.issuer} ${policy.ca ?? ''}`
    let known = this.#known.get(key)
    if (known === undefined)
      this.#known.set(key, (known = { provider: undefined, askedAt: Number.NEGATIVE_INFINITY, why: undefined, asking: undefined }))
    const age = performance.now() - known.askedAt
    if (age > (known.why === undefined ? freshMs : againMs)) void this.#discover(policy, known)
    if (known.provider === undefined) await known.asking
    if (known.provider === undefined) throw known.why ?? new LoginRefused('login-unavailable', 'the provider is not known yet')
    return known.provider
  }

  /** Once at a time; never rejects. */
  #discover(policy: LoginPolicy, known: Known): Promise<void> {
    return (known.asking ??= discover(policy, askOf(policy))
      .then(
        provider => {
          if (known.why !== undefined) this.#log.info('the provider of logins answers again', { issuer: policy.issuer })
          known.provider = provider
          known.why = undefined
        },
        (thrown: unknown) => {
          const why = thrown instanceof LoginRefused ? thrown : new LoginRefused('login-unavailable', String(thrown))
          if (known.why?.message !== why.message)
            this.#log.warn('the provider of logins is not to be had', { issuer: policy.issuer, reason: why.message })
          known.why = why
        },
      )
      .then(() => {
        known.askedAt = performance.now()
        known.asking = undefined
      }))
  }

  /** What an ID token says, by the keys of its provider. Throws LoginRefused. */
  async verify(policy: LoginPolicy, provider: Provider, idToken: string): Promise<Verified> {
    try {
      const token = readJwt(idToken)
      const issuer = this.#issuerOf(policy, provider)
      return await (await this.#keysBy(policy).for(issuer, token)).verify(token, issuer, Date.now())
    } catch (thrown) {
      if (thrown instanceof TokenRefused) throw new LoginRefused('login-failed', `its ID token is not taken: ${thrown.message}`)
      if (thrown instanceof Failure) throw new LoginRefused('login-unavailable', thrown.says)
      throw thrown
    }
  }

  #keysBy({ ca = '' }: LoginPolicy): TokenKeys {
    let keys = this.#keys.get(ca)
    if (keys === undefined) {
      const fetch: Fetch = (url, timeoutMs) => askHttp({ url, timeoutMs, ca: ca || undefined, headers: { accept: 'application/json' } })
      this.#keys.set(ca, (keys = new TokenKeys(this.#log, fetch)))
    }
    return keys
  }

  #issuerOf(policy: LoginPolicy, provider: Provider): TokenIssuer {
    const known = this.#issuers.get(policy)
    if (known?.of === provider) return known.issuer
    const issuer: TokenIssuer = {
      name: policy.name,
      issuer: policy.issuer,
      audiences: [policy.clientId],
      keys: {
        type: 'url',
        url: provider.jwksUri,
        backend: '',
        refreshMs: 300_000,
        timeoutMs: policy.timeoutMs,
        algorithms: provider.algorithms.filter(each => taken.includes(each)).sort(),
      },
      from: [],
      forward: false,
      claimsToHeaders: [],
      skewMs,
    }
    this.#issuers.set(policy, { of: provider, issuer })
    return issuer
  }
}

export const askOf =
  ({ timeoutMs, ca }: LoginPolicy): Ask =>
  question =>
    askHttp({ ...question, timeoutMs, ca })
