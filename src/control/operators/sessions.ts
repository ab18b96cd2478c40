/** Sessions of the dashboard: a cookie stands for what somebody proved once. In memory: who restarts the control plane logs everybody out. */

import { hashOf, newSecretText } from '#identity/secret-text'
import type { HttpRequest } from '#io/http-server'

/** Who it is now; undefined: the proof holds no more. */
type Proof<Who> = () => Who | undefined

/** A working day; whoever comes back the next morning logs in again. */
export const sessionLifeMs = 12 * 3_600_000
/** The oldest goes when there are more. */
const mostSessions = 10_000

export class Sessions<Who> {
  readonly #now: () => number
  readonly #by = new Map<string, { readonly proof: Proof<Who>; readonly until: number }>()
  constructor(now: () => number) {
    this.#now = now
  }

  /** What the cookie is to say. until: not longer than that, ms since the epoch. */
  begin(proof: Proof<Who>, until = Number.POSITIVE_INFINITY): { readonly value: string; readonly until: number } {
    if (this.#by.size >= mostSessions) this.#by.delete(this.#by.keys().next().value!)
    const value = newSecretText()
    const ends = Math.min(until, this.#now() + sessionLifeMs)
    this.#by.set(hashOf(value), { proof, until: ends })
    return { value, until: ends }
  }

  find(value: string): { readonly who: Who; readonly until: number } | undefined {
    const session = this.#by.get(hashOf(value))
    const who = session && session.until > this.#now() ? session.proof() : undefined
    if (session && who === undefined) this.end(value)
    return session && who !== undefined ? { who, until: session.until } : undefined
  }

  end(value: string): void {
    this.#by.delete(hashOf(value))
  }
}

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
