/** One certificate with its key: checked when it arrives, kept in one file, checked again when it is read. */

import type { Log } from '#base/log'
import { lifeOf, pemBlocks, readCertificate, serialOf } from '#identity/certificate'
import { type Key, readKey } from '#identity/key'
import type { Life } from '#identity/rotation'
import { isSpiffeId, type SpiffeId, spiffeParts } from '#identity/spiffe'
import { verifyPeer } from '#identity/verify'
import { makeFolder, readTextIfAny, writeAtomic } from '#io/files'

/** key: PEM. cert: PEM chain, leaf first, without the root. roots: PEM. notAfter: milliseconds since the epoch. */
export type OwnCertificate = {
  readonly key: string
  readonly cert: string
  readonly roots: readonly string[]
  readonly notAfter: number
  readonly identity: SpiffeId
  readonly trustDomain: string
  readonly serial: string
  readonly life: Life
}

type Wanted = { readonly trustDomain: string; readonly identity: SpiffeId }

/** chain: PEM, leaf first, at its end the roots that are trusted, of which the first is its own. Throws Error when it is not a usable certificate of that identity for that key. */
export function adopt(key: Key, chain: readonly string[], { trustDomain, identity }: Wanted, now: number): OwnCertificate {
  const certificates = chain.map(readCertificate)
  const leaf = certificates[0]
  const own = certificates.findLastIndex(certificate => !certificate.checkIssued(certificate)) + 1
  const roots = certificates.slice(own)
  if (!leaf || own === 0 || roots.length === 0) throw new Error('the control plane sent no chain of certificates')
  if (!leaf.checkPrivateKey(key.private)) throw new Error('the control plane sent a certificate for another key')
  const judged = verifyPeer(certificates, { roots, trustDomain, ids: [identity], role: 'client' }, now)
  if ('refused' in judged) throw new Error(`the control plane sent a certificate that cannot be used: ${judged.refused}`)
  const pem = certificates.map(certificate => certificate.toString())
  return {
    key: key.pem,
    cert: pem.slice(0, own).join(''),
    roots: pem.slice(own),
    notAfter: judged.notAfter,
    identity,
    trustDomain,
    serial: serialOf(leaf),
    life: lifeOf(leaf),
  }
}

const fileIn = (folder: string): string => `${folder}/certificate.pem`

/** Key and chain in one file: no crash can part them. Throws FileError. */
export async function saveCertificate(folder: string, own: OwnCertificate): Promise<void> {
  await makeFolder(folder, 0o700)
  await writeAtomic(fileIn(folder), [own.key, own.cert, ...own.roots].join(''), { mode: 0o600 })
}

/** Undefined when there is none, or when it is damaged (which is logged: a join token replaces it). It may have expired. */
export async function loadCertificate(folder: string, log: Log): Promise<OwnCertificate | undefined> {
  const path = fileIn(folder)
  try {
    const text = await readTextIfAny(path)
    if (text === undefined) return undefined
    const [key = ''] = pemBlocks(text, 'PRIVATE KEY')
    const chain = pemBlocks(text, 'CERTIFICATE')
    const leaf = readCertificate(chain[0] ?? '')
    const identity = leaf.subjectAltName?.replace('URI:', '') ?? ''
    if (!isSpiffeId(identity)) throw new RangeError('its certificate names no SPIFFE id')
    const during = leaf.validFromDate.getTime() // whether it has expired is for the caller
    return adopt(readKey(key), chain, { identity, trustDomain: spiffeParts(identity).trustDomain }, during)
  } catch (thrown) {
    log.warn('the kept certificate cannot be used', { path, reason: thrown instanceof Error ? thrown.message : String(thrown) })
    return undefined
  }
}
