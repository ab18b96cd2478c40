/** Which certificates were given to whom, as long as they last: so that what is taken back from an identity is known by its serial numbers too, for revocation lists. */

import type { Clock } from '#base/clock'
import { openDatabase } from '#io/sqlite'

/** notAfter: ms since the epoch. root: the fingerprint of the mesh's own root to which it leads; absent: another's, or not known. */
export type IssuedTo = { readonly serial: string; readonly identity: string; readonly notAfter: number; readonly root?: string }

export type IssuedBook = Disposable & {
  add(issued: IssuedTo): void
  /** Those that have not ended, oldest end first. */
  all(): readonly IssuedTo[]
  /** To which root a certificate leads that has not ended. */
  rootOf(serial: string): string | undefined
  /** Since when each of these was first asked for; what is not among them any more is forgotten. */
  since(serials: Iterable<string>): ReadonlyMap<string, number>
}

/** A list names a certificate once more after its end (RFC 5280 §3.3). */
const graceMs = 24 * 3_600_000

const tables = `
  CREATE TABLE IF NOT EXISTS issued (serial TEXT PRIMARY KEY, identity TEXT NOT NULL, not_after INTEGER NOT NULL, root TEXT) WITHOUT ROWID;
  CREATE INDEX IF NOT EXISTS issued_by_end ON issued (not_after);
  CREATE TABLE IF NOT EXISTS withdrawn (serial TEXT PRIMARY KEY, since INTEGER NOT NULL) WITHOUT ROWID;
`

/** path: a file of its own, or `:memory:`. Throws DatabaseError. */
export function openIssuedBook({ path, clock }: { readonly path: string; readonly clock: Clock }): IssuedBook {
  const database = openDatabase({ path })
  database.exec(tables)
  // Of a book that is older than the column.
  if (
    !database
      .prepare('PRAGMA table_info(issued)')
      .all()
      .some(({ name }) => name === 'root')
  )
    database.exec('ALTER TABLE issued ADD COLUMN root TEXT')
  const insert = database.prepare('INSERT OR REPLACE INTO issued (serial, identity, not_after, root) VALUES (?, ?, ?, ?)')
  const rootOf = database.prepare('SELECT root FROM issued WHERE serial = ? AND root IS NOT NULL')
  const forget = database.prepare('DELETE FROM issued WHERE not_after < ?')
  const list = database.prepare('SELECT serial, identity, not_after FROM issued WHERE not_after >= ? ORDER BY not_after, serial')
  const known = database.prepare('SELECT serial, since FROM withdrawn')
  const begin = database.prepare('INSERT INTO withdrawn (serial, since) VALUES (?, ?)')
  const end = database.prepare('DELETE FROM withdrawn WHERE serial = ?')
  return {
    add: ({ serial, identity, notAfter, root }) =>
      database.transact(() => {
        forget.run(clock.now() - graceMs)
        insert.run(serial, identity, notAfter, root ?? null)
      }),
    all: () =>
      list
        .all(clock.now() - graceMs)
        .map(row => ({ serial: String(row['serial']), identity: String(row['identity']), notAfter: Number(row['not_after']) })),
    rootOf: serial => rootOf.one(serial)?.['root']?.toString(),
    since: serials =>
      database.transact(() => {
        const before = new Map(known.all().map(row => [String(row['serial']), Number(row['since'])]))
        const wanted = new Set(serials)
        const now = clock.now()
        for (const serial of before.keys()) if (!wanted.has(serial)) end.run(serial)
        for (const serial of wanted) if (!before.has(serial)) begin.run(serial, now)
        return new Map([...wanted].map(serial => [serial, before.get(serial) ?? now]))
      }),
    [Symbol.dispose]: () => database.close(),
  }
}
