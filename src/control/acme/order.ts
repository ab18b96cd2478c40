/**
 * One certificate from an ACME server, from account to chain (RFC 8555 §7.3 to §7.4.2), with challenges of type http-01 (§8.3).
 *
 *   account ──▶ order ──pending──▶ each name: challenge, shown at the Gateway, then asked for ──▶ ready ──CSR──▶ valid ──▶ chain, examined
 */

import { bindAccount, keyAuthorization, whyNotOrdered } from '#identity/acme'
import { makeHostCsr } from '#identity/csr'
import type { Key } from '#identity/key'
import { AcmeProblem, AcmeSpeaker, readProblem, type Speaking } from './speak.ts'

export type Account = {
  readonly email?: string | undefined
  readonly agreesToTerms: boolean
  readonly external?: { readonly keyId: string; readonly hmac: Uint8Array } | undefined
}
/** Shown to whoever asks for `/.well-known/acme-challenge/TOKEN` with that host. */
export type Challenge = { readonly host: string; readonly token: string; readonly answer: string }

export type Ordering = Speaking & {
  readonly account: Account
  /** The hosts, none with a wildcard. */
  readonly names: readonly string[]
  /** Of the certificate; new for each. */
  readonly certificateKey: Key
  /** Resolves when the challenges can be asked for; rejects with the reason. */
  readonly show: (challenges: readonly Challenge[]) => Promise<void>
  readonly wait: (ms: number) => Promise<void>
  /** How long server and Gateway may take in all; absent: 5 minutes. */
  readonly patienceMs?: number
}

/** PEM, leaf first. Throws AcmeProblem; whatever else is thrown is no word of the server. */
export async function orderCertificate(ordering: Ordering): Promise<string> {
  const speaker = await AcmeSpeaker.open(ordering)
  speaker.account = await openAccount(speaker, ordering)
  const end = ordering.now() + (ordering.patienceMs ?? 300_000)
  const { names, certificateKey } = ordering
  const made = await speaker.post(speaker.directory.newOrder, { identifiers: names.map(value => ({ type: 'dns', value })) })
  const url = speaker.urlOf(made.location, 'the Location of the order')
  await prove(speaker, ordering, made.body['authorizations'], end)

  const ready = await until(speaker, ordering, url, ['ready', 'valid'], 'the order', end)
  if (ready['status'] === 'ready') {
    const finalize = speaker.urlOf(ready['finalize'], '"finalize" of the order')
    await speaker.post(finalize, { csr: Buffer.from(makeHostCsr(certificateKey, names)).toString('base64url') })
  }
  const valid = await until(speaker, ordering, url, ['valid'], 'the order', end)
  const { text } = await speaker.post(speaker.urlOf(valid['certificate'], '"certificate" of the order'))
  const wrong = whyNotOrdered(text, certificateKey, names, ordering.now())
  if (wrong !== undefined) throw new AcmeProblem(`${new URL(url).origin}: ${wrong}; it is not used`)
  return text
}

/** §7.3: the same key gives the same account again. */
async function openAccount(speaker: AcmeSpeaker, { key, account, server }: Ordering): Promise<string> {
  const { newAccount, meta } = speaker.directory
  const { email, agreesToTerms, external } = account
  if (meta.termsOfService !== undefined && !agreesToTerms)
    throw new AcmeProblem(`${server} has terms of service: read ${meta.termsOfService} and set spec.agreesToTerms: true`)
  if (meta.externalAccountRequired === true && external === undefined)
    throw readProblem({ type: 'urn:ietf:params:acme:error:externalAccountRequired' }, server)
  const { location } = await speaker.post(newAccount, {
    termsOfServiceAgreed: agreesToTerms,
    ...(email === undefined ? {} : { contact: [`mailto:${email}`] }),
    ...(external === undefined ? {} : { externalAccountBinding: await bindAccount(key, { ...external, url: newAccount }) }),
  })
  return speaker.urlOf(location, 'the Location of the account')
}

/** Times that a challenge is asked for in one order. */
const mostTries = 4

