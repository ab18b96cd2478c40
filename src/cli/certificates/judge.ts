/** What is well with certificates and what is not: the day, the cause, and what to do. */

import type { ControlStatus, OrderedTold } from '#api/mesh-api'

type Trust = NonNullable<ControlStatus['trust']>

const dayMs = 86_400_000

/** notAfter: RFC 3339, in whole seconds; absent: nothing is there yet. serial: of the certificate of a proxy, lower-case hex. verdict: `ok`, or in a few words what is wrong. remedy: a sentence, where there is something to do. */
export type Finding = {
  readonly of: string
  readonly use: 'root' | 'intermediate' | 'control' | 'proxy' | 'list' | 'bundle' | 'gateway'
  readonly notAfter?: string
  readonly serial?: string
  readonly verdict: string
  readonly remedy?: string
}

export function judgeCertificates(
  { certificates, proxies, authority, trust, ordered = [] }: ControlStatus,
  now: number,
): readonly Finding[] {
  const foreign = authority.type !== 'BuiltIn'
  const found = certificates.map(({ use, subject, notAfter }): Finding => {
    const left = Date.parse(notAfter) - now
    const about = { of: subject, use, notAfter }
    if (left <= 0) return { ...about, verdict: 'expired', remedy: ended[use](foreign) }
    if (use === 'root' && left < 180 * dayMs)
      return {
        ...about,
        verdict: left < 30 * dayMs ? 'expires soon' : 'expires within half a year',
        remedy: foreign
          ? 'replace it at the authority, with the old one and the new one trusted together for a day'
          : 'weft cert rotate-root --auto replaces it without a lost request',
      }
    if (use === 'intermediate' && left < 7 * dayMs)
      return {
        ...about,
        verdict: 'expires soon',
        remedy: foreign
          ? 'renew it at the authority'
          : 'it should have been renewed long ago: the log of the control plane says why not (is its folder writable?)',
      }
    if (use === 'control' && left < 3_600_000)
      return { ...about, verdict: 'expires soon', remedy: `${cannotSign(foreign)}: the log of the control plane says why` }
    return { ...about, verdict: 'ok' }
  })
  const all = [
    ...found,
    ...(trust?.lists ?? []).flatMap(list => listFinding(list, foreign, now)),
    ...(trust?.domains ?? []).flatMap(domain => domainFindings(domain, now)),
    ...ordered.map(each => orderedFinding(each, now)),
    ...proxies.flatMap(proxy => proxyFinding(proxy, authority, now)),
  ]
  return all.map(each => (each.notAfter === undefined ? each : { ...each, notAfter: each.notAfter.replace(/\.\d+Z$/, 'Z') }))
}

const cannotSign = (foreign: boolean): string =>
  foreign ? 'the authority gave no new one: is it reached?' : 'it could not be renewed: can the folder of the control plane be read?'

const ended = {
  root: (foreign: boolean) =>
    foreign
      ? 'nobody is trusted any more: replace the root at the authority'
      : 'nobody is trusted any more: stop the control plane, move its folder "authority" away and start it; workloads then join anew',
  intermediate: (foreign: boolean) =>
    foreign ? 'renew it at the authority' : 'restart the control plane: it makes a new one at its start',
  control: (foreign: boolean) => `proxies cannot connect; ${cannotSign(foreign)}`,
} as const

/** Of those that say nothing there is nothing to tell unless they are late. */
function listFinding({ issuer, nextUpdate, entries }: Trust['lists'][number], foreign: boolean, now: number): readonly Finding[] {
  if (nextUpdate === undefined) return []
  const about = { of: issuer, use: 'list' as const, notAfter: nextUpdate }
  if (Date.parse(nextUpdate) <= now)
    return [
      {
        ...about,
        verdict: 'expired',
        remedy: foreign
          ? 'whom it names stays revoked, and nobody else; Envoys and others may refuse everybody: publish a newer one at the authority'
          : 'it should have been signed anew long ago: the log of the control plane says why not',
      },
    ]
  return entries === 0 ? [] : [{ ...about, verdict: 'ok' }]
}

