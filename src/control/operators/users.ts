/**
 * Users with a token: named, with roles, for a time. Of a token only its SHA-256 is kept, so that nobody can read it out of the file; it is told once.
 *
 *   made ──▶ valid ──expired or revoked──▶ refused; the name is free again
 */

import type { Clock } from '#base/clock'
import { type Grant, readGrant, tellGrant } from '#api/rights'
import type { User } from '#api/mesh-api'
import { hashOf, newSecretText } from '#identity/secret-text'
import { openDatabase, type Row } from '#io/sqlite'
import { Refusal } from '../api/refusal.ts'
import type { Principal } from './principal.ts'

/** So that scanners of secrets know it, and people see what it is. */
export const tokenPrefix = 'weft_'

export type NewUser = { readonly name: string; readonly grants: readonly Grant[]; readonly lifeMs?: number; readonly madeBy: string }

export type Users = Disposable & {
  /** The token is told here and nowhere else. Throws a Refusal where the name is taken. */
  create(user: NewUser): { readonly user: User; readonly token: string }
  list(): readonly User[]
  /** What was begun with its token is ended too. undefined: there is no such user. */
  revoke(name: string): User | undefined
  /** Whose token it is; undefined: of nobody, or no longer. */
  find(token: string): Principal | undefined
  named(name: string): Principal | undefined
  /** The same as `find`, for who kept only the SHA-256 of the token: it is no use of it. */
  findByHash(hash: string): Principal | undefined
}

type Kept = { readonly user: User; readonly hash: string; readonly ended: AbortController; usedAt: number | undefined; savedAt: number }

const tables = `CREATE TABLE IF NOT EXISTS users (
  name TEXT PRIMARY KEY, hash TEXT NOT NULL UNIQUE, grants TEXT NOT NULL, made_at INTEGER NOT NULL, made_by TEXT NOT NULL, expires_at INTEGER, used_at INTEGER
) WITHOUT ROWID`

/** When a token was last used is written no more often than this. */
const saveEveryMs = 60_000

/** path: a file of its own, or `:memory:`. Throws DatabaseError. */
export function openUsers({ path, clock }: { readonly path: string; readonly clock: Clock }): Users {
  const database = openDatabase({ path })
  database.exec(tables)
  const put = database.prepare('INSERT INTO users VALUES (?, ?, ?, ?, ?, ?, ?)')
  const remove = database.prepare('DELETE FROM users WHERE name = ?')
  const use = database.prepare('UPDATE users SET used_at = ? WHERE name = ?')
  const byName = new Map<string, Kept>()
  const byHash = new Map<string, Kept>()
  const keep = (kept: Kept): void => {
    byName.set(kept.user.name, kept)
    byHash.set(kept.hash, kept)
  }
  for (const row of database.prepare('SELECT * FROM users').all()) keep(keptOf(row))

  const forget = ({ user, hash, ended }: Kept): User => {
    remove.run(user.name)
    byName.delete(user.name)
    byHash.delete(hash)
    ended.abort()
    return user
  }
  const isOver = ({ user }: Kept): boolean => user.expiresAt !== undefined && Date.parse(user.expiresAt) <= clock.now()
  const principalOf = (kept: Kept): Principal => ({
    name: kept.user.name,
    how: 'token',
    groups: [],
    grants: kept.user.roles.map(readGrant).filter(grant => typeof grant !== 'string'),
    ended: kept.ended.signal,
    ...(kept.user.expiresAt === undefined ? {} : { until: Date.parse(kept.user.expiresAt) }),
  })

  return {
    create({ name, grants, lifeMs, madeBy }) {
      const old = byName.get(name)
      if (old && isOver(old)) forget(old)
      else if (old) throw new Refusal(409, 'AlreadyExists', `there is a user "${name}": revoke that one first, or take another name`)
      const token = newSecretText(tokenPrefix)
      const now = clock.now()
      const expires = lifeMs === undefined ? undefined : now + lifeMs
      const user: User = {
        name,
        roles: grants.map(tellGrant),
        createdAt: new Date(now).toISOString(),
        createdBy: madeBy,
        ...(expires === undefined ? {} : { expiresAt: new Date(expires).toISOString() }),
      }
      const hash = hashOf(token)
      put.run(name, hash, JSON.stringify(user.roles), now, madeBy, expires ?? null, null)
      keep({ user, hash, ended: new AbortController(), usedAt: undefined, savedAt: 0 })
      return { user, token }
    },
    list: () =>
      [...byName.values()]
        .map(({ user, usedAt }) => (usedAt === undefined ? user : { ...user, lastUsedAt: new Date(usedAt).toISOString() }))
        .sort((a, b) => (a.name < b.name ? -1 : 1)),
    revoke(name) {
      const kept = byName.get(name)
      return kept && forget(kept)
    },
    find(token) {
      if (!token.startsWith(tokenPrefix)) return undefined
      const kept = byHash.get(hashOf(token))
      if (kept === undefined || isOver(kept)) return undefined
      kept.usedAt = clock.now()
      if (kept.usedAt - kept.savedAt > saveEveryMs) {
        use.run(kept.usedAt, kept.user.name)
        kept.savedAt = kept.usedAt
      }
      return principalOf(kept)
    },
    findByHash(hash) {
      const kept = byHash.get(hash)
      return kept && !isOver(kept) ? principalOf(kept) : undefined
    },
    named(name) {
      const kept = byName.get(name)
      return kept && !isOver(kept) ? principalOf(kept) : undefined
    },
    [Symbol.dispose]: () => database.close(),
  }
}

function keptOf(row: Row): Kept {
  const expires = row['expires_at']
  const used = row['used_at']
  const user: User = {
    name: String(row['name']),
    roles: JSON.parse(String(row['grants'])) as string[],
    createdAt: new Date(Number(row['made_at'])).toISOString(),
    createdBy: String(row['made_by']),
    ...(typeof expires === 'number' ? { expiresAt: new Date(expires).toISOString() } : {}),
  }
  return { user, hash: String(row['hash']), ended: new AbortController(), usedAt: typeof used === 'number' ? used : undefined, savedAt: 0 }
}
