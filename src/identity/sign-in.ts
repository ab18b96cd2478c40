/**
 * Sign-in by an OpenID provider: tokens that programs bring are verified with its keys, people are sent there and come back with a code (openid.ts). What is
 * known of the provider is kept, and asked for again when it is old or no key fits.
 */

import { KeyRing, readJwt, TokenRefused, type Verified } from './jwt.ts'
import { type Ask, begin, type Begun, discover, type LoginClient, LoginRefused, type Provider, redeem } from './openid.ts'

export type SignInOptions = Pick<LoginClient, 'issuer' | 'clientId' | 'scopes'> & {
  /** Asked at each use; '': a public client. */
  readonly secret: () => Promise<string>
  /** One of them must be among those of a token that a program brings. */
  readonly audiences: readonly string[]
  readonly ask: Ask
  /** Milliseconds since the epoch. */
  readonly now: () => number
}

/** What has to be kept between begin and finish, bound to the browser. */
export type Pending = Begun & { readonly redirectUri: string }

type Known = { readonly provider: Provider; readonly ring: KeyRing; readonly at: number }
type Jwk = Parameters<typeof KeyRing.of>[0][number]

const skewMs = 30_000
/** Asked for again after this long, and when no key fits, though no more often than that. */
const freshMs = 600_000
const seldomMs = 10_000

export class SignIn {
  readonly #options: SignInOptions
  #known: Known | undefined
  #asking: Promise<Known> | undefined
  #askedAt = Number.NEGATIVE_INFINITY
  constructor(options: SignInOptions) {
    this.#options = options
  }

  /** Of a token that a caller brought. Throws TokenRefused, or LoginRefused where the provider does not answer. */
  async verify(text: string, audiences = this.#options.audiences): Promise<Verified> {
    const { issuer, now } = this.#options
    const token = readJwt(text)
    if (token.issuer !== issuer) throw new TokenRefused('its issuer is another')
    let known = await this.#provider()
    if (!known.ring.mayKnow(token)) known = await this.#provider(true)
    return known.ring.verify(token, { issuer, audiences, skewMs }, now())
  }

  /** Where to send the browser. Throws LoginRefused. */
  async begin(redirectUri: string): Promise<{ readonly url: string; readonly pending: Pending }> {
    const { provider } = await this.#provider()
    const { url, ...begun } = await begin(await this.#client(), provider, redirectUri)
    return { url, pending: { ...begun, redirectUri } }
  }

  /** answer: the query with which the browser came back. Throws LoginRefused, TokenRefused. */
  async finish(answer: URLSearchParams, { redirectUri, ...begun }: Pending): Promise<Verified> {
    const { provider } = await this.#provider()
    const { idToken } = await redeem(await this.#client(), provider, begun, redirectUri, answer, this.#options.ask)
    return this.verify(idToken!, [this.#options.clientId])
  }

  async #client(): Promise<LoginClient> {
    const { issuer, clientId, scopes, secret } = this.#options
    const ways = this.#known?.provider.server.token_endpoint_auth_methods_supported
    // RFC 6749 §2.3.1: every server takes Basic, unless it says others.
    const secretIn = ways !== undefined && !ways.includes('client_secret_basic') ? 'body' : 'header'
    return { issuer, clientId, scopes, secret: await secret(), secretIn, parameters: [] }
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
      if (known !== undefined && thrown instanceof LoginRefused) return known
      throw thrown
    }
  }

  async #ask(): Promise<Known> {
    const { ask, now } = this.#options
    const provider = await discover(this.#options, ask)
    const wrong = (says: string): LoginRefused => new LoginRefused('login-unavailable', `the keys of the provider cannot be had: ${says}`)
    const reply = await ask({ url: provider.jwksUri, method: 'GET', headers: { accept: 'application/json' } }).catch((thrown: unknown) => {
      throw wrong(thrown instanceof Error ? thrown.message : String(thrown))
    })
    if (reply.status !== 200) throw wrong(`it answers ${reply.status}`)
    return { provider, ring: await KeyRing.of(keysIn(reply.body, wrong).flatMap(withAlgorithm)), at: now() }
  }
}

function keysIn(text: string, wrong: (says: string) => LoginRefused): readonly unknown[] {
  try {
    const { keys } = JSON.parse(text) as { keys?: unknown }
    if (Array.isArray(keys)) return keys
  } catch {
    // The same as no list.
  }
  throw wrong('it lists none')
}

const fitting: Readonly<Record<string, readonly string[]>> = {
  RSA: ['RS256', 'PS256', 'RS384', 'RS512', 'PS384', 'PS512'],
  'EC P-256': ['ES256'],
  'EC P-384': ['ES384'],
  'EC P-521': ['ES512'],
  'OKP Ed25519': ['EdDSA'],
}

/** Of a key that does not say its algorithm, those that fit its type; symmetric keys and keys for encryption are none. */
function withAlgorithm(key: unknown): Jwk[] {
  if (typeof key !== 'object' || key === null) return []
  const jwk = key as Jwk & { readonly use?: string; readonly crv?: string }
  if (jwk.use !== undefined && jwk.use !== 'sig') return []
  const algorithms = fitting[jwk.kty === 'RSA' ? 'RSA' : `${jwk.kty} ${jwk.crv}`] ?? []
  return algorithms.filter(alg => jwk.alg === undefined || jwk.alg === alg).map(alg => ({ ...jwk, alg }))
}
