/** SPIFFE ids: who a workload is. The rules are those of the SPIFFE-ID specification, section 2, taken strictly. */

import { controlPath, defaultIdTemplate, idBy, type WorkloadName, workloadAt } from '#base/id-template'

declare const seal: unique symbol
/** A SPIFFE id that follows the specification. There is one spelling of each, so `===` compares. */
export type SpiffeId = string & { readonly [seal]: 'spiffe' }

/** path: with its leading slash, '' for the id of the trust domain itself. */
export type SpiffeParts = { readonly trustDomain: string; readonly path: string }

const scheme = 'spiffe://'
const trustDomainRule = /^[a-z0-9._-]{1,255}$/
const segmentRule = /^[a-zA-Z0-9._-]+$/
const maxLength = 2048

/** Why the text is no SPIFFE id, as the end of a sentence; undefined when it is one. */
export function whyNotSpiffeId(text: string): string | undefined {
  if (!text.startsWith(scheme)) return 'it does not begin with spiffe://'
  if (text.length > maxLength) return `it is longer than ${maxLength} bytes`
  const [trustDomain = '', ...segments] = text.slice(scheme.length).split('/')
  if (!trustDomainRule.test(trustDomain)) return `its trust domain "${trustDomain}" is not made of a-z, 0-9, dot, dash and underscore`
  for (const segment of segments) {
    if (segment === '') return 'its path has an empty segment or ends in a slash'
    if (segment === '.' || segment === '..') return `its path has the relative segment "${segment}"`
    if (!segmentRule.test(segment)) return `its path segment "${segment}" is not made of letters, digits, dot, dash and underscore`
  }
  return undefined
}

export const isSpiffeId = (text: string): text is SpiffeId => whyNotSpiffeId(text) === undefined

export const isTrustDomain = (text: string): boolean => trustDomainRule.test(text)

export function spiffeParts(id: SpiffeId): SpiffeParts {
  const rest = id.slice(scheme.length)
  const slash = rest.indexOf('/')
  const trustDomain = slash < 0 ? rest : rest.slice(0, slash)
  return { trustDomain, path: slash < 0 ? '' : rest.slice(slash) }
}

/** template: of the trust domain. Throws RangeError on a name that does not fit. */
export function workloadId(trustDomain: string, name: WorkloadName, template: string = defaultIdTemplate): SpiffeId {
  for (const part of [name.namespace, name.serviceAccount])
    if (part.includes('/')) throw new RangeError(`"${part}" cannot be a part of a SPIFFE id: it has a slash`)
  return checked(idBy(template, trustDomain, name))
}

/** Whose id it is in a trust domain of that template; undefined: not that of a workload. */
export const workloadOf = (id: string, template: string): WorkloadName | undefined =>
  isSpiffeId(id) ? workloadAt(template, spiffeParts(id).path) : undefined

/** Who the control plane is, whatever the template of workloads: what every client expects at its port. */
export const controlId = (trustDomain: string): SpiffeId => checked(`${scheme}${trustDomain}${controlPath}`)

/** The id that a signing certificate carries: the trust domain without a path. */
export const trustDomainId = (trustDomain: string): SpiffeId => checked(`${scheme}${trustDomain}`)

function checked(text: string): SpiffeId {
  if (!isSpiffeId(text)) throw new RangeError(`"${text}" is not a SPIFFE id: ${whyNotSpiffeId(text)}`)
  return text
}
