/**
 * Sign-in by an OpenID provider: the tokens that programs bring are verified, people are sent there and come back with a code.
 *
 *   begin: to the provider, with state, nonce and the challenge of PKCE (RFC 7636) ──▶ finish: code ──▶ ID token, verified ──▶ claims
 *
 * OpenID Connect Core 1.0 §3.1, Discovery 1.0; RFC 9700 on how not to be fooled.
 */

import type { AuthorizationServer } from 'oauth4webapi'
import { KeyRing, readJwt, TokenRefused, type Verified } from './jwt.ts'

export type ProviderOptions = {
  readonly issuer: string
  readonly clientId: string
  /** Asked at each use; undefined: a public client. */
  readonly clientSecret: () => Promise<string | undefined>
  /** One of them must be among those of a token. */
  readonly audiences: readonly string[]
  readonly scopes: readonly string[]
  readonly fetch: typeof fetch
  /** Milliseconds since the epoch. */
  readonly now: () => number
}

/** What has to be kept between begin and finish, by the browser's side of it only. */
export type Pending = { readonly state: string; readonly nonce: string; readonly verifier: string; readonly redirectUri: string }

/** The provider does not answer, or not as one: its keys are not known, and nobody can be judged. */
export class NoProvider extends Error {}

type Known = { readonly server: AuthorizationServer; readonly ring: KeyRing; readonly at: number }
type Jwk = Parameters<typeof KeyRing.of>[0][number]

const skewMs = 30_000
/** Keys are asked for again after this long, and when none fits, though no more often than that. */
const freshMs = 600_000
const seldomMs = 10_000
const patienceMs = 10_000

export class SignIn {
  readonly #options: ProviderOptions
  #known: Known | undefined
  #asking: Promise<Known> | undefined
  #askedAt = Number.NEGATIVE_INFINITY
  constructor(options: ProviderOptions) {
    this.#options = options
  }

  /** Of a token that a caller brought. Throws TokenRefused, or NoProvider. */
  async verify(text: string, audiences = this.#options.audiences): Promise<Verified> {
    const { issuer, now } = this.#options
    const token = readJwt(text)
    if (token.issuer !== issuer) throw new TokenRefused('its issuer is another')
    let known = await this.#provider()
    if (!known.ring.mayKnow(token)) known = await this.#provider(true)
    return known.ring.verify(token, { issuer, audiences, skewMs }, now())
  }

  /** Where to send the browser. */
  async begin(redirectUri: string): Promise<{ readonly url: string; readonly pending: Pending }> {
    const oauth = await import('oauth4webapi')
    const { server } = await this.#provider()
    const { clientId, scopes, issuer } = this.#options
    if (server.authorization_endpoint === undefined) throw new NoProvider(`${issuer} names no authorization_endpoint`)
    const pending = {
      state: oauth.generateRandomState(),
      nonce: oauth.generateRandomNonce(),
      verifier: oauth.generateRandomCodeVerifier(),
      redirectUri,
    }
    const url = new URL(server.authorization_endpoint)
    const asked = {
      client_id: clientId,
      redirect_uri: redirectUri,
      response_type: 'code',
      scope: [...new Set(['openid', ...scopes])].join(' '),
      code_challenge: await oauth.calculatePKCECodeChallenge(pending.verifier),
      code_challenge_method: 'S256',
      state: pending.state,
      nonce: pending.nonce,
    }
    for (const [name, value] of Object.entries(asked)) url.searchParams.set(name, value)
    return { url: url.href, pending }
  }

  /** callback: the whole address to which the browser came back. Throws TokenRefused with what the provider said, or NoProvider. */
  async finish(callback: URL, { state, nonce, verifier, redirectUri }: Pending): Promise<Verified> {
    const oauth = await import('oauth4webapi')
    const { server } = await this.#provider()
    const { clientId, clientSecret } = this.#options
    const client = { client_id: clientId }
    const secret = await clientSecret()
    try {
      const parameters = oauth.validateAuthResponse(server, client, callback, state)
      const authentication = secret === undefined ? oauth.None() : this.#secretAs(oauth, server, secret)
      const reply = await oauth.authorizationCodeGrantRequest(server, client, authentication, parameters, redirectUri, verifier, {
        ...this.#asks(oauth),
      })
      const answer = await oauth.processAuthorizationCodeResponse(server, client, reply, { expectedNonce: nonce, requireIdToken: true })
      return await this.verify(answer.id_token!, [clientId])
    } catch (thrown) {
      if (thrown instanceof TokenRefused || thrown instanceof NoProvider) throw thrown
      throw new TokenRefused(`the login did not come about: ${tell(thrown)}`)
    }
  }

