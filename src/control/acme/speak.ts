/** One conversation with an ACME server: its directory, nonces, signed requests, bounded answers, and what it says when it refuses (RFC 8555 §6, §7.1). */

import { signAcme } from '#identity/acme'
import type { Key } from '#identity/key'

/** A refusal: type and detail are those of the server's problem document (RFC 9457). retryMs: how long the server wants to be left alone. */
export class AcmeProblem extends Error {
  readonly type: string
  readonly retryMs: number | undefined
  constructor(message: string, type = '', retryMs?: number) {
    super(message)
    this.type = type
    this.retryMs = retryMs
  }
}

export type Directory = {
  readonly newNonce: string
  readonly newAccount: string
  readonly newOrder: string
  readonly meta: { readonly termsOfService?: string; readonly externalAccountRequired?: boolean }
}
/** body: JSON, or undefined where it is none. location: absolute. */
export type AcmeReply = {
  readonly status: number
  readonly body: Readonly<Record<string, unknown>>
  readonly text: string
  readonly location?: string
  readonly retryMs?: number
}
export type Speaking = {
  /** URL of its directory. */
  readonly server: string
  readonly key: Key
  readonly fetch: typeof fetch
  readonly now: () => number
  readonly signal: AbortSignal
  readonly timeoutMs?: number
}

const mostBytes = 256 * 1024
const mostNonces = 5
const mostRetryMs = 7 * 24 * 3_600_000
const prefix = 'urn:ietf:params:acme:error:'

export class AcmeSpeaker {
  readonly #options: Speaking
  readonly directory: Directory
  #nonce: string | undefined
  /** URL of the account, once it is known. */
  account: string | undefined

  private constructor(options: Speaking, directory: Directory) {
    this.#options = options
    this.directory = directory
  }

  static async open(options: Speaking): Promise<AcmeSpeaker> {
    const reply = await ask(options, options.server, { method: 'GET' })
    if (reply.status !== 200) throw problemOf(options.server, reply)
    const { newNonce, newAccount, newOrder, meta } = reply.body
    const url = (name: string, value: unknown): string => urlOf(options.server, value, `"${name}" of its directory`)
    const terms = meta as Directory['meta'] | undefined
    return new AcmeSpeaker(options, {
      newNonce: url('newNonce', newNonce),
      newAccount: url('newAccount', newAccount),
      newOrder: url('newOrder', newOrder),
      meta: {
        ...(typeof terms?.termsOfService === 'string' ? { termsOfService: terms.termsOfService.slice(0, 1024) } : {}),
        ...(terms?.externalAccountRequired === true ? { externalAccountRequired: true } : {}),
      },
    })
  }

  /** payload: absent for POST-as-GET. Throws AcmeProblem for every status from 400 on. */
  async post(url: string, payload?: unknown): Promise<AcmeReply> {
    for (let attempt = 1; ; attempt++) {
      const nonce = this.#nonce ?? (await this.#newNonce())
      this.#nonce = undefined
      const body = await signAcme(this.#options.key, { url, nonce, account: this.account, payload })
      const reply = await this.#ask(url, {
        method: 'POST',
        body,
        headers: { 'content-type': 'application/jose+json', accept: 'application/json, application/pem-certificate-chain' },
      })
      if (reply.status < 400) return reply
      // RFC 8555 §6.5: the answer brings the next nonce, and the same is asked with it.
      if (reply.body['type'] === `${prefix}badNonce` && attempt < mostNonces) continue
      throw problemOf(url, reply)
    }
  }

  /** A URL that the server names, if one may ask there. */
  urlOf(value: unknown, what: string): string {
    return urlOf(this.#options.server, value, what)
  }

  async #newNonce(): Promise<string> {
    await this.#ask(this.directory.newNonce, { method: 'HEAD' })
    if (this.#nonce === undefined) throw new AcmeProblem(`${this.directory.newNonce} gives no nonce (Replay-Nonce)`)
    return this.#nonce
  }

  async #ask(url: string, init: RequestInit): Promise<AcmeReply> {
    return ask(this.#options, url, init, nonce => (this.#nonce = nonce))
  }
}

/** Whoever is asked stays what was asked for: by TLS where that was by TLS. */
function urlOf(server: string, value: unknown, what: string): string {
  const text = typeof value === 'string' && value.length <= 2048 ? value : ''
  if (!URL.canParse(text) || new URL(text).protocol !== new URL(server).protocol)
    throw new AcmeProblem(
      `${new URL(server).origin} is no ACME server that can be used: ${what} is no ${new URL(server).protocol}// address`,
    )
  return text
}

