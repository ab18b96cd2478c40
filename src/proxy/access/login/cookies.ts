/** The cookies of a login (RFC 6265bis): a session that may need several, and one for each login under way. */

import type { LoginPolicy } from '#model/login'
import type { Fields } from '#wire/http1'

/** Browsers take 4,096 bytes of name, value and attributes together. */
const mostBytes = 3_800
const mostParts = 4
/** A login that takes longer is begun again. */
export const loginMs = 600_000
/** So many may be under way in one browser; further ones take the place of all of them. */
const mostPending = 8

/** How long a sealed session may be. */
export const longestSession = mostBytes * mostParts

/** No name of a policy has a ~ in it, so that parts of one are no cookies of another. `__Host-`: of this host alone, from HTTPS alone, whatever other hosts of the domain set. */
const sessionName = ({ cookie }: LoginPolicy): string => `${cookie.domain === undefined ? '__Host-' : '__Secure-'}${cookie.name}`
const pendingStart = ({ cookie }: LoginPolicy): string => `__Host-${cookie.name}.`
/** Each tab its own; the state itself stands in it, sealed. */
const pendingName = (policy: LoginPolicy, state: string): string => `${pendingStart(policy)}${state.slice(0, 16)}`

/** Whether it is one of these. */
export function isOwn(policy: LoginPolicy, name: string): boolean {
  const own = sessionName(policy)
  return name === own || name.startsWith(`${own}~`) || name.startsWith(pendingStart(policy))
}

export type Cookies = ReadonlyMap<string, string>

/** The first of each name. */
export function cookiesIn(fields: Fields): Cookies {
  const found = new Map<string, string>()
  for (let at = 0; at < fields.length; at += 2) {
    if (fields[at]!.length !== 6 || fields[at]!.toLowerCase() !== 'cookie') continue
    for (const pair of fields[at + 1]!.split(';')) {
      const equals = pair.indexOf('=')
      const name = pair.slice(0, Math.max(0, equals)).trim()
      if (name !== '' && !found.has(name)) found.set(name, pair.slice(equals + 1).trim())
    }
  }
  return found
}

/** The sealed session; undefined: there is none, or a part of it is missing. */
export function sessionIn(policy: LoginPolicy, cookies: Cookies): string | undefined {
  const name = sessionName(policy)
  const first = cookies.get(name)
  const [, count, text = ''] = /^([1-9])\.([\w-]+)$/.exec(first ?? '') ?? []
  if (count === undefined) return undefined
  let whole = text
  for (let part = 2; part <= Number(count); part++) {
    const more = cookies.get(`${name}~${part}`)
    if (more === undefined) return undefined
    whole += more
  }
  return whole
}

export const pendingIn = (policy: LoginPolicy, cookies: Cookies, state: string): string | undefined =>
  cookies.get(pendingName(policy, state))

/** Set-Cookie for a session; parts of an older one that was longer go. */
export function writeSession(policy: LoginPolicy, sealed: string, ttlMs: number, cookies: Cookies): readonly string[] {
  const name = sessionName(policy)
  const count = Math.ceil(sealed.length / mostBytes)
  const written = Array.from({ length: count }, (_, at) => {
    const text = sealed.slice(at * mostBytes, (at + 1) * mostBytes)
    return at === 0 ? set(policy, name, `${count}.${text}`, ttlMs) : set(policy, `${name}~${at + 1}`, text, ttlMs)
  })
  const stale = [...cookies.keys()].filter(each => each.startsWith(`${name}~`) && !(Number(each.slice(name.length + 1)) <= count))
  return [...written, ...stale.map(each => set(policy, each, '', 0))]
}

/** It begins; where there are too many, those go. Other sites' links lead back with it, so it is never Strict. */
export function writePending(policy: LoginPolicy, state: string, sealed: string, cookies: Cookies): readonly string[] {
  const others = [...cookies.keys()].filter(each => each.startsWith(pendingStart(policy)))
  return [
    ...(others.length >= mostPending ? others.map(each => hostCookie(each, '', 0)) : []),
    hostCookie(pendingName(policy, state), sealed, loginMs),
  ]
}

export const clearPending = (policy: LoginPolicy, state: string): string => hostCookie(pendingName(policy, state), '', 0)

/** All of them go. */
export const clearSession = (policy: LoginPolicy, cookies: Cookies): readonly string[] => {
  const name = sessionName(policy)
  return [...cookies.keys()].filter(each => each === name || each.startsWith(`${name}~`)).map(each => set(policy, each, '', 0))
}

const set = ({ cookie: { domain, sameSite } }: LoginPolicy, name: string, value: string, ttlMs: number): string =>
  `${name}=${value}; Path=/${domain === undefined ? '' : `; Domain=${domain}`}; Max-Age=${Math.max(0, Math.ceil(ttlMs / 1000))}; Secure; HttpOnly; SameSite=${sameSite}`
const hostCookie = (name: string, value: string, ttlMs: number): string =>
  `${name}=${value}; Path=/; Max-Age=${Math.ceil(ttlMs / 1000)}; Secure; HttpOnly; SameSite=Lax`
