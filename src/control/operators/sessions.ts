/** Sessions of the dashboard: a cookie stands for what somebody proved once. Kept on disk, by the SHA-256 of the cookie, so that a restart logs nobody out. */

import { hashOf, newSecretText } from '#identity/secret-text'
import type { HttpRequest } from '#io/http-server'
import { openDatabase } from '#io/sqlite'

/** What was proved: a token of ours, by its SHA-256; or who the OpenID provider says it is. provider: which one, and how it names people. */
export type Proof =
  | { readonly how: 'token'; readonly hash: string }
  | { readonly how: 'oidc'; readonly provider: string; readonly name: string; readonly groups: readonly string[] }

export type SessionsOptions<Who> = {
  /** A file of its own, or `:memory:`. */
  readonly path: string
  /** Who it is now, asked each time; undefined: nobody any more, and the session is over. */
  readonly whoIs: (proof: Proof) => Who | undefined
  /** Milliseconds since the epoch. */
  readonly now: () => number
}

/** A working day; whoever comes back the next morning logs in again. */
export const sessionLifeMs = 12 * 3_600_000
/** The oldest goes when there are more: first of the same person, who can then end nobody else's. */
const mostOfOne = 50
const mostSessions = 10_000

const tables = `CREATE TABLE IF NOT EXISTS sessions (
  hash TEXT PRIMARY KEY, proof TEXT NOT NULL, begun_at INTEGER NOT NULL, until INTEGER NOT NULL
) WITHOUT ROWID`

type Session = { readonly proof: Proof; readonly until: number }

export class Sessions<Who> implements Disposable {
  readonly #options: SessionsOptions<Who>
  /** By hash, oldest first. */
  readonly #by = new Map<string, Session>()
  readonly #database
  readonly #put
  readonly #remove

  /** Throws DatabaseError. */
  constructor(options: SessionsOptions<Who>) {
    this.#options = options
    this.#database = openDatabase({ path: options.path })
    this.#database.exec(tables)
    this.#put = this.#database.prepare('INSERT INTO sessions VALUES (?, ?, ?, ?)')
    this.#remove = this.#database.prepare('DELETE FROM sessions WHERE hash = ?')
    for (const row of this.#database.prepare('SELECT * FROM sessions ORDER BY begun_at').all())
      this.#by.set(String(row['hash']), { proof: JSON.parse(String(row['proof'])) as Proof, until: Number(row['until']) })
    this.#sweep()
  }

  /** What the cookie is to say. until: not longer than that, ms since the epoch. */
  begin(proof: Proof, until = Number.POSITIVE_INFINITY): { readonly value: string; readonly until: number } {
    this.#sweep()
    const whose = personOf(proof)
    const own = [...this.#by].filter(([, session]) => personOf(session.proof) === whose)
    if (own.length >= mostOfOne) this.#forget(own[0]![0])
    if (this.#by.size >= mostSessions) this.#forget(this.#by.keys().next().value!)
    const value = newSecretText()
    const now = this.#options.now()
    const ends = Math.min(until, now + sessionLifeMs)
    this.#put.run(hashOf(value), JSON.stringify(proof), now, ends)
    this.#by.set(hashOf(value), { proof, until: ends })
    return { value, until: ends }
  }

  find(value: string): { readonly who: Who; readonly until: number } | undefined {
    const session = this.#by.get(hashOf(value))
    if (session === undefined) return undefined
    const who = session.until > this.#options.now() ? this.#options.whoIs(session.proof) : undefined
    if (who === undefined) this.end(value)
    return who === undefined ? undefined : { who, until: session.until }
  }

  end(value: string): void {
    this.#forget(hashOf(value))
  }

  [Symbol.dispose](): void {
    this.#database.close()
  }

  #forget(hash: string): void {
    if (this.#by.delete(hash)) this.#remove.run(hash)
  }

  #sweep(): void {
    const now = this.#options.now()
    for (const [hash, { until }] of this.#by) if (until <= now) this.#forget(hash)
  }
}

const personOf = (proof: Proof): string => (proof.how === 'token' ? proof.hash : `${proof.provider} ${proof.name}`)

/** Over TLS the name itself says that no other host and no plain page set it (RFC 6265bis §4.1.3.2). */
export const sessionCookie = (isSecure: boolean): string => (isSecure ? '__Host-weft-session' : 'weft-session')
export const loginCookie = (isSecure: boolean): string => (isSecure ? '__Host-weft-login' : 'weft-login')

export function cookieOf({ headers }: Pick<HttpRequest, 'headers'>, name: string): string | undefined {
  for (const pair of (headers['cookie'] ?? '').split(';')) {
    const at = pair.indexOf('=')
    if (at > 0 && pair.slice(0, at).trim() === name) return pair.slice(at + 1).trim()
  }
  return undefined
}

/** sameSite Lax only for what must come along when another site sends the browser back here. lifeMs 0: take it away. */
export function setCookie(
  name: string,
  value: string,
  { isSecure, lifeMs, sameSite = 'Strict' }: { readonly isSecure: boolean; readonly lifeMs: number; readonly sameSite?: 'Strict' | 'Lax' },
): string {
  const parts = [`${name}=${value}`, 'Path=/', 'HttpOnly', `SameSite=${sameSite}`, `Max-Age=${Math.max(0, Math.floor(lifeMs / 1000))}`]
  return [...parts, ...(isSecure ? ['Secure'] : [])].join('; ')
}
