/** What every platform gives the control plane: who is running, and how that changes. Resources themselves are in the store. */

import type { Problem } from '#base/note'
import type { Health } from '#model/backend'
import type { Inventory, ProxyNode } from '#model/workload'
import type { Resource } from '#resources/kind'
import type { WorkloadStatus } from '#resources/weft'

export interface Platform {
  /** The same object as long as nothing changed; a workload that did not change is the same object too. */
  readonly inventory: Inventory
  /** Called after each change of the inventory. Returns what ends it. */
  onChange(told: () => void): () => void
  /** A proxy is connected. Throws BadInput where the node cannot be taken. identity: the SPIFFE id that its connection proved. */
  register(node: ProxyNode, identity: string): void
  /** The SPIFFE id of whom a workload is; undefined: no such workload is known. */
  identityOf(id: string): string | undefined
  /** How the workload is, as its probes say. Unknown ids are passed over. */
  report(id: string, health: Health): void
  /** Its proxy is gone without a word: it may come back. */
  disconnect(id: string): void
  /** What is known of the proxy of a workload, if it ever had one, also from before this control plane started. */
  lastKnown(id: string): WorkloadStatus['proxy']
  /** The document with what the platform decides filled in, such as the address of a Service. Changes nothing: it may be a dry run. */
  complete(resource: Resource, old: Resource | undefined): Resource
  /** What is wrong with a document beside the others. old: as it is stored; what is not changed is not complained about. */
  admit(resource: Resource, old?: Resource): readonly Problem[]
  /** It said good-bye: no more traffic from now on. */
  leave(id: string): void
  close(): void
}

export type KindName = { readonly group: string; readonly kind: string }
export type ResourceName = KindName & { readonly namespace: string; readonly name: string }

export type Operation =
  | { readonly type: 'create' | 'update' | 'update-status'; readonly resource: Resource }
  | { readonly type: 'delete'; readonly name: ResourceName }

/** What a platform needs of the control plane's store; all of it happens at once or throws. */
export interface ResourceStore {
  readonly revision: number
  get(name: ResourceName): Resource | undefined
  list(query: { readonly kind: KindName }): { readonly items: readonly Resource[] }
  transact(operations: readonly Operation[]): readonly Resource[]
  watch(
    from: number,
    selection: { readonly kind: KindName },
    told: (change: { readonly type: 'ADDED' | 'MODIFIED' | 'DELETED'; readonly resource: Resource }) => void,
  ): () => void
}
