/** Keys and certificates in files that only their owner can read; encrypted where there is a passphrase. */

import type { Log } from '#base/log'
import { pemBlocks, readCertificate } from '#identity/certificate'
import { isEncrypted, type Key, keptPem, readKey } from '#identity/key'
import { fileMode, readTextIfAny, writeAtomic } from '#io/files'

export type Keeping = {
  readonly folder: string
  /** Keys are kept encrypted by it. */
  readonly passphrase?: string | undefined
  readonly log: Log
}

export type Pair = { readonly key: Key; readonly certificate: string }

/** A private key with its certificate, in one file, so that no crash can part them. Undefined where there is none. Throws an Error that says what to do. */
export async function readPair(keeping: Keeping, name: string): Promise<Pair | undefined> {
  const path = `${keeping.folder}/${name}`
  const text = await readSecret(path, keeping.log)
  if (text === undefined) return undefined
  const key = keyBlock(text)
  const [certificate] = pemBlocks(text, 'CERTIFICATE')
  if (!key || !certificate) throw broken(path, 'it does not hold a private key and a certificate in PEM form')
  const pair = within(path, () => ({
    key: readKey(key, keeping.passphrase),
    certificate: readCertificate(certificate).toString(),
  }))
  if (keeping.passphrase !== undefined && !isEncrypted(key)) await writePair(keeping, name, pair)
  return pair
}

export const writePair = async (keeping: Keeping, name: string, { key, certificate }: Pair): Promise<void> =>
  writeAtomic(`${keeping.folder}/${name}`, keptPem(key, keeping.passphrase) + certificate, { mode: 0o600 })

/** A private key by itself. */
export async function readOwnKey(keeping: Keeping, name: string): Promise<Key | undefined> {
  const path = `${keeping.folder}/${name}`
  const text = await readSecret(path, keeping.log)
  if (text === undefined) return undefined
  const key = within(path, () => readKey(text, keeping.passphrase))
  if (keeping.passphrase !== undefined && !isEncrypted(text)) await writeKey(keeping, name, key)
  return key
}

export const writeKey = async ({ folder, passphrase }: Keeping, name: string, key: Key): Promise<void> =>
  writeAtomic(`${folder}/${name}`, keptPem(key, passphrase), { mode: 0o600 })

export const keyBlock = (text: string): string | undefined =>
  pemBlocks(text, 'PRIVATE KEY')[0] ?? pemBlocks(text, 'ENCRYPTED PRIVATE KEY')[0] ?? pemBlocks(text, 'EC PRIVATE KEY')[0]

export async function readSecret(path: string, log: Log): Promise<string | undefined> {
  const text = await readTextIfAny(path)
  const mode = await fileMode(path)
  if (mode !== undefined && (mode & 0o077) !== 0)
    log.warn('a private key can be read by others; run: chmod 600', { path, mode: mode.toString(8) })
  return text
}

/** What `read` gives; what it throws says where. */
export function within<T>(path: string, read: () => T): T {
  try {
    return read()
  } catch (thrown) {
    throw broken(path, thrown instanceof Error ? thrown.message : String(thrown))
  }
}

export const broken = (path: string, reason: string): Error =>
  new Error(
    `cannot use ${path}: ${reason}; ${
      reason.includes('passphrase')
        ? 'give the passphrase by which it was encrypted: WEFT_AUTHORITY_PASSPHRASE, or WEFT_AUTHORITY_PASSPHRASE_FILE'
        : 'restore it from a backup, or move its folder away to begin anew (every workload must then join again)'
    }`,
  )
