/**
 * The join tokens that were given out: how often each may be used and for whom, who used it, and that it is revoked. Of a token itself only its SHA-256 is kept.
 *
 *   made ──use──▶ used, once for each key that asks ──▶ used up, expired or revoked ──a day after its end──▶ forgotten
 *
 * A use is one transaction: of two that race for the last one, one gets it. The same key may ask again, because its reply may have been lost.
 */

import type { Clock } from '#base/clock'
import { BadToken, tokenSha256 } from '#identity/token'
import { openDatabase, type Row } from '#io/sqlite'

/** uses: how often it may be used; undefined: any number of times. selector: of labels that a workload which joined by it must have. expiresAt: ms since the epoch. */
export type JoinTokenMade = {
  readonly id: string
  readonly identity: string
  readonly expiresAt: number
  readonly uses?: number | undefined
  readonly selector?: string | undefined
  readonly createdBy: string
}
export type JoinTokenState = 'usable' | 'used' | 'expired' | 'revoked'
/** Times in ms since the epoch. lastUse: by which address. */
export type JoinTokenKept = JoinTokenMade & {
  readonly createdAt: number
  readonly used: number
  readonly state: JoinTokenState
  readonly revokedAt?: number
  readonly lastUse?: { readonly at: number; readonly from: string }
}
/** selector: the labels that whoever joined is bound to. isAgain: the same key asked before. */
export type JoinTokenUse = {
  readonly id: string
  readonly selector: string | undefined
  readonly isAgain: boolean
  /** No certificate came of it: it does not count. */
  takeBack(): void
}

export type JoinTokens = Disposable & {
  add(token: string, made: JoinTokenMade): void
  /** token: its signature and its end are verified. key: SHA-256 of the key that the certificate is for. Throws BadToken with one sentence that says what to do. */
  use(token: string, key: string, from: string): JoinTokenUse
  /** Newest first, those of the last day. */
  list(): readonly JoinTokenKept[]
  /** Undefined: there is none of that id. What joined by it stays in the mesh. */
  revoke(id: string): JoinTokenKept | undefined
  /** A certificate of a workload that is bound to labels; until: ms since the epoch. */
  bind(serial: string, selector: string, until: number): void
  /** The labels that the holder of this certificate is bound to. */
  boundTo(serial: string): string | undefined
}

const keptMs = 24 * 3_600_000
const anew = 'make a new one with: weft token create'

const tables = `
  CREATE TABLE IF NOT EXISTS tokens (
    hash TEXT PRIMARY KEY, id TEXT NOT NULL UNIQUE, identity TEXT NOT NULL, selector TEXT, uses INTEGER, created_at INTEGER NOT NULL, created_by TEXT NOT NULL,
    expires_at INTEGER NOT NULL, revoked_at INTEGER
  ) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS uses (
    hash TEXT NOT NULL REFERENCES tokens ON DELETE CASCADE, key TEXT NOT NULL, at INTEGER NOT NULL, address TEXT NOT NULL, PRIMARY KEY (hash, key)
  ) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS bound (serial TEXT PRIMARY KEY, selector TEXT NOT NULL, until INTEGER NOT NULL) WITHOUT ROWID;
`
const all = `
  SELECT tokens.*, (SELECT count(*) FROM uses WHERE uses.hash = tokens.hash) AS used,
    (SELECT max(at) FROM uses WHERE uses.hash = tokens.hash) AS used_at,
    (SELECT address FROM uses WHERE uses.hash = tokens.hash ORDER BY at DESC LIMIT 1) AS used_from
  FROM tokens
`

