import { test } from 'node:test'
import assert from 'node:assert/strict'
import { mkdtempSync, openSync, rmSync, statSync, writeFileSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import type { Resource } from '#resources/kind'
import { openStore, type Change, type ResourceName } from './store.ts'

const kind = { group: 'test.dev', kind: 'Thing' }
const thing = (name: string, spec: unknown = {}, more: object = {}): Resource => ({
  apiVersion: 'test.dev/v1',
  kind: 'Thing',
  metadata: { name, namespace: 'default', ...more },
  spec,
})
const named = (name: string): ResourceName => ({ ...kind, namespace: 'default', name })
const fault = (name: string) => (thrown: unknown) => (thrown as { fault?: string }).fault === name

function folder(t: { after(run: () => void): void }): string {
  const path = mkdtempSync(join(tmpdir(), 'weft-store-'))
  t.after(() => rmSync(path, { recursive: true, force: true }))
  return path
}

test('a created object gets uid, generation 1, a time and the next revision', () => {
  using store = openStore({ path: ':memory:', now: () => 1_700_000_000_123 })
  const { metadata } = store.create(thing('a'))
  assert.match(metadata.uid!, /^[0-9a-f-]{36}$/)
  assert.deepEqual([metadata.generation, metadata.resourceVersion, metadata.creationTimestamp], [1, '1', '2023-11-14T22:13:20Z'])
  assert.throws(() => store.create(thing('a')), fault('already-exists'))
})

test('an update from a stale version is a conflict and from the present one is not', () => {
  using store = openStore({ path: ':memory:' })
  const first = store.create(thing('a', { n: 1 }))
  store.update(thing('a', { n: 2 }), { ifVersion: first.metadata.resourceVersion })
  assert.throws(() => store.update(thing('a', { n: 3 }), { ifVersion: first.metadata.resourceVersion }), fault('conflict'))
  assert.deepEqual(store.get(named('a'))?.spec, { n: 2 })
})

test('only a change of what is asked for bumps the generation; a change of nothing takes no revision', () => {
  using store = openStore({ path: ':memory:' })
  store.create(thing('a', { n: 1 }))
  const labelled = store.update(thing('a', { n: 1 }, { labels: { x: 'y' } }))
  assert.deepEqual([labelled.metadata.generation, store.revision], [1, 2])
  store.update(thing('a', { n: 1 }, { labels: { x: 'y' } }))
  assert.equal(store.revision, 2)
  assert.equal(store.update(thing('a', { n: 2 })).metadata.generation, 2)
})

test('status is written by updateStatus alone', () => {
  using store = openStore({ path: ':memory:' })
  store.create({ ...thing('a', { n: 1 }), status: { smuggled: true } })
  assert.equal(store.get(named('a'))?.status, undefined)
  store.updateStatus({ ...thing('a', { n: 9 }), status: { ready: true } })
  store.update({ ...thing('a', { n: 2 }), status: { ready: false } })
  const { spec, status, metadata } = store.get(named('a'))!
  assert.deepEqual([spec, status, metadata.generation], [{ n: 2 }, { ready: true }, 2])
})

test('a delete checks uid and version, and waits for finalizers', () => {
  using store = openStore({ path: ':memory:' })
  store.create(thing('a', {}, { finalizers: ['test.dev/hold'] }))
  assert.throws(() => store.delete(named('a'), { uid: 'other' }), fault('conflict'))
  assert.ok(store.delete(named('a')).metadata.deletionTimestamp)
  assert.ok(store.get(named('a')), 'it is held')
  store.update(thing('a'))
  assert.equal(store.get(named('a')), undefined)
  assert.throws(() => store.delete(named('a')), fault('not-found'))
})

test('a transaction with one bad operation changes nothing, and says which it was', () => {
  using store = openStore({ path: ':memory:' })
  assert.throws(
    () =>
      store.transact([
        { type: 'create', resource: thing('a') },
        { type: 'update', resource: thing('b') },
      ]),
    (thrown: { fault?: string; operation?: number }) => thrown.fault === 'not-found' && thrown.operation === 1,
  )
  assert.deepEqual([store.revision, store.list({ kind }).items.length], [0, 0])
})

test('a dry run answers as the real one would and keeps nothing', () => {
  using store = openStore({ path: ':memory:' })
  const [made] = store.transact([{ type: 'create', resource: thing('a') }], { dryRun: true })
  assert.equal(made?.metadata.generation, 1)
  assert.deepEqual([store.revision, store.get(named('a'))], [0, undefined])
})

test('a watcher sees history after its revision and then what is committed, in order, even what a watcher commits itself', () => {
  using store = openStore({ path: ':memory:' })
  const seen: string[] = []
  store.create(thing('a'))
  store.create(thing('b'))
  store.onCommit(() => {
    if (!store.get(named('echo'))) store.create(thing('echo'))
  })
  const stop = store.watch(1, { kind }, ({ type, revision, resource }) => seen.push(`${revision} ${type} ${resource.metadata.name}`))
  store.watch(1, { kind: { ...kind, kind: 'Other' } }, () => seen.push('wrong kind'))
  store.update(thing('a', { n: 1 }))
  store.delete(named('b'))
  stop()
  store.create(thing('late'))
  assert.deepEqual(seen, ['2 ADDED b', '3 MODIFIED a', '4 ADDED echo', '5 DELETED b'])
})

test('what a watcher passes to say its kind stays its own: it may hold more than two names', () => {
  using store = openStore({ path: ':memory:' })
  store.create(thing('a'))
  const mine = { ...kind, schema: { lazy: undefined as string | undefined } }
  store.watch(0, { kind: mine }, () => {})
  mine.schema.lazy = 'made when it is first asked for'
  assert.equal(mine.schema.lazy, 'made when it is first asked for')
})

test('an object that ceases to match a selector is deleted for that watcher', () => {
  using store = openStore({ path: ':memory:' })
  const seen: Change[] = []
  store.watch(0, { kind, labelSelector: 'app in (web, api),!old' }, change => seen.push(change))
  store.create(thing('a', {}, { labels: { app: 'db' } }))
  store.update(thing('a', {}, { labels: { app: 'web' } }))
  store.update(thing('a', { n: 1 }, { labels: { app: 'api' } }))
  store.update(thing('a', { n: 1 }, { labels: { app: 'api', old: '' } }))
  assert.deepEqual(
    seen.map(({ type }) => type),
    ['ADDED', 'MODIFIED', 'DELETED'],
  )
})

test('pages of one list show one moment, whatever is written between them', () => {
  using store = openStore({ path: ':memory:' })
  for (const name of ['a', 'b', 'c', 'd']) store.create(thing(name))
  const first = store.list({ kind, limit: 2 })
  store.delete(named('c'))
  store.create(thing('bb'))
  const second = store.list({ kind, limit: 2, continue: first.continue })
  assert.deepEqual(
    [first.items, second.items].map(items => items.map(item => item.metadata.name)),
    [
      ['a', 'b'],
      ['c', 'd'],
    ],
  )
  assert.deepEqual([first.remaining, first.revision, second.revision, second.continue], [2, 4, 4, undefined])
  assert.throws(() => store.list({ kind, continue: 'nonsense' }), fault('invalid'))
})

test('forgotten history is gone, and so is a revision of the future', () => {
  using store = openStore({ path: ':memory:', keepEvents: 10 })
  store.create(thing('a'))
  for (let n = 0; n < 30; n++) store.update(thing('a', { n }))
  assert.throws(() => store.watch(1, { kind }, () => {}), fault('gone'))
  assert.throws(() => store.watch(99, { kind }, () => {}), fault('gone'))
  store.watch(25, { kind }, () => {})()
})

test('what readers hold cannot be edited under others', () => {
  using store = openStore({ path: ':memory:' })
  const made = store.create(thing('a', { list: [1] })) as { spec: { list: number[] } }
  assert.throws(() => made.spec.list.push(2), TypeError)
})

test('objects, revision and history are there after a restart', t => {
  const path = join(folder(t), 'sub', 'store.db')
  const before = openStore({ path })
  before.create(thing('a', { n: 1 }))
  before.create(thing('b'))
  before.delete(named('b'))
  before.close()
  using after = openStore({ path })
  assert.equal(after.revision, 3)
  assert.deepEqual(
    after.list({ kind }).items.map(item => [item.metadata.name, item.metadata.resourceVersion]),
    [['a', '1']],
  )
  const seen: string[] = []
  after.watch(1, { kind }, change => seen.push(change.type))
  assert.deepEqual(seen, ['ADDED', 'DELETED'])
})

test('a store in use, damaged, foreign, unreadable or newer is refused with its path and what to do', t => {
  const dir = folder(t)
  const path = join(dir, 'store.db')
  using held = openStore({ path })
  held.create(thing('a'))
  assert.throws(() => openStore({ path }), /store\.db: it is in use by another process: stop that control plane/)

  writeFileSync(join(dir, 'text.db'), 'this is a letter, not a database, and long enough to be looked at'.repeat(9))
  assert.throws(
    () => openStore({ path: join(dir, 'text.db') }),
    /text\.db: the file is not an SQLite database.*Restore it, or move it away/,
  )

  assert.throws(() => openStore({ path: dir }), /cannot be opened|cannot be/)
  assert.throws(() => openStore({ path: join(path, 'below', 'store.db') }), /its folder cannot be made/)

  const foreign = new DatabaseSync(join(dir, 'foreign.db'))
  foreign.exec('CREATE TABLE photos (name TEXT)')
  foreign.close()
  assert.throws(() => openStore({ path: join(dir, 'foreign.db') }), /SQLite database of something else/)

  openStore({ path: join(dir, 'newer.db') }).close()
  const newer = new DatabaseSync(join(dir, 'newer.db'))
  newer.exec('PRAGMA user_version = 99')
  newer.close()
  assert.throws(() => openStore({ path: join(dir, 'newer.db') }), /made by a newer Weft \(shape 99/)
})

test('on a full disk the write is refused, what was there stays, and smaller writes go on', t => {
  const path = join(folder(t), 'store.db')
  using store = openStore({ path, maxBytes: 200_000 })
  store.create(thing('a', { n: 1 }))
  assert.throws(() => store.update(thing('a', { text: 'x'.repeat(300_000) })), /the disk is full: make room and try again/)
  assert.deepEqual([store.revision, store.get(named('a'))?.spec], [1, { n: 1 }])
  assert.deepEqual(store.update(thing('a', { n: 2 })).spec, { n: 2 })
})

test('a file whose pages were overwritten is told to be damaged, and nobody but its owner may read a sound one', t => {
  const path = join(folder(t), 'store.db')
  const store = openStore({ path })
  for (let n = 0; n < 50; n++) store.create(thing(`a${n}`, { text: 'x'.repeat(2000) }))
  assert.equal(statSync(path).mode & 0o777, 0o600)
  assert.equal(statSync(`${path}-wal`).mode & 0o777, 0o600)
  store.close()
  const file = openSync(path, 'r+')
  for (let at = 4096; at < 200_000; at += 4096) writeSync(file, Buffer.alloc(200, 0xff), 0, 200, at)
  assert.throws(() => openStore({ path }), /store\.db: the file is damaged: restore it from a copy, or move it away to start empty/)
})
