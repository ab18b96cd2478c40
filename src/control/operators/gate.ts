/**
 * The one place in front of everything that the operator API does:
 *
 *   request ─▶ which right is needed ─▶ who is it ─▶ how much has he asked ─▶ has he the right ─▶ handler ─▶ reply, with headers that bind browsers
 *                                       401 429      429                      403
 */

import { mayDo, roleFor, tellGrant } from '#api/rights'
import type { HttpReply, HttpRequest } from '#io/http-server'
import { Refusal, resourceOf } from '../api/refusal.ts'
import { bindBrowser, corsHeaders, preflight } from './browser.ts'
import type { Identify } from './identify.ts'
import type { CallerLimits } from './limits.ts'
import { type Asked, nobody, type Principal } from './principal.ts'
import { type Needed, neededFor, type Places } from './rights.ts'

/** What was refused, and to whom; by undefined: to somebody who proved nothing. */
export type Refused = {
  readonly request: HttpRequest
  readonly by: Principal | undefined
  readonly needed: Needed | undefined
  readonly namespace: string | undefined
  readonly refusal: Refusal
}

export type GateOptions = {
  readonly identify: Pick<Identify, 'of'>
  readonly limits: CallerLimits
  readonly places: Places
  readonly refused: (what: Refused) => void
  /** Of web pages elsewhere that may call. */
  readonly allowedOrigins: () => readonly string[]
  /** Any refusal as a reply. */
  readonly tell: (thrown: unknown, request: HttpRequest) => HttpReply
  readonly now: () => number
}

export function gateBefore(
  handle: (request: Asked) => Promise<HttpReply>,
  { identify, limits, places, refused, allowedOrigins, tell, now }: GateOptions,
): (request: HttpRequest) => Promise<HttpReply> {
  return async arrived => {
    const request = { ...arrived, body: once(arrived.body) }
    const origins = allowedOrigins()
    const reply = preflight(request, origins) ?? (await pass(request).catch((thrown: unknown) => tell(thrown, request)))
    return bindBrowser(reply, request, corsHeaders(request, origins))
  }

  async function pass(request: HttpRequest): Promise<HttpReply> {
    const needed = neededFor(request, places)
    if (needed?.right === 'open') {
      limits.request(`address ${request.address}`)
      return handle({ ...request, by: nobody })
    }
    const by = await identified(request)
    const caller = by.how === '' ? `address ${request.address}` : `${by.how} ${by.name}`
    limits.request(caller)
    const namespace = await needed?.namespace?.()
    const refusal = whyNot(by, needed, namespace, request)
    if (refusal !== undefined) {
      refused({ request, by, needed, namespace, refusal })
      throw refusal
    }
    if (needed?.verb !== 'watch') return handle({ ...request, by })
    // A watch counts for its caller until its end, and lasts no longer than the proof does.
    const end = limits.watch(caller)
    request.signal.addEventListener('abort', end, { once: true })
    let reply: HttpReply | undefined
    try {
      return (reply = await handle({ ...request, by, signal: lasting(request.signal, by, now()) }))
    } finally {
      if (reply?.stream === undefined) end()
    }
  }

  async function identified(request: HttpRequest): Promise<Principal> {
    try {
      return await identify.of(request)
    } catch (thrown) {
      if (!(thrown instanceof Refusal) || thrown.code !== 401) throw thrown
      // Who brings no proof at all has guessed nothing.
      if (isProving(request)) limits.failure(request.address)
      else limits.request(`address ${request.address}`)
      refused({ request, by: undefined, needed: undefined, namespace: undefined, refusal: thrown })
      throw thrown
    }
  }
}

const isProving = ({ headers, peer }: HttpRequest): boolean => headers['authorization'] !== undefined || peer !== undefined

/** Longer ones would overflow the timer: setTimeout takes 31 bits. */
const longestTimerMs = 2 ** 31 - 1

function lasting(signal: AbortSignal, { ended, until }: Principal, now: number): AbortSignal {
  const signals = [signal]
  if (ended !== undefined) signals.push(ended)
  if (until !== undefined && until - now < longestTimerMs) signals.push(AbortSignal.timeout(Math.max(0, until - now)))
  return signals.length === 1 ? signal : AbortSignal.any(signals)
}

/** Why this is not for this caller; undefined: it is. */
function whyNot(by: Principal, needed: Needed | undefined, namespace: string | undefined, request: HttpRequest): Refusal | undefined {
  if (needed === undefined)
    return new Refusal(403, 'Forbidden', `${request.method} ${request.path} is for nobody: no right is declared for this route`)
  const { right, kind, name, what } = needed
  if (right === 'open' || right === 'known' || mayDo(by.grants, right, namespace)) return undefined
  const place = namespace === undefined ? 'in the whole mesh' : `in namespace "${namespace}"`
  const role = `${roleFor(right)}${namespace === undefined ? '' : `:${namespace}`}`
  const has = by.grants.length === 0 ? 'no role' : `the role ${by.grants.map(tellGrant).join(' and ')}`
  const about = kind === undefined ? '' : `${resourceOf(kind)}${name === undefined ? '' : ` "${name}"`} is forbidden: `
  return new Refusal(
    403,
    'Forbidden',
    `${about}user "${by.name}" may not ${what} ${place}: that needs the role ${role}, and there is ${has}`,
    {
      ...(name === undefined ? {} : { name }),
      ...(kind === undefined ? {} : { kind: kind.plural, ...(kind.group === '' ? {} : { group: kind.group }) }),
      causes: [{ reason: 'MissingRole', message: role }],
    },
  )
}

/** The gate may look into the body, and the handler reads it again. */
function once<T>(read: () => Promise<T>): () => Promise<T> {
  let reading: Promise<T> | undefined
  return () => (reading ??= read())
}
