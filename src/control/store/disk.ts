/** The store's tables: what is written in one transaction and read back at start. Knows SQL and nothing of the meaning of a resource. */

import { DatabaseError, openDatabase, type Database } from '#io/sqlite'
import type { Resource } from '#resources/kind'
import type { Author, Deed, DeedQuery, KindName } from './contract.ts'

/** A change as it is kept: `before` and `after` are absent where the object did not exist. */
export type Entry = {
  readonly revision: number
  readonly before: Resource | undefined
  readonly after: Resource | undefined
  readonly kind: KindName
}

/** Raised when the tables change shape; a file of a higher one is refused, of a lower one is carried over by `migrate`. */
const shape = 3
/** What somebody asked for. The triggers hold against mistakes of ours; whoever may write the file may do anything. */
const deeds = `
  CREATE TABLE deeds (
    id INTEGER PRIMARY KEY AUTOINCREMENT, revision INTEGER NOT NULL, at INTEGER NOT NULL, who TEXT NOT NULL, address TEXT NOT NULL, agent TEXT NOT NULL,
    action TEXT NOT NULL, grp TEXT NOT NULL, kind TEXT NOT NULL, namespace TEXT NOT NULL, name TEXT NOT NULL, before TEXT, after TEXT,
    how TEXT NOT NULL DEFAULT ''
  );
  CREATE INDEX deeds_by_object ON deeds (kind, namespace, name);
  CREATE TRIGGER deeds_stay BEFORE DELETE ON deeds BEGIN SELECT RAISE(ABORT, 'deeds are kept'); END;
  CREATE TRIGGER deeds_are_true BEFORE UPDATE ON deeds BEGIN SELECT RAISE(ABORT, 'deeds are kept'); END;
`
const tables = `
  CREATE TABLE objects (grp TEXT, kind TEXT, namespace TEXT, name TEXT, body TEXT NOT NULL, PRIMARY KEY (grp, kind, namespace, name)) WITHOUT ROWID;
  CREATE TABLE events (revision INTEGER PRIMARY KEY, grp TEXT NOT NULL, kind TEXT NOT NULL, before TEXT, after TEXT);
  CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
  INSERT INTO counters VALUES ('revision', 0), ('oldest', 0);
  ${deeds}
`

export type Disk = {
  readonly database: Database
  /** Revision of the newest change, and the one that history begins after. */
  counters(): { revision: number; oldest: number }
  objects(): Iterable<{ readonly kind: KindName; readonly resource: Resource }>
  /** In one transaction. `oldest`: forget history up to and including it. by: whose deeds these are, and when (ms). */
  write(entries: readonly Entry[], oldest: number | undefined, by?: Author & { readonly at: number }): void
  note(deed: Omit<Deed, 'id' | 'before' | 'after'>): void
  deeds(query: DeedQuery): readonly Deed[]
  /** History after a revision, oldest first. */
  entries(after: number, kind: KindName): readonly Entry[]
}

export function openDisk(path: string, maxBytes: number | undefined): Disk {
  const database = openDatabase({ path, maxBytes })
  try {
    migrate(database)
    return prepare(database)
  } catch (thrown) {
    database.close()
    throw thrown
  }
}

function migrate(database: Database): void {
  const found = Number(database.prepare('PRAGMA user_version').one()?.['user_version'])
  if (found > shape)
    throw new DatabaseError(
      'broken',
      `store ${database.path}: it was made by a newer Weft (shape ${found}, this one knows ${shape}): run that version or a later one`,
    )
  if (found === shape) return
  if (found === 1) return database.transact(() => database.exec(`${deeds} PRAGMA user_version = ${shape}`))
  if (found === 2)
    return database.transact(() =>
      database.exec(`ALTER TABLE deeds ADD COLUMN how TEXT NOT NULL DEFAULT ''; PRAGMA user_version = ${shape}`),
    )
  const others = database.prepare("SELECT count(*) AS n FROM sqlite_schema WHERE type = 'table'").one()
  if (Number(others?.['n']) > 0)
    throw new DatabaseError('corrupt', `store ${database.path}: it is an SQLite database of something else: give Weft a file of its own`)
  database.transact(() => database.exec(`${tables} PRAGMA user_version = ${shape}`))
}

