/** Where a connection came in: the listener it met, who is calling, and the view it began with. */

import { workloadIn } from '#base/id-template'
import type { Agreed } from '#io/net'
import type { Listener } from '#model/listener'
import type { Trust } from '#model/trust'
import type { View } from '#model/view'
import type { Ends } from '#wire/proxy-protocol'

/** The end of an edge that is known before the request is read. */
export type Party = {
  readonly service: string
  readonly namespace: string
  readonly workload: string
  readonly version: string
  readonly identity: string
}

export const nobody: Party = { service: '', namespace: '', workload: '', version: '', identity: '' }

export type Entry = {
  readonly listener: Listener
  /** The newest view: each request takes it once and keeps it. */
  readonly view: () => View
  /** SPIFFE id that the caller proved; undefined over plaintext. Outbound: this proxy's own workload is the caller. */
  readonly peer: string | undefined
  readonly source: Party
  /** Inbound: the SPIFFE id under which this proxy was called. */
  readonly own?: string
  /** Who called whom by address: the ends of the connection, or those that a balancer in front of it names. Asked for where it is needed: the kernel is asked for each. */
  readonly ends?: () => Ends | undefined
  /** What the TLS in which it came agreed on; absent: plaintext, or of the workload itself. */
  readonly agreed?: Agreed | undefined
  /** Where it wants to go that is no service of the mesh. */
  readonly destination?: Destination
  /** At a Gateway: it came by TLS. */
  readonly isSecure?: boolean
}

/** host: where the caller wanted to go, an address or, where that was a virtual one or none, the name. name: what DNS, or the caller itself, calls it. address: absent where it is not known yet. */
export type Destination = { readonly host: string; readonly port: number; readonly name?: string; readonly address?: string }

/** Whoever called from outside the mesh, through a published port or a Gateway. */
export const outside: Party = { service: 'outside', namespace: '', workload: '', version: '', identity: '' }

/** A SPIFFE id → its namespace and service account, as the template of its trust domain has them. */
export function partyOf(identity: string | undefined, { idTemplates }: Pick<Trust, 'idTemplates'>): Party {
  const { namespace = '', serviceAccount: service = '' } = (identity === undefined ? undefined : workloadIn(identity, idTemplates)) ?? {}
  return { ...nobody, namespace, service, identity: identity ?? '' }
}
