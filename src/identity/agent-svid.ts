/** An X509-SVID as an agent gives it by the SPIFFE Workload API, judged before it is used: the key, the chain, the roots and the id must fit together. */

import { lifeOf, pemsOf, readCertificate, serialOf } from './certificate.ts'
import { readSigningKey } from './key.ts'
import type { Life } from './rotation.ts'
import { isSpiffeId, type SpiffeId, spiffeParts } from './spiffe.ts'
import { verifyPeer } from './verify.ts'

/** chain, bundle: certificates in DER, one after another. key: PKCS#8, DER: EC or RSA. hint: for people. */
export type GivenSvid = {
  readonly id: string
  readonly chain: Uint8Array
  readonly key: Uint8Array
  readonly bundle: Uint8Array
  readonly hint?: string
}
/** PEM. cert: the chain, leaf first. notAfter: ms since the epoch. */
export type AgentSvid = {
  readonly key: string
  readonly cert: string
  readonly roots: readonly string[]
  readonly notAfter: number
  readonly identity: SpiffeId
  readonly trustDomain: string
  readonly serial: string
  readonly life: Life
}

/** wanted: which of them; they may be many. place: of the agent, for people. Throws Error with one sentence that says what to do. */
export function svidOf(all: readonly GivenSvid[], wanted: SpiffeId, place: string, now: number): AgentSvid {
  const { trustDomain } = spiffeParts(wanted)
  const svid = all.find(({ id }) => id === wanted)
  if (svid === undefined) {
    const told = all.map(({ id, hint = '' }) => (hint === '' ? id : `${id} (${hint})`)).join(', ')
    const foreign = all.map(({ id }) => (isSpiffeId(id) ? spiffeParts(id).trustDomain : id)).find(domain => domain !== trustDomain)
    throw new Error(
      foreign === undefined
        ? `the agent at ${place} lets this be ${told || 'nobody'}, not ${wanted}: register it there as that`
        : `the agent at ${place} is of the trust domain ${foreign} (it gives ${told}), and the mesh is ${trustDomain}: say --trust-domain ${foreign} if the mesh is that, or ask an agent of ${trustDomain}`,
    )
  }
  const unusable = (why: string): Error => new Error(`the agent at ${place} gave a certificate that cannot be used: ${why}`)
  try {
    const chain = pemsOf(svid.chain)
    const roots = pemsOf(svid.bundle)
    const leaf = readCertificate(chain[0] ?? '')
    const key = readSigningKey(`-----BEGIN PRIVATE KEY-----\n${Buffer.from(svid.key).toString('base64')}\n-----END PRIVATE KEY-----\n`)
    if (!leaf.checkPrivateKey(key.private)) throw new RangeError('it is for another key')
    for (const role of ['client', 'server'] as const) {
      const judged = verifyPeer(chain.map(readCertificate), { roots: roots.map(readCertificate), trustDomain, ids: [wanted], role }, now)
      if ('refused' in judged) throw new RangeError(judged.refused)
    }
    const life = lifeOf(leaf)
    return {
      key: key.pem,
      cert: chain.join(''),
      roots,
      notAfter: life.notAfter,
      identity: wanted,
      trustDomain,
      serial: serialOf(leaf),
      life,
    }
  } catch (thrown) {
    throw thrown instanceof RangeError ? unusable(thrown.message) : thrown
  }
}

/** The Workload Endpoint specification, §4: `unix://` and an absolute path, which alone will do. Undefined: it is none. */
export function agentPath(address: string): string | undefined {
  const path = address.replace(/^unix:(\/\/)?(?=\/)/, '')
  return path.startsWith('/') ? path : undefined
}
