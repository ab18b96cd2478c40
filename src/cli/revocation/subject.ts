/** Whom a Revocation is about: told to people, compared, and made a name of. */

import type { RevocationSpec } from '#resources/weft'

export type Subject = Pick<RevocationSpec, 'identities' | 'serials' | 'trustDomains'>

export const told = ({ identities = [], serials = [], trustDomains = [] }: Partial<Subject>): string =>
  [...identities, ...serials.map(each => `serial ${each}`), ...trustDomains.map(each => `trust domain ${each}`)].join(', ')

export const plainSerial = (text: string): string => text.replaceAll(':', '').toLowerCase()

/** The same text for the same subject, in whatever order and spelling. */
export function keyOf({ identities = [], serials = [], trustDomains = [] }: Partial<Subject>): string {
  const sorted = (all: readonly string[]): readonly string[] => [...new Set(all)].sort()
  return JSON.stringify([sorted(identities), sorted(serials.map(plainSerial)), sorted(trustDomains)])
}

export const isSame = (one: Partial<Subject> | undefined, other: Partial<Subject>): boolean => keyOf(one ?? {}) === keyOf(other)

/** What it names, for people, and a hash of all of it: what is read alike is not the same. */
export async function nameFor(subject: Subject): Promise<string> {
  const { identities = [], serials = [], trustDomains = [] } = subject
  const words = [
    ...identities.map(each => each.replace(/^spiffe:\/\/[^/]+\/(ns\/)?/, '').replaceAll(/\/sa\//g, '/')),
    ...serials.map(each => `serial-${each.slice(0, 16)}`),
    ...trustDomains.map(each => `trust-domain-${each}`),
  ]
  const readable = words
    .join('-')
    .toLowerCase()
    .replaceAll('*', 'all')
    .replaceAll(/[^a-z0-9.]+/g, '-')
    .replaceAll(/[-.]{2,}/g, '-')
    .slice(0, 60)
    .replaceAll(/^[-.]+|[-.]+$/g, '')
  const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(keyOf(subject)))
  const hash = [...new Uint8Array(digest, 0, 5)].map(byte => byte.toString(16).padStart(2, '0')).join('')
  return readable === '' ? hash : `${readable}-${hash}`
}

/** By a pattern of a Revocation: * at the end stands for anything, elsewhere for a part between slashes. */
export function fits(pattern: string, identity: string): boolean {
  const parts = pattern.split('*').map(part => part.replaceAll(/[\\^$.+?()[\]{}|]/g, String.raw`\$&`))
  const last = parts.pop()!
  const text = parts.length === 0 ? last : last === '' ? `${parts.join('[^/]*')}.*` : [...parts, last].join('[^/]*')
  return new RegExp(`^${text}$`, 's').test(identity)
}
