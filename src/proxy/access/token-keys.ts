/** The keys of issuers: those that were given once for all, and those that are asked for at a URL, kept until others come. */

import { Failure } from '#base/failure'
import type { Log } from '#base/log'
import { KeyRing, type Unverified } from '#identity/jwt'
import { askHttp } from '#io/ask-http'
import { pinnedKeys } from '#model/jwks'
import type { FetchedKeys, TokenIssuer } from '#model/token'

/** After a question, whether it was answered or not, the next one for a token that no key fits waits so long: anybody can write tokens. */
const leastPauseMs = 5_000
/** After one without an answer the next request asks again no sooner. */
const againMs = 1_000
/** Requests use keys that are older than `refresh`, while new ones are asked for; not keys so many times as old. */
const oldestTimes = 2

/** url: what is kept of one. Times are of performance.now(). */
type Source = {
  ring: KeyRing | undefined
  gotAt: number
  askedAt: number
  nextAt: number
  asking: Promise<void> | undefined
  why: string
}

export type Fetch = (url: string, timeoutMs: number) => Promise<{ readonly status: number; readonly body: string }>

const byHttp: Fetch = (url, timeoutMs) => askHttp({ url, timeoutMs, headers: { accept: 'application/jwk-set+json, application/json' } })

export class TokenKeys {
  readonly #log: Log
  readonly #fetch: Fetch
  readonly #now: () => number
  readonly #given = new WeakMap<TokenIssuer, Promise<KeyRing>>()
  readonly #sources = new Map<string, Source>()

  constructor(log: Log, fetch: Fetch = byHttp, now: () => number = () => performance.now()) {
    this.#log = log
    this.#fetch = fetch
    this.#now = now
  }

  /** The keys by which this token may be verified. Throws `keys-unavailable` where there are none yet. */
  async for(issuer: TokenIssuer, token: Unverified): Promise<KeyRing> {
    const { keys } = issuer
    if (keys.type === 'url') return this.#fetched(issuer, keys, token)
    let given = this.#given.get(issuer)
    if (given === undefined) this.#given.set(issuer, (given = KeyRing.of(pinnedKeys(keys.jwks, algorithmsIn(keys.jwks)))))
    const ring = await given
    if (ring.size === 0) throw new Failure('keys-unavailable', `${issuer.name} has no keys`)
    return ring
  }

  /** The keys now in use, to which tokens that were verified before still belong; undefined: look again. */
  now(issuer: TokenIssuer): KeyRing | undefined {
    const { keys } = issuer
    if (keys.type !== 'url') return undefined
    const source = this.#sources.get(keyOf(keys))
    if (source?.ring === undefined) return undefined
    if (this.#now() < source.nextAt) return source.ring
    if (this.#isTooOld(keys, source)) return undefined
    void this.#ask(issuer, keys, source)
    return source.ring
  }

  async #fetched(issuer: TokenIssuer, keys: FetchedKeys, token: Unverified): Promise<KeyRing> {
    const source = this.#sourceOf(keys)
    if (this.#now() >= source.nextAt) {
      const asked = this.#ask(issuer, keys, source)
      if (source.ring === undefined || this.#isTooOld(keys, source)) await asked
    }
    if (source.ring !== undefined && !source.ring.mayKnow(token)) {
      // It may be signed by a key that came since.
      if (source.asking !== undefined || this.#now() - source.askedAt >= leastPauseMs) await this.#ask(issuer, keys, source)
    }
    if (source.ring === undefined) throw new Failure('keys-unavailable', `${issuer.name}: ${source.why}`)
    return source.ring
  }

  /** Of a source that fails, the last good ones are never too old. */
  #isTooOld = ({ refreshMs }: FetchedKeys, { gotAt, why }: Source): boolean => why === '' && this.#now() - gotAt > refreshMs * oldestTimes

  #sourceOf(keys: FetchedKeys): Source {
    const key = keyOf(keys)
    let source = this.#sources.get(key)
    if (source === undefined)
      this.#sources.set(
        key,
        (source = {
          ring: undefined,
          gotAt: 0,
          askedAt: Number.NEGATIVE_INFINITY,
          nextAt: Number.NEGATIVE_INFINITY,
          asking: undefined,
          why: '',
        }),
      )
    return source
  }

  /** Once at a time; never rejects. What cannot be had or read leaves what was there. */
  #ask(issuer: TokenIssuer, keys: FetchedKeys, source: Source): Promise<void> {
    source.asking ??= this.#get(keys)
      .then(
        ring => {
          if (source.why !== '') this.#log.info(`the keys of ${issuer.name} can be had again`, { url: keys.url })
          source.ring = ring
          source.why = ''
          source.gotAt = this.#now()
          // Not all proxies at once.
          source.nextAt = source.gotAt + keys.refreshMs * (0.8 + 0.2 * Math.random())
        },
        (thrown: unknown) => {
          const why = thrown instanceof Error ? thrown.message : String(thrown)
          if (source.why !== why)
            this.#log.warn(`the keys of ${issuer.name} could not be had${source.ring === undefined ? '' : '; those of before are used'}`, {
              url: keys.url,
              reason: why,
            })
          source.why = why
          source.nextAt = this.#now() + againMs
        },
      )
      .then(() => {
        source.askedAt = this.#now()
        source.asking = undefined
      })
    return source.asking
  }

  async #get({ url, timeoutMs, algorithms }: FetchedKeys): Promise<KeyRing> {
    const { status, body } = await this.#fetch(url, timeoutMs)
    if (status !== 200) throw new Error(`${new URL(url).origin} answers ${status}`)
    const ring = await KeyRing.of(pinnedKeys(body, algorithms))
    if (ring.size === 0) throw new Error(`no key in it can verify by ${algorithms.join(', ')}`)
    return ring
  }
}

const keyOf = ({ url, algorithms }: FetchedKeys): string => `${algorithms.join()} ${url}`

/** Each key of a set that was given has its own. */
const algorithmsIn = (jwks: string): readonly string[] => [
  ...new Set((JSON.parse(jwks) as { keys: readonly { alg?: string }[] }).keys.flatMap(({ alg }) => alg ?? [])),
]
