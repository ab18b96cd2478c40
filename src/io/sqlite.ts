/** One SQLite file held by this process alone, with errors that say what a person can do about them. The only user of node:sqlite. */

import { chmodSync, existsSync, mkdirSync } from 'node:fs'
import { dirname } from 'node:path'
import { DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite'

export type DatabaseFault = 'full' | 'corrupt' | 'locked' | 'unreadable' | 'broken'

/** What SQLite refused. `message` names the file and what to do. */
export class DatabaseError extends Error {
  readonly fault: DatabaseFault
  constructor(fault: DatabaseFault, message: string) {
    super(message)
    this.name = 'DatabaseError'
    this.fault = fault
  }
}

export type Value = SQLInputValue
export type Row = Readonly<Record<string, unknown>>
export type Statement = { run(...values: Value[]): void; one(...values: Value[]): Row | undefined; all(...values: Value[]): readonly Row[] }

export interface Database extends Disposable {
  readonly path: string
  exec(sql: string): void
  prepare(sql: string): Statement
  /** All of `work` is on disk when this returns, or, when it throws, none of it. Must not be nested. */
  transact<T>(work: () => T): T
  close(): void
}

/**
 * path: a file (made with its folder when absent, readable by its owner only) or `:memory:`.
 * maxBytes: the file grows no further; a write beyond it fails as on a full disk.
 * The lock is exclusive and lasts until close; the operating system lets go of it when the process dies. Throws DatabaseError.
 */
export function openDatabase({ path, maxBytes }: { path: string; maxBytes?: number | undefined }): Database {
  const told = <T>(work: () => T): T => {
    try {
      return work()
    } catch (thrown) {
      throw translate(thrown, path)
    }
  }
  const db = told(() => {
    const isFile = path !== ':memory:'
    const isNew = isFile && !existsSync(path)
    if (isNew) mkdirSync(dirname(path), { recursive: true })
    const opened = new DatabaseSync(path, { timeout: 0 })
    try {
      if (isNew) chmodSync(path, 0o600)
      // Exclusive before WAL: the lock is kept for good and the index of the log lives in memory instead of a shared file (sqlite.org/wal.html §8).
      opened.exec('PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA trusted_schema = OFF')
      if (maxBytes !== undefined) opened.exec(`PRAGMA max_page_count = ${Math.max(1, Math.floor(maxBytes / 4096))}`)
      opened.exec('BEGIN IMMEDIATE; COMMIT')
      return opened
    } catch (thrown) {
      opened.close()
      throw thrown
    }
  })
  const close = (): void => {
    if (db.isOpen) db.close()
  }
  return {
    path,
    exec: sql => told(() => db.exec(sql)),
    prepare: sql => told(() => statement(db.prepare(sql), told)),
    transact: work => {
      told(() => db.exec('BEGIN IMMEDIATE'))
      try {
        const result = work()
        told(() => db.exec('COMMIT'))
        return result
      } catch (thrown) {
        // SQLite has rolled back by itself after some errors, a full disk among them.
        if (db.isTransaction) db.exec('ROLLBACK')
        throw thrown
      }
    },
    close,
    [Symbol.dispose]: close,
  }
}

function statement(prepared: StatementSync, told: <T>(work: () => T) => T): Statement {
  return {
    run: (...values) => void told(() => prepared.run(...values)),
    one: (...values) => told(() => prepared.get(...values)) as Row | undefined,
    all: (...values) => told(() => prepared.all(...values)) as readonly Row[],
  }
}

/** Primary result codes: sqlite.org/rescode.html. */
const faults: Readonly<Record<number, readonly [DatabaseFault, string]>> = {
  3: ['unreadable', 'permission denied: run as the user who owns the file, or change its owner'],
  5: ['locked', 'it is in use by another process: stop that control plane, or give this one another --data folder'],
  6: ['locked', 'it is in use by another process: stop that control plane, or give this one another --data folder'],
  8: ['unreadable', 'it cannot be written: check the permissions of the file and its folder, and that the disk is not mounted read-only'],
  10: ['unreadable', 'the disk failed to read or write: check the system log, then restore the file from a copy if it is damaged'],
  11: ['corrupt', 'the file is damaged: restore it from a copy, or move it away to start empty'],
  13: ['full', 'the disk is full: make room and try again; nothing that was acknowledged is lost'],
  14: ['unreadable', 'it cannot be opened: check that the folder exists and that its permissions allow it'],
  26: ['corrupt', 'the file is not an SQLite database: was another file put in its place? Restore it, or move it away to start empty'],
}

function translate(thrown: unknown, path: string): unknown {
  if (!(thrown instanceof Error)) return thrown
  const { errcode, code } = thrown as { errcode?: unknown; code?: unknown }
  const about = `store ${path}`
  if (typeof errcode === 'number') {
    const known = faults[errcode & 0xff]
    if (known) return new DatabaseError(known[0], `${about}: ${known[1]} (SQLite: ${thrown.message})`)
    return new DatabaseError('broken', `${about}: ${thrown.message} (SQLite error ${errcode})`)
  }
  if (code === 'ENOSPC') return new DatabaseError('full', `${about}: the disk is full: make room and try again`)
  if (code === 'EACCES' || code === 'EPERM' || code === 'EROFS' || code === 'ENOTDIR' || code === 'EEXIST')
    return new DatabaseError(
      'unreadable',
      `${about}: its folder cannot be made or written (${thrown.message}): choose another --data folder or change the permissions`,
    )
  return thrown
}
