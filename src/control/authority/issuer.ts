/** What signs the certificates of the mesh: one shape, whichever authority stands behind it. */

import type { CrlWanted } from '#identity/crl'
import type { Certificate } from '#identity/certificate'
import type { Request } from '#identity/csr'
import type { Issued } from '#identity/issue'
import type { SpiffeId } from '#identity/spiffe'
import type { RootRotation } from './rotation.ts'

/** csr: PEM; it is signed by the key that it names, and asks for nothing but the identity (and dns, ips: of the control plane itself). lifeMs: at most. */
export type Wanted = {
  readonly csr: string
  readonly publicKey: Request['publicKey']
  readonly identity: SpiffeId
  readonly lifeMs: number
  readonly dns?: readonly string[]
  readonly ips?: readonly string[]
}

export const issuerTypes = ['BuiltIn', 'Files', 'Vault', 'StepCA', 'Command', 'WorkloadAPI', 'Kubernetes'] as const

export type Issuer = {
  readonly type: (typeof issuerTypes)[number]
  /** What proxies are to trust; the one that new certificates lead to is the first. */
  roots(): readonly Certificate[]
  /** By which one who knows the mesh for the first time is to know it. */
  anchor(): Certificate
  /** Those that sign leaves, or did lately. */
  intermediates(): readonly Certificate[]
  /** chain: the leaf and what stands between it and the root, PEM. Rejects with one sentence when there is no certificate to be had. */
  sign(wanted: Wanted): Promise<Issued>
  /** What the control plane shows, where it is not signed here; read again after onChange. notAfter: ms since the epoch. */
  readonly server?: () => { readonly key: string; readonly cert: string; readonly serial: string; readonly notAfter: number }
  /** How one root takes the place of another; absent where that is not the mesh's to do. */
  readonly rotation?: RootRotation
  /** Its revocation lists, signed by every authority that a chain may have; absent where the keys are not the mesh's. PEM. */
  readonly signLists?: (wanted: CrlWanted) => readonly string[]
  /** Those of another authority, as they were last found and verified. PEM. */
  readonly lists?: () => readonly string[]
  close(): void
}

/** The authority cannot sign now; trying again may help. The message is one sentence. */
export class IssuerDown extends Error {}