async function ask(
  { fetch, signal, timeoutMs = 15_000, now }: Speaking,
  url: string,
  init: RequestInit,
  onNonce: (nonce: string) => void = () => {},
): Promise<AcmeReply> {
  const { origin } = new URL(url)
  try {
    const reply = await fetch(url, { ...init, signal: AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]) })
    const nonce = reply.headers.get('replay-nonce')
    if (nonce !== null && /^[A-Za-z0-9_-]{1,1024}$/.test(nonce)) onNonce(nonce)
    const text = await bounded(reply)
    const location = reply.headers.get('location')
    const retryMs = retryOf(reply.headers.get('retry-after'), now())
    return {
      status: reply.status,
      text,
      body: jsonOf(text),
      ...(location === null ? {} : { location }),
      ...(retryMs === undefined ? {} : { retryMs }),
    }
  } catch (thrown) {
    if (signal.aborted || thrown instanceof AcmeProblem) throw thrown
    const { message, cause } = thrown as Error
    const why =
      (thrown as Error).name === 'TimeoutError' ? `not within ${timeoutMs / 1000} s` : ((cause as Error | undefined)?.message ?? message)
    throw new AcmeProblem(`${origin} does not answer: ${why}`)
  }
}

async function bounded(reply: Response): Promise<string> {
  const parts: Uint8Array[] = []
  let bytes = 0
  for await (const part of reply.body ?? []) {
    bytes += part.length
    if (bytes > mostBytes) throw new Error(`its answer is larger than ${mostBytes} bytes`)
    parts.push(part)
  }
  return Buffer.concat(parts).toString('utf8')
}

function jsonOf(text: string): Readonly<Record<string, unknown>> {
  try {
    const read: unknown = JSON.parse(text)
    return typeof read === 'object' && read !== null && !Array.isArray(read) ? (read as Record<string, unknown>) : {}
  } catch {
    return {}
  }
}

/** RFC 9110 §10.2.3: seconds, or a date. */
function retryOf(field: string | null, now: number): number | undefined {
  if (field === null) return undefined
  const ms = /^\d{1,10}$/.test(field.trim()) ? Number(field) * 1000 : Date.parse(field) - now
  return Number.isNaN(ms) ? undefined : Math.min(Math.max(ms, 0), mostRetryMs)
}

const problemOf = (url: string, { status, body, retryMs }: AcmeReply): AcmeProblem => readProblem(body, `${url} answers ${status}`, retryMs)

/** A problem document in a sentence, with what can be done. where: who said it, of what. */
export function readProblem(body: unknown, where: string, retryMs?: number): AcmeProblem {
  const { type, detail, subproblems } = (typeof body === 'object' && body !== null ? body : {}) as Readonly<Record<string, unknown>>
  const name = typeof type === 'string' ? type.slice(0, 256) : ''
  const short = name.startsWith(prefix) ? name.slice(prefix.length) : name
  const parts = (Array.isArray(subproblems) ? subproblems.slice(0, 5) : []).map(each => readProblem(each, '').message)
  const said = [short, plain(detail), ...parts].filter(each => each !== '').join(': ')
  const hint = hints[short]
  return new AcmeProblem([where, [said, hint].filter(each => each).join(' — ')].filter(each => each !== '').join(': '), short, retryMs)
}

const plain = (value: unknown): string => (typeof value === 'string' ? value.replaceAll(/\p{Cc}+/gu, ' ').slice(0, 1000) : '')

/** What to do about it (types of RFC 8555 §6.7). */
const hints: Readonly<Record<string, string>> = {
  connection: 'the server must reach an HTTP listener of the Gateway on port 80 of that name: check DNS, firewall and forwarding of ports',
  dns: 'the name must lead to the Gateway: check its A and AAAA records',
  unauthorized:
    'another server than the Gateway answers at that name, or a policy of the Gateway refuses the challenge: check where its DNS records lead',
  incorrectResponse: 'another server than the Gateway answers at that name: check where its A and AAAA records lead',
  rateLimited: 'too many orders: the server is asked again when it allows that',
  rejectedIdentifier: 'this server gives no certificate for that name: take another hostname or another CertificateIssuer',
  caa: 'a CAA record of the name forbids this authority: add one that allows it',
  externalAccountRequired: 'give spec.externalAccount, with what the server gave you',
  userActionRequired: 'its terms of service changed: visit the address and agree',
  accountDoesNotExist: 'the server has forgotten the account: the next try makes a new one',
}
