/** What the compiler is told beside the resources, and what they come to. */

import type { Mesh, Spoken } from '#model/mesh'
import type { Enforced } from './access/enforced.ts'
import type { KnownDomain } from './access/trust-domains.ts'
import type { KnownOrder, OrderedCertificate, ShownChallenge } from './edge/certificate-orders.ts'
import type { JudgeCertificate } from './edge/certificates.ts'
import type { Note } from './gather.ts'
import type { ResourceStatus } from './status.ts'

/**
 * roots: PEM certificates of the accepted roots. now: ms since the epoch; absent: before anything ends. judgeCertificate: what is wrong with a
 * certificate and its key; absent: only whether they look like some. moving: ports of workloads, `WORKLOAD.NAMESPACE:PORT`, on their way between mutual TLS
 * and plaintext, and what callers speak to them meanwhile.
 */
export type CompileOptions = {
  readonly trustDomain: string
  /** Of the ids of its workloads; absent: the default. */
  readonly idTemplate?: string
  readonly roots: readonly string[]
  readonly now?: number
  readonly judgeCertificate?: JudgeCertificate
  readonly moving?: Readonly<Record<string, Spoken>>
  /** PEM: revocation lists of whoever signs the certificates of the mesh. */
  readonly crls?: readonly string[]
  /** As `Withdrawn` has it. */
  readonly areWhole?: true
  /** What is known of TrustDomains, by their name. */
  readonly domains?: Readonly<Record<string, KnownDomain>>
  /** What became of the certificates that are ordered, by Secret, and which challenges are open. */
  readonly orders?: Readonly<Record<string, KnownOrder>>
  readonly challenges?: readonly ShownChallenge[]
  /** Ids of proxies that are Envoys, in order. */
  readonly envoys?: readonly string[]
  /** There will never be revocation lists of all authorities: those that sign are not the mesh's own. */
  readonly isListless?: true
}

/** plaintext: ports of workloads to which callers are to speak plaintext, as in `moving`. notes: what belongs to no condition. statuses: what to write on each resource; `joinStatus` makes the status of it. */
export type Compiled = {
  readonly mesh: Mesh
  readonly plaintext: readonly string[]
  readonly notes: readonly Note[]
  readonly statuses: readonly ResourceStatus[]
  /** Policies about who may call, and whose proxies keep them. */
  readonly enforced: readonly Enforced[]
  /** Certificates of listeners that are to be got. */
  readonly ordered: readonly OrderedCertificate[]
  /** When something ends by itself, so that the same resources compile to something else; ms since the epoch. */
  readonly endsAt?: number
}
