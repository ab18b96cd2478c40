/** The key that signs join tokens: made at the first start, loaded later. */

import { type Key, newKey } from '#identity/key'
import { type Keeping, readOwnKey, writeKey } from './kept.ts'

const name = 'tokens.pem'

export async function openTokenKey(keeping: Keeping): Promise<Key> {
  const kept = await readOwnKey(keeping, name)
  if (kept !== undefined) return kept
  const key = await newKey()
  await writeKey(keeping, name, key)
  return key
}
