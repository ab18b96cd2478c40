/**
 * The keys that sign JWT-SVIDs: each is shown to everybody before it signs and as long as what it signed may hold.
 *
 *   made ──an hour──▶ signs ──the next one signs──▶ only shown ──an hour──▶ gone
 *                      └─ after a week the next is made
 */

import type { Clock } from '#base/clock'
import { jwksOf, type NamedKey } from '#identity/jwt-svid'
import { newKey } from '#identity/key'
import { readTextIfAny, removeFile, writeAtomic } from '#io/files'
import { type Keeping, readOwnKey, writeKey } from './kept.ts'

/** How long a key is known before it signs, and after it signed last: those who look now and then have looked meanwhile. Longer than any token holds. */
const overlapMs = 3_600_000
const signsForMs = 7 * 24 * 3_600_000
const list = 'jwt-keys.json'

export type JwtKeys = {
  signing(): NamedKey
  /** The key set that verifies what they sign, JSON. */
  jwks(): string
  close(): void
}

type Kept = NamedKey & { readonly madeAt: number }

/** onChange: the key set is another now. signsForMs: less in tests. */
export async function openJwtKeys(
  keeping: Keeping,
  {
    clock,
    onChange,
    lifeMs = signsForMs,
    knownMs = overlapMs,
  }: { readonly clock: Clock; readonly onChange: () => void; readonly lifeMs?: number; readonly knownMs?: number },
): Promise<JwtKeys> {
  let keys = await readKeys(keeping)
  let jwks = ''
  let cancel = (): void => {}
  let isClosed = false

  const tend = async (): Promise<void> => {
    const now = clock.now()
    const newest = keys.at(-1)
    // Without clocks that run backwards there is always one: the first signs from the beginning.
    const next = newest === undefined || now >= newest.madeAt + lifeMs ? [...keys, await make(keeping, now)] : keys
    const stays = next.filter((_, at) => at === next.length - 1 || next[at + 1]!.madeAt + 2 * knownMs > now)
    if (stays.length !== keys.length || next !== keys) {
      await writeAtomic(`${keeping.folder}/${list}`, `${JSON.stringify(stays.map(({ kid, madeAt }) => ({ kid, madeAt })))}\n`, {
        mode: 0o600,
      })
      for (const { kid } of keys) if (!stays.some(each => each.kid === kid)) await removeFile(fileOf(keeping, kid))
    }
    keys = stays
    const before = jwks
    jwks = await jwksOf(keys)
    if (before !== '' && before !== jwks) onChange()
  }
  const again = (): void => {
    if (isClosed) return
    cancel = clock.after(Math.min(knownMs / 2, 60_000), () => {
      tend()
        .catch((thrown: unknown) =>
          keeping.log.error('the keys of JWT-SVIDs could not be renewed; the old ones sign on', { error: thrown }),
        )
        .finally(again)
    })
  }
  await tend()
  again()
  return {
    signing: () => keys.findLast(({ madeAt }) => madeAt + knownMs <= clock.now()) ?? keys[0]!,
    jwks: () => jwks,
    close: () => {
      isClosed = true
      cancel()
    },
  }
}

const fileOf = ({ folder }: Keeping, kid: string): string => `${folder}/jwt-${kid}.pem`

async function make(keeping: Keeping, madeAt: number): Promise<Kept> {
  const kid = crypto.randomUUID()
  const key = await newKey()
  await writeKey(keeping, `jwt-${kid}.pem`, key)
  return { kid, key, madeAt }
}

async function readKeys(keeping: Keeping): Promise<readonly Kept[]> {
  const path = `${keeping.folder}/${list}`
  const text = await readTextIfAny(path)
  if (text === undefined) return []
  let said: readonly { readonly kid: string; readonly madeAt: number }[]
  try {
    said = JSON.parse(text) as typeof said
    if (!Array.isArray(said) || said.some(each => !/^[0-9a-f-]{36}$/.test(each?.kid) || typeof each.madeAt !== 'number')) throw new Error()
  } catch {
    throw new Error(
      `cannot use ${path}: it is damaged; remove it, and JWT-SVIDs that were given out within the hour are of no use any more`,
    )
  }
  const found = await Promise.all(said.map(async each => ({ ...each, key: await readOwnKey(keeping, `jwt-${each.kid}.pem`) })))
  return found.flatMap(each => (each.key === undefined ? [] : [{ kid: each.kid, madeAt: each.madeAt, key: each.key }]))
}