  /** RFC 6749 §2.3.1: every server takes Basic, unless it says others. */
  #secretAs(oauth: typeof import('oauth4webapi'), server: AuthorizationServer, secret: string) {
    const ways = server.token_endpoint_auth_methods_supported
    return ways !== undefined && !ways.includes('client_secret_basic') ? oauth.ClientSecretPost(secret) : oauth.ClientSecretBasic(secret)
  }

  #asks(oauth: typeof import('oauth4webapi')) {
    return {
      [oauth.customFetch]: this.#options.fetch as never,
      // Whoever configures an http issuer was let only on this machine.
      [oauth.allowInsecureRequests]: this.#options.issuer.startsWith('http:'),
      signal: () => AbortSignal.timeout(patienceMs),
    }
  }

  /** again: although it is known, since its keys may be others now. What was known stays where it does not answer. */
  async #provider(again = false): Promise<Known> {
    const { now } = this.#options
    const known = this.#known
    const isFresh = known !== undefined && now() - known.at < freshMs && !again
    if (isFresh || (known !== undefined && now() - this.#askedAt < seldomMs)) return known
    this.#askedAt = now()
    this.#asking ??= this.#ask().finally(() => (this.#asking = undefined))
    try {
      return (this.#known = await this.#asking)
    } catch (thrown) {
      if (known !== undefined) return known
      throw new NoProvider(`the OpenID provider ${this.#options.issuer} cannot be used: ${tell(thrown)}`)
    }
  }

  async #ask(): Promise<Known> {
    const oauth = await import('oauth4webapi')
    const { issuer, fetch: send, now } = this.#options
    const url = new URL(issuer)
    const server = await oauth.processDiscoveryResponse(url, await oauth.discoveryRequest(url, this.#asks(oauth)))
    if (server.jwks_uri === undefined) throw new Error('it names no jwks_uri')
    const reply = await send(server.jwks_uri, { headers: { accept: 'application/json' }, signal: AbortSignal.timeout(patienceMs) })
    if (!reply.ok) throw new Error(`${server.jwks_uri} answered ${reply.status}`)
    const { keys } = (await reply.json()) as { keys?: unknown }
    if (!Array.isArray(keys)) throw new Error(`${server.jwks_uri} lists no keys`)
    return { server, ring: await KeyRing.of(keys.flatMap(withAlgorithm)), at: now() }
  }
}

/** Of a key that does not say its algorithm, those that fit its type; symmetric keys and keys for encryption are none. */
function withAlgorithm(key: unknown): Jwk[] {
  if (typeof key !== 'object' || key === null) return []
  const jwk = key as Jwk & { readonly use?: string; readonly crv?: string }
  if (jwk.use !== undefined && jwk.use !== 'sig') return []
  const fitting: Readonly<Record<string, readonly string[]>> = {
    RSA: ['RS256', 'PS256', 'RS384', 'RS512', 'PS384', 'PS512'],
    'EC P-256': ['ES256'],
    'EC P-384': ['ES384'],
    'EC P-521': ['ES512'],
    'OKP Ed25519': ['EdDSA'],
  }
  const algorithms = fitting[jwk.kty === 'RSA' ? 'RSA' : `${jwk.kty} ${jwk.crv}`] ?? []
  return algorithms.filter(alg => jwk.alg === undefined || jwk.alg === alg).map(alg => ({ ...jwk, alg }))
}

/** With what lies behind it: oauth4webapi puts what the provider said into the cause. */
function tell(thrown: unknown): string {
  if (!(thrown instanceof Error)) return String(thrown)
  const { error, error_description: description } = thrown as { error?: unknown; error_description?: unknown }
  if (typeof error === 'string') return typeof description === 'string' ? `${error}: ${description}` : error
  const cause = thrown.cause instanceof Error ? `: ${thrown.cause.message}` : ''
  return `${thrown.message}${cause}`
}
