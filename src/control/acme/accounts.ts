/** The keys of accounts at ACME servers: one for each CertificateIssuer, made once, kept as the keys of the authority are. */

import { type Key, newKey } from '#identity/key'
import { makeFolder } from '#io/files'
import { type Keeping, readOwnKey, writeKey } from '../authority/kept.ts'

/** issuer: `NAMESPACE/NAME`. Rejects with an Error that says what to do. */
export function keysOfAccounts(keeping: Keeping): (issuer: string) => Promise<Key> {
  const opened = new Map<string, Promise<Key>>()
  return issuer => {
    const known = opened.get(issuer)
    if (known !== undefined) return known
    const opening = open(keeping, `${encodeURIComponent(issuer)}.pem`)
    opened.set(issuer, opening)
    opening.catch(() => opened.delete(issuer))
    return opening
  }
}

async function open(keeping: Keeping, file: string): Promise<Key> {
  await makeFolder(keeping.folder, 0o700)
  const kept = await readOwnKey(keeping, file)
  if (kept !== undefined) return kept
  const key = await newKey()
  await writeKey(keeping, file, key)
  return key
}