/** path: a file of its own, or `:memory:`. Throws DatabaseError. */
export function openJoinTokens({ path, clock }: { readonly path: string; readonly clock: Clock }): JoinTokens {
  const database = openDatabase({ path })
  database.exec(`PRAGMA foreign_keys = ON; ${tables}`)
  const add = database.prepare('INSERT INTO tokens VALUES (?, ?, ?, ?, ?, ?, ?, ?, NULL)')
  const byHash = database.prepare(`${all} WHERE hash = ?`)
  const byId = database.prepare(`${all} WHERE id = ?`)
  const listed = database.prepare(`${all} ORDER BY created_at DESC, id`)
  const usedBefore = database.prepare('SELECT 1 FROM uses WHERE hash = ? AND key = ?')
  const mark = database.prepare('INSERT INTO uses VALUES (?, ?, ?, ?)')
  const unmark = database.prepare('DELETE FROM uses WHERE hash = ? AND key = ?')
  const revoked = database.prepare('UPDATE tokens SET revoked_at = ? WHERE id = ? AND revoked_at IS NULL')
  const forget = database.prepare('DELETE FROM tokens WHERE expires_at < ?')
  const forgetBound = database.prepare('DELETE FROM bound WHERE until < ?')
  const bind = database.prepare('INSERT INTO bound VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET until = excluded.until')
  const bound = database.prepare('SELECT selector FROM bound WHERE serial = ?')

  return {
    add: (token, { id, identity, selector = null, uses = null, createdBy, expiresAt }) =>
      database.transact(() => {
        const now = clock.now()
        forget.run(now - keptMs)
        forgetBound.run(now)
        add.run(tokenSha256(token), id, identity, selector, uses, now, createdBy, expiresAt)
      }),
    use: (token, key, from) =>
      database.transact(() => {
        const hash = tokenSha256(token)
        const row = byHash.one(hash)
        if (row === undefined)
          throw new BadToken(
            `the join token is signed by this control plane, which does not know it: it is of a data folder that was replaced or restored from an older copy; ${anew}`,
          )
        const kept = keptOf(row, clock.now())
        if (kept.revokedAt !== undefined) throw new BadToken(`the join token was revoked at ${time(kept.revokedAt)}; ${anew}`)
        const isAgain = usedBefore.one(hash, key) !== undefined
        if (!isAgain && kept.uses !== undefined && kept.used >= kept.uses)
          throw new BadToken(
            `the join token was used already (at ${time(kept.lastUse!.at)}, from ${kept.lastUse!.from}), and it is good for ${
              kept.uses === 1 ? 'one use' : `${kept.uses} uses`
            }; if that was not you, find out who it was; otherwise ${anew}`,
          )
        if (!isAgain) mark.run(hash, key, clock.now(), from)
        return { id: kept.id, selector: kept.selector, isAgain, takeBack: () => void (isAgain || unmark.run(hash, key)) }
      }),
    list: () => listed.all().map(row => keptOf(row, clock.now())),
    revoke(id) {
      revoked.run(clock.now(), id)
      const row = byId.one(id)
      return row && keptOf(row, clock.now())
    },
    bind: (serial, selector, until) => bind.run(serial, selector, until),
    boundTo: serial => bound.one(serial)?.['selector'] as string | undefined,
    [Symbol.dispose]: () => database.close(),
  }
}

const time = (ms: number): string => new Date(ms).toISOString()

function keptOf(row: Row, now: number): JoinTokenKept {
  const number = (name: string): number | undefined => (row[name] === null ? undefined : Number(row[name]))
  const [uses, revokedAt, usedAt, expiresAt, used] = [
    number('uses'),
    number('revoked_at'),
    number('used_at'),
    number('expires_at')!,
    number('used')!,
  ]
  const selector = row['selector']
  return {
    id: String(row['id']),
    identity: String(row['identity']),
    createdBy: String(row['created_by']),
    createdAt: number('created_at')!,
    expiresAt,
    used,
    state: revokedAt !== undefined ? 'revoked' : uses !== undefined && used >= uses ? 'used' : expiresAt <= now ? 'expired' : 'usable',
    ...(uses === undefined ? {} : { uses }),
    ...(typeof selector === 'string' ? { selector } : {}),
    ...(revokedAt === undefined ? {} : { revokedAt }),
    ...(usedAt === undefined ? {} : { lastUse: { at: usedAt, from: String(row['used_from']) } }),
  }
}
