/** The living store: all objects in memory, every accepted change on disk first, watchers told in the order of revisions. */

import type { Resource } from '#resources/kind'
import {
  nameOf,
  StoreError,
  type Author,
  type Change,
  type Deed,
  type DeedQuery,
  type KindName,
  type Operation,
  type Page,
  type Query,
  type ResourceName,
  type Selection,
  type Store,
  type StoreOptions,
} from './contract.ts'
import { change, type Moment } from './change.ts'
import { openDisk, type Disk, type Entry } from './disk.ts'
import { freeze } from './freeze.ts'
import { fieldPredicate, labelPredicate, type Predicate } from './selector.ts'
import { page } from './page.ts'

type Shelf = Map<string, Resource>

const shelfOf = ({ group, kind }: KindName): string => `${group}/${kind}`
const placeOf = (namespace: string, name: string): string => `${namespace}/${name}`

/** Throws DatabaseError, with what to do, when the file is held by another process, damaged, unreadable, or made by a newer Weft. */
export function openStore(options: StoreOptions): Store {
  const disk = openDisk(options.path, options.maxBytes)
  try {
    return new MemoryStore(disk, options)
  } catch (thrown) {
    disk.database.close()
    throw thrown
  }
}

class MemoryStore implements Store {
  readonly path: string
  #disk: Disk
  #shelves = new Map<string, Shelf>()
  #revision: number
  #oldest: number
  #keepEvents: number
  #moment: () => Moment
  #watchers = new Set<(entry: Entry) => void>()
  #listeners = new Set<(revision: number) => void>()
  #untold: (readonly Entry[])[] = []
  #isTelling = false

  constructor(disk: Disk, { path, keepEvents = 10_000, now = Date.now }: StoreOptions) {
    this.path = path
    this.#disk = disk
    const { revision, oldest } = disk.counters()
    this.#revision = revision
    this.#oldest = oldest
    this.#keepEvents = keepEvents
    this.#moment = () => ({ now: now(), uid: () => crypto.randomUUID() })
    for (const { kind, resource } of disk.objects())
      this.#shelf(kind).set(placeOf(resource.metadata.namespace ?? '', resource.metadata.name), freeze(resource))
  }

  get revision(): number {
    return this.#revision
  }

  get(name: ResourceName): Resource | undefined {
    return this.#shelf(name).get(placeOf(name.namespace, name.name))
  }