function domainFindings({ name, trustDomain, roots, url, failing }: Trust['domains'][number], now: number): readonly Finding[] {
  const [first] = roots.map(({ notAfter }) => notAfter).sort()
  const about = { of: trustDomain, use: 'bundle' as const, ...(first === undefined ? {} : { notAfter: first }) }
  if (failing !== undefined)
    return [
      {
        ...about,
        verdict: roots.length === 0 ? 'is not there' : 'is not fetched',
        remedy: `${failing}${roots.length === 0 ? '; nobody of it is believed' : '; the last good one stays in use'}: see weft describe trustdomain ${name}`,
      },
    ]
  return roots.map((root): Finding => {
    const each = { ...about, notAfter: root.notAfter }
    const left = Date.parse(root.notAfter) - now
    const ask =
      url === undefined
        ? 'ask who runs it for the new one, and put it into spec.bundle'
        : 'ask who runs it: a new root should have come by its bundle endpoint'
    if (left <= 0) return { ...each, verdict: 'expired', remedy: `nobody of ${trustDomain} is believed by it: ${ask}` }
    return left < 30 * dayMs ? { ...each, verdict: 'expires soon', remedy: ask } : { ...each, verdict: 'ok' }
  })
}

/** A try that failed is nothing yet: there is time for more until the end of the last certificate is near. */
export function orderedFinding({ secret, issuer, notAfter, dangerFrom, problem, triesAt }: OrderedTold, now: number): Finding {
  const about = { of: secret, use: 'gateway' as const, ...(notAfter === undefined ? {} : { notAfter }) }
  const [namespace, name] = issuer.split('/')
  const again = triesAt === undefined ? '' : `; it is tried again at ${triesAt}`
  const why = `${problem ?? 'the order is under way'}${again}: see weft describe certificateissuer ${name} -n ${namespace}`
  if (notAfter === undefined)
    return problem === undefined ? { ...about, verdict: 'ordered' } : { ...about, verdict: 'is not there', remedy: why }
  if (Date.parse(notAfter) <= now) return { ...about, verdict: 'expired', remedy: `callers refuse it. ${why}` }
  if (dangerFrom !== undefined && Date.parse(dangerFrom) <= now) return { ...about, verdict: 'ends soon, and is not renewed', remedy: why }
  return { ...about, verdict: problem === undefined ? 'ok' : `renewal fails, dangerous from ${dangerFrom ?? notAfter}` }
}

function proxyFinding(
  { id, certificate, state, revoked }: ControlStatus['proxies'][number],
  { leafLifeSeconds }: ControlStatus['authority'],
  now: number,
): readonly Finding[] {
  if (certificate === undefined) return revoked === undefined ? [] : [{ of: id, use: 'proxy', verdict: 'revoked' }]
  const { notAfter, serial } = certificate
  const left = Date.parse(notAfter) - now
  const about = { of: id, use: 'proxy' as const, notAfter, serial }
  // As somebody wants it: it gets no other, and there is nothing to mend.
  if (revoked !== undefined) return [{ ...about, verdict: 'revoked' }]
  const isAway = state === 'disconnected'
  if (left <= 0)
    return [
      {
        ...about,
        verdict: 'expired',
        remedy: isAway
          ? 'the proxy does not reach the control plane, or does not run; it gets a new one by itself when it does'
          : 'the control plane gave it no new one: its log says why',
      },
    ]
  // It asks at two thirds of its life; at three quarters that was in vain for a while.
  if (left < (leafLifeSeconds * 1000) / 4)
    return [
      {
        ...about,
        verdict: 'is late',
        remedy: isAway
          ? 'the proxy has not reached the control plane for long: is the network between them well?'
          : 'the control plane gives it no new one: its log says why',
      },
    ]
  return [{ ...about, verdict: 'ok' }]
}