type Asked = Challenge & { readonly authorization: string; readonly url: string }

async function prove(speaker: AcmeSpeaker, ordering: Ordering, urls: unknown, end: number): Promise<void> {
  const asked: Asked[] = []
  if (!Array.isArray(urls) || urls.length > 2 * ordering.names.length)
    throw new AcmeProblem('the order of the server has no list of authorizations that fits the names')
  for (const each of urls) {
    const authorization = speaker.urlOf(each, 'an authorization of the order')
    const { body } = await speaker.post(authorization)
    if (body['status'] === 'valid') continue
    asked.push({ authorization, ...(await challengeOf(speaker, ordering, body)) })
  }
  if (asked.length === 0) return
  await ordering.show(asked)
  for (const { url } of asked) await speaker.post(url, {})
  for (const { authorization, host, url } of asked)
    await until(speaker, ordering, authorization, ['valid'], `the authorization of ${host}`, end, async body => {
      // §8.2: it tried, could not, and tries again when it is asked to.
      if (failedOf(body)?.['status'] === 'pending') await speaker.post(url, {})
    })
}

const challengesOf = (body: Readonly<Record<string, unknown>>) =>
  (Array.isArray(body['challenges']) ? body['challenges'] : []).filter(
    each => typeof each === 'object' && each !== null,
  ) as readonly Readonly<Record<string, unknown>>[]
const failedOf = (body: Readonly<Record<string, unknown>>) => challengesOf(body).find(each => each['error'] !== undefined)

async function challengeOf(speaker: AcmeSpeaker, { key, names }: Ordering, body: Readonly<Record<string, unknown>>) {
  const host = (body['identifier'] as { readonly value?: unknown } | undefined)?.value
  if (typeof host !== 'string' || !names.includes(host)) throw new AcmeProblem(`the server wants a proof for a name that was not ordered`)
  const offered = challengesOf(body)
  const http = offered.find(each => each['type'] === 'http-01')
  if (http === undefined)
    throw new AcmeProblem(
      `the server offers no challenge http-01 for ${host}, only ${offered.map(each => String(each['type'])).join(', ') || 'none'}`,
    )
  const token = http['token']
  // §8.3: base64url without padding; anything else would be another path.
  if (typeof token !== 'string' || !/^[A-Za-z0-9_-]{1,512}$/.test(token))
    throw new AcmeProblem('the token of the challenge is not base64url')
  return { host, token, answer: await keyAuthorization(key, token), url: speaker.urlOf(http['url'], 'a challenge') }
}

/** Asks again and again, as slowly as the server wants, until one of the wanted states. */
async function until(
  speaker: AcmeSpeaker,
  { wait, now }: Ordering,
  url: string,
  wanted: readonly string[],
  what: string,
  end: number,
  onUndecided: (body: Readonly<Record<string, unknown>>) => Promise<void> = async () => {},
): Promise<Readonly<Record<string, unknown>>> {
  for (let attempt = 0; ; attempt++) {
    const { body, retryMs } = await speaker.post(url)
    const { status } = body
    if (typeof status === 'string' && wanted.includes(status)) return body
    const isUndecided = status === 'pending' || status === 'processing' || status === 'ready'
    // What it still could not do after some tries, it is not asked for until the next order.
    if (!isUndecided || (attempt >= mostTries && failedOf(body)?.['status'] === 'pending')) throw refusalOf(body, what)
    const ms = retryMs ?? Math.min(250 * 2 ** attempt, 5000)
    if (now() + ms > end) throw new AcmeProblem(`${new URL(url).origin} leaves ${what} ${status} and does not decide`, '', retryMs)
    await wait(Math.max(ms, 50))
    await onUndecided(body)
  }
}

/** The reason stands in the order, or in the challenge that failed. */
function refusalOf(body: Readonly<Record<string, unknown>>, what: string): AcmeProblem {
  const status = typeof body['status'] === 'string' ? body['status'].slice(0, 32) : 'without a status'
  return readProblem(body['error'] ?? failedOf(body)?.['error'], `${what} is ${status}`)
}