  list(query: Query): Page {
    const matches = predicateOf(query)
    return page(query, this.#revision, revision => [...this.#shelfAt(query.kind, revision).values()].filter(matches))
  }

  create(resource: Resource): Resource {
    return this.transact([{ type: 'create', resource }])[0]!
  }
  update(resource: Resource, { ifVersion }: { ifVersion?: string | undefined } = {}): Resource {
    return this.transact([{ type: 'update', resource, ifVersion }])[0]!
  }
  updateStatus(resource: Resource, { ifVersion }: { ifVersion?: string | undefined } = {}): Resource {
    return this.transact([{ type: 'update-status', resource, ifVersion }])[0]!
  }
  delete(name: ResourceName, { ifVersion, uid }: { ifVersion?: string | undefined; uid?: string | undefined } = {}): Resource {
    return this.transact([{ type: 'delete', name, ifVersion, uid }])[0]!
  }

  transact(
    operations: readonly Operation[],
    { dryRun = false, by }: { dryRun?: boolean | undefined; by?: Author | undefined } = {},
  ): readonly Resource[] {
    const moment = this.#moment()
    const entries: Entry[] = []
    const pending = new Map<string, Resource | undefined>()
    const results = operations.map((operation, index) => {
      const name = operation.type === 'delete' ? operation.name : nameOf(operation.resource)
      const place = `${shelfOf(name)}/${placeOf(name.namespace, name.name)}`
      const before = pending.has(place) ? pending.get(place) : this.get(name)
      const changed = attempt(() => change(operation, before, moment), index)
      if (changed !== undefined && changed === before) return before
      const revision = this.#revision + entries.length + 1
      const after = changed && freeze(withVersion(changed, revision))
      entries.push({ revision, before, after, kind: { group: name.group, kind: name.kind } })
      pending.set(place, after)
      return after ?? freeze(withVersion(before!, revision))
    })
    if (!dryRun && entries.length > 0) this.#commit(entries, by && { ...by, at: moment.now })
    return results
  }

  watch(from: number, selection: Selection, told: (change: Change) => void): () => void {
    this.#checkKept(from)
    const matches = predicateOf(selection)
    const { group, kind } = selection.kind
    let last = from
    const see = (entry: Entry): void => {
      if (entry.revision <= last || entry.kind.kind !== kind || entry.kind.group !== group) return
      last = entry.revision
      const seen = asSeen(entry, matches)
      if (seen) told(seen)
    }
    // Again until there is no more: what `told` itself commits meanwhile is history too.
    for (let past = this.#disk.entries(last, selection.kind); past.length > 0; past = this.#disk.entries(last, selection.kind))
      past.forEach(entry => see(freeze(entry)))
    this.#watchers.add(see)
    return () => void this.#watchers.delete(see)
  }

  onCommit(told: (revision: number) => void): () => void {
    this.#listeners.add(told)
    return () => void this.#listeners.delete(told)
  }

  close(): void {
    this.#watchers.clear()
    this.#listeners.clear()
    this.#disk.database.close()
  }
  [Symbol.dispose](): void {
    this.close()
  }

  note(action: string, about: ResourceName, by: Author): void {
    this.#disk.note({ ...by, action, about, at: this.#moment().now, revision: this.#revision })
  }

  deeds(query: DeedQuery): readonly Deed[] {
    return this.#disk.deeds(query)
  }

  #commit(entries: readonly Entry[], by: (Author & { readonly at: number }) | undefined): void {
    const revision = entries.at(-1)!.revision
    // History is cut in strides, so that not every write pays for a deletion.
    const isDue = revision - this.#oldest > this.#keepEvents * 1.1
    const oldest = isDue ? revision - this.#keepEvents : undefined
    this.#disk.write(entries, oldest, by)
    this.#revision = revision
    if (oldest !== undefined) this.#oldest = oldest
    for (const { kind, before, after } of entries) {
      const { namespace = '', name } = (after ?? before)!.metadata
      if (after) this.#shelf(kind).set(placeOf(namespace, name), after)
      else this.#shelf(kind).delete(placeOf(namespace, name))
    }
    this.#untold.push(entries)
    this.#tell()
  }

  /** A listener may write: its change waits its turn here, so that everyone sees revisions in order. */
  #tell(): void {
    if (this.#isTelling) return
    this.#isTelling = true
    try {
      for (let entries = this.#untold.shift(); entries; entries = this.#untold.shift()) {
        for (const entry of entries) for (const see of this.#watchers) see(entry)
        for (const told of this.#listeners) told(entries.at(-1)!.revision)
      }
    } finally {
      this.#isTelling = false
    }
  }

  #shelf(kind: KindName): Shelf {
    const key = shelfOf(kind)
    const shelf = this.#shelves.get(key) ?? new Map<string, Resource>()
    this.#shelves.set(key, shelf)
    return shelf
  }

  /** The objects of a kind as they were: the present with history undone. */
  #shelfAt(kind: KindName, revision: number): Shelf {
    if (revision === this.#revision) return this.#shelf(kind)
    this.#checkKept(revision)
    const shelf: Shelf = new Map(this.#shelf(kind))
    for (const { before, after } of this.#disk.entries(revision, kind).toReversed()) {
      const { namespace = '', name } = (after ?? before)!.metadata
      if (before) shelf.set(placeOf(namespace, name), before)
      else shelf.delete(placeOf(namespace, name))
    }
    return shelf
  }

  #checkKept(revision: number): void {
    if (revision > this.#revision)
      throw new StoreError(
        'gone',
        `revision ${revision} is ahead of this store, which is at ${this.#revision}: list again and watch from the revision of that list`,
      )
    if (revision < this.#oldest)
      throw new StoreError(
        'gone',
        `too old resource version: ${revision} (${this.#oldest}): list again and watch from the revision of that list`,
      )
  }
}

const withVersion = (resource: Resource, revision: number): Resource => ({
  ...resource,
  metadata: { ...resource.metadata, resourceVersion: String(revision) },
})

function predicateOf({ namespace, labelSelector, fieldSelector }: Selection): Predicate {
  const labels = labelPredicate(labelSelector)
  const fields = fieldPredicate(fieldSelector)
  return resource => (namespace === undefined || resource.metadata.namespace === namespace) && labels(resource) && fields(resource)
}

/** An object that comes to match is ADDED for this watcher, one that ceases to match is DELETED, whatever happened to it. */
function asSeen({ revision, before, after }: Entry, matches: Predicate): Change | undefined {
  const did = before !== undefined && matches(before)
  const does = after !== undefined && matches(after)
  if (does) return { type: did ? 'MODIFIED' : 'ADDED', revision, resource: after }
  if (!did) return undefined
  return { type: 'DELETED', revision, resource: after ?? withVersion(before, revision) }
}

function attempt<T>(work: () => T, operation: number): T {
  try {
    return work()
  } catch (thrown) {
    throw thrown instanceof StoreError ? new StoreError(thrown.fault, thrown.message, thrown.about, operation) : thrown
  }
}
