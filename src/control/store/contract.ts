/** The words of the store: what is asked of it, what it answers, how it refuses. */

import type { Resource } from '#resources/kind'

/** How the store names a kind, whatever the version it is written in. `Kind` fits. */
export type KindName = { readonly group: string; readonly kind: string }

/** namespace: '' for kinds without. */
export type ResourceName = KindName & { readonly namespace: string; readonly name: string }

export type StoreFault = 'not-found' | 'already-exists' | 'conflict' | 'gone' | 'invalid'

/** What the store refuses. Disk trouble is a DatabaseError instead. `operation` is the index of the refused operation in `transact`. */
export class StoreError extends Error {
  readonly fault: StoreFault
  readonly about: ResourceName | undefined
  readonly operation: number
  constructor(fault: StoreFault, message: string, about?: ResourceName, operation = 0) {
    super(message)
    this.name = 'StoreError'
    this.fault = fault
    this.about = about
    this.operation = operation
  }
}

/** ifVersion: the `resourceVersion` the writer has seen; another one now → conflict. */
export type Operation =
  | { readonly type: 'create'; readonly resource: Resource }
  | { readonly type: 'update'; readonly resource: Resource; readonly ifVersion?: string | undefined }
  /** Changes `status` and `metadata.managedFields` and nothing else. */
  | { readonly type: 'update-status'; readonly resource: Resource; readonly ifVersion?: string | undefined }
  /** With finalizers present the object is only marked with `deletionTimestamp`; the update that removes the last one deletes it. */
  | { readonly type: 'delete'; readonly name: ResourceName; readonly ifVersion?: string | undefined; readonly uid?: string | undefined }

/** Selectors in Kubernetes syntax: `app=shop,tier in (web,api),!old`; fields: `metadata.name=`, `metadata.namespace=`, `!=`. namespace absent: all. */
export type Selection = {
  readonly kind: KindName
  readonly namespace?: string | undefined
  readonly labelSelector?: string | undefined
  readonly fieldSelector?: string | undefined
}
/** continue: what the list before returned; its pages show the state at the revision of the first. */
export type Query = Selection & {
  /** Show the state at this revision; throws gone when it is forgotten. */
  readonly at?: number | undefined
  readonly limit?: number | undefined
  readonly continue?: string | undefined
}
export type Page = {
  readonly items: readonly Resource[]
  readonly revision: number
  readonly continue?: string
  readonly remaining?: number
}

/** Who changed something, as it is kept for ever. who: of whom the caller proved to be; how: by what; '' by nothing. address, agent: from where, and with what. */
export type Author = { readonly who: string; readonly how: string; readonly address: string; readonly agent: string }
/** One change that somebody asked for. action: of an object what became of it, else what was done. before, after: absent where it did not exist, or is none. */
export type Deed = Author & {
  readonly id: number
  readonly at: number
  readonly revision: number
  readonly action: string
  readonly about: ResourceName
  readonly before?: Resource
  readonly after?: Resource
}
/** newest first. before: only deeds with a smaller id. */
export type DeedQuery = {
  readonly since?: number | undefined
  readonly before?: number | undefined
  readonly kind?: string | undefined
  readonly namespace?: string | undefined
  readonly name?: string | undefined
  readonly who?: string | undefined
  readonly limit: number
}

export type Change = { readonly type: 'ADDED' | 'MODIFIED' | 'DELETED'; readonly revision: number; readonly resource: Resource }

export interface Store extends Disposable {
  readonly path: string
  /** Of the newest change; 0 when empty. Never goes back, not over a crash either. */
  readonly revision: number
  get(name: ResourceName): Resource | undefined
  list(query: Query): Page
  create(resource: Resource): Resource
  update(resource: Resource, options?: { ifVersion?: string | undefined }): Resource
  updateStatus(resource: Resource, options?: { ifVersion?: string | undefined }): Resource
  delete(name: ResourceName, options?: { ifVersion?: string | undefined; uid?: string | undefined }): Resource
  /** All or nothing. Returns what each operation left (a deletion: the last state). dryRun: everything is checked and nothing kept. */
  transact(operations: readonly Operation[], options?: { dryRun?: boolean | undefined; by?: Author | undefined }): readonly Resource[]
  /** Something that was done and is no change of an object. */
  note(action: string, about: ResourceName, by: Author): void
  /** What was changed by somebody: `transact` with `by`, and `note`. Nothing takes it away again. */
  deeds(query: DeedQuery): readonly Deed[]
  /** Calls `told` for every change after `from`, first what history holds, at once, then the rest as it is committed. Returns what ends it. Throws gone. */
  watch(from: number, selection: Selection, told: (change: Change) => void): () => void
  /** Called after each commit, before the write returns. Returns what ends it. */
  onCommit(told: (revision: number) => void): () => void
  close(): void
}

export type StoreOptions = {
  /** A file, or `:memory:`. */
  readonly path: string
  /** How many revisions of history to keep; 10,000 unless said. */
  readonly keepEvents?: number
  /** The file grows no further than this. */
  readonly maxBytes?: number
  /** Milliseconds since the epoch, for creation and deletion times. */
  readonly now?: () => number
}

/** The name under which a document is kept. */
export function nameOf(resource: Resource): ResourceName {
  const at = resource.apiVersion.lastIndexOf('/')
  const group = at < 0 ? '' : resource.apiVersion.slice(0, at)
  return { group, kind: resource.kind, namespace: resource.metadata.namespace ?? '', name: resource.metadata.name }
}
