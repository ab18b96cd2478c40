/** An authority that is not the mesh's own: what it gives is judged before anybody gets it, and its roots are asked for again and again. */

import type { Clock } from '#base/clock'
import type { Log } from '#base/log'
import { type Certificate, lifeOf, pemBlocks, readCertificate, serialOf } from '#identity/certificate'
import type { Issued } from '#identity/issue'
import { verifyPeer } from '#identity/verify'
import { type Issuer, IssuerDown, type Wanted } from './issuer.ts'

/** Each rejects with one sentence. sign: the chain, leaf first, PEM; roots in it do not matter. roots: PEM. */
export type Foreign = {
  readonly type: Issuer['type']
  /** For people: where it is. */
  readonly place: string
  sign(wanted: Wanted): Promise<string>
  roots(): Promise<string>
}

export type ForeignPlace = { readonly trustDomain: string; readonly clock: Clock; readonly log: Log; readonly onChange: () => void }

const lookEveryMs = 30_000
/** An old root is trusted as long as a certificate under it may be good. */
const overlapMs = 24 * 3_600_000
/** Authorities round up, and set the beginning back. */
const slackMs = 15 * 60_000

export async function openForeign(foreign: Foreign, place: ForeignPlace): Promise<Issuer> {
  const { clock, log, trustDomain } = place
  let current = await rootsOf(foreign)
  let past: readonly { readonly root: Certificate; readonly until: number }[] = []
  let intermediates: readonly Certificate[] = []
  const roots = (): readonly Certificate[] => [...current, ...past.filter(({ until }) => until > clock.now()).map(({ root }) => root)]

  let cancel = (): void => {}
  const look = async (): Promise<void> => {
    try {
      const found = await rootsOf(foreign)
      const gone = current.filter(root => !found.some(other => isSame(root, other)))
      const isNew = gone.length > 0 || found.length !== current.length
      past = [...past, ...gone.map(root => ({ root, until: clock.now() + overlapMs }))].filter(
        ({ root, until }) => until > clock.now() && !found.some(other => isSame(root, other)),
      )
      current = found
      if (isNew) {
        log.info('the roots of the authority are others now', { authority: foreign.place, roots: found.map(root => root.fingerprint256) })
        place.onChange()
      }
    } catch (thrown) {
      log.warn('the roots of the authority could not be asked for; the known ones stay', { authority: foreign.place, error: thrown })
    }
    if (!isClosed) cancel = clock.after(lookEveryMs, () => void look())
  }
  let isClosed = false
  cancel = clock.after(lookEveryMs, () => void look())

  return {
    type: foreign.type,
    roots,
    anchor: () => current[0]!,
    intermediates: () => intermediates,
    async sign(wanted) {
      let text: string
      try {
        text = await foreign.sign(wanted)
      } catch (thrown) {
        throw new IssuerDown(
          `the authority ${foreign.place} gave no certificate: ${thrown instanceof Error ? thrown.message : String(thrown)}`,
        )
      }
      const { issued, between } = judged(text, wanted, roots(), trustDomain, foreign.place, clock.now())
      intermediates = [...intermediates.filter(one => !between.some(other => isSame(one, other))), ...between].slice(-8)
      return issued
    },
    close: () => {
      isClosed = true
      cancel()
    },
  }
}

const isSame = (one: Certificate, other: Certificate): boolean => one.fingerprint256 === other.fingerprint256

async function rootsOf(foreign: Foreign): Promise<readonly Certificate[]> {
  const text = await foreign.roots()
  const found = certificatesOf(text).filter(one => one.ca && one.checkIssued(one))
  if (found.length === 0)
    throw new Error(
      `the authority ${foreign.place} tells no root certificate: give a file with it, in the field roots of the authority's file`,
    )
  return found
}

const certificatesOf = (text: string): readonly Certificate[] => pemBlocks(text, 'CERTIFICATE').map(readCertificate)

/** Throws IssuerDown where it is not what was asked for: nobody should get it. */
function judged(
  text: string,
  { publicKey, identity, lifeMs, dns = [] }: Wanted,
  roots: readonly Certificate[],
  trustDomain: string,
  place: string,
  now: number,
): { readonly issued: Issued; readonly between: readonly Certificate[] } {
  const refuse = (says: string): never => {
    throw new IssuerDown(`the authority ${place} gave a certificate that cannot be used: ${says}`)
  }
  let all: readonly Certificate[] = []
  try {
    all = certificatesOf(text)
  } catch {
    refuse('it cannot be parsed')
  }
  const [leaf, ...above] = all
  if (leaf === undefined) return refuse('there is none in what it wrote')
  if (!leaf.publicKey.equals(publicKey)) refuse('it is for another key')
  const between = above.filter(one => !one.checkIssued(one))
  for (const role of ['server', 'client'] as const) {
    const verdict = verifyPeer([leaf, ...between], { roots, trustDomain, ids: [identity], role }, now)
    if ('refused' in verdict) refuse(verdict.refused)
  }
  const { notBefore, notAfter } = lifeOf(leaf)
  if (notAfter - now > lifeMs + slackMs)
    refuse(
      `it is good until ${new Date(notAfter).toISOString()}, longer than the ${Math.round(lifeMs / 60_000)} minutes that were asked for`,
    )
  const missing = dns.find(name => leaf.checkHost(name) === undefined)
  if (missing !== undefined) refuse(`it does not name the host ${missing}`)
  return {
    issued: { chain: [leaf, ...between].map(one => one.toString()), serial: serialOf(leaf), notBefore, notAfter },
    between,
  }
}