function prepare(database: Database): Disk {
  const put = database.prepare('INSERT INTO objects VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET body = excluded.body')
  const remove = database.prepare('DELETE FROM objects WHERE grp = ? AND kind = ? AND namespace = ? AND name = ?')
  const log = database.prepare('INSERT INTO events VALUES (?, ?, ?, ?, ?)')
  const count = database.prepare('UPDATE counters SET value = ? WHERE name = ?')
  const forget = database.prepare('DELETE FROM events WHERE revision <= ?')
  const history = database.prepare(
    'SELECT revision, before, after FROM events WHERE revision > ? AND grp = ? AND kind = ? ORDER BY revision',
  )
  const deed = database.prepare(
    'INSERT INTO deeds (revision, at, who, how, address, agent, action, grp, kind, namespace, name, before, after) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)',
  )
  const done = database.prepare(
    'SELECT * FROM deeds WHERE at >= ? AND id < ? AND (? IS NULL OR kind = ?) AND (? IS NULL OR namespace = ?) AND (? IS NULL OR name = ?) AND (? IS NULL OR who = ?) ORDER BY id DESC LIMIT ?',
  )
  return {
    database,
    note: ({ revision, at, who, how, address, agent, action, about }) =>
      void deed.run(revision, at, who, how, address, agent, action, about.group, about.kind, about.namespace, about.name, null, null),
    deeds({ since = 0, before = Number.MAX_SAFE_INTEGER, kind = null, namespace = null, name = null, who = null, limit }) {
      return done.all(since, before, kind, kind, namespace, namespace, name, name, who, who, limit).map((row): Deed => {
        const [was, is] = [read(database, row['before']), read(database, row['after'])]
        return {
          id: Number(row['id']),
          revision: Number(row['revision']),
          at: Number(row['at']),
          who: String(row['who']),
          how: String(row['how']),
          address: String(row['address']),
          agent: String(row['agent']),
          action: String(row['action']),
          about: { group: String(row['grp']), kind: String(row['kind']), namespace: String(row['namespace']), name: String(row['name']) },
          ...(was === undefined ? {} : { before: was }),
          ...(is === undefined ? {} : { after: is }),
        }
      })
    },
    counters() {
      const rows = database.prepare('SELECT name, value FROM counters').all()
      const value = (name: string): number => Number(rows.find(row => row['name'] === name)?.['value'] ?? 0)
      return { revision: value('revision'), oldest: value('oldest') }
    },
    *objects() {
      for (const row of database.prepare('SELECT grp, kind, body FROM objects').all())
        yield { kind: { group: String(row['grp']), kind: String(row['kind']) }, resource: read(database, row['body'])! }
    },
    write(entries, oldest, by) {
      database.transact(() => {
        for (const { revision, before, after, kind } of entries) {
          const { namespace = '', name } = (after ?? before)!.metadata
          const body = after && JSON.stringify(after)
          if (body === undefined) remove.run(kind.group, kind.kind, namespace, name)
          else put.run(kind.group, kind.kind, namespace, name, body)
          const old = before ? JSON.stringify(before) : null
          log.run(revision, kind.group, kind.kind, old, body ?? null)
          if (by === undefined) continue
          const action = before === undefined ? 'created' : after === undefined ? 'deleted' : 'changed'
          const about = [kind.group, kind.kind, namespace, name] as const
          deed.run(revision, by.at, by.who, by.how, by.address, by.agent, action, ...about, old, body ?? null)
        }
        count.run(entries.at(-1)!.revision, 'revision')
        if (oldest === undefined) return
        forget.run(oldest)
        count.run(oldest, 'oldest')
      })
    },
    entries: (after, { group, kind }) =>
      history.all(after, group, kind).map(row => ({
        revision: Number(row['revision']),
        before: read(database, row['before']),
        after: read(database, row['after']),
        kind: { group, kind },
      })),
  }
}

function read(database: Database, body: unknown): Resource | undefined {
  if (typeof body !== 'string') return undefined
  try {
    return JSON.parse(body) as Resource
  } catch {
    throw new DatabaseError(
      'corrupt',
      `store ${database.path}: an object in it cannot be read: restore the file from a copy, or move it away to start empty`,
    )
  }
}
