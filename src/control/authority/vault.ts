/** The authority's keys in a folder: made at the first start, loaded later, the intermediate renewed in time. */

import type { Clock } from '#base/clock'
import type { Log } from '#base/log'
import { type Certificate, lifeOf, pemBlocks, readCertificate } from '#identity/certificate'
import { createIntermediate, createRoot, openSigner, type Signer } from '#identity/issue'
import { type Key, newKey, readKey } from '#identity/key'
import { renewAt } from '#identity/rotation'
import { trustDomainId } from '#identity/spiffe'
import { fileMode, makeFolder, readTextIfAny, writeAtomic } from '#io/files'

export type Vault = {
  readonly root: Signer
  readonly tokenKey: Key
  /** The intermediate that signs now; a new one is made, kept and given when two thirds of the old one's life are over. */
  signer(): Promise<Signer>
  /** All intermediates made or loaded by this process. */
  intermediates(): readonly Certificate[]
}

export type VaultOptions = { readonly folder: string; readonly trustDomain: string; readonly clock: Clock; readonly log: Log }

/** Key and certificate share one file, so that no crash can part them. */
const names = { root: 'root.pem', intermediate: 'intermediate.pem', tokens: 'tokens.pem' } as const

export async function openVault(options: VaultOptions): Promise<Vault> {
  const { folder, clock, log } = options
  await makeFolder(folder, 0o700)
  const root = await openRoot(options)
  const tokenKey = await openTokenKey(options)
  let signer = await openIntermediate(options, root)
  const known = [signer.certificate]
  let renewing: Promise<Signer> | undefined

  const renew = async (): Promise<Signer> => {
    try {
      signer = await makeIntermediate(options, root)
      known.push(signer.certificate)
    } catch (thrown) {
      if (clock.now() > lifeOf(signer.certificate).notAfter) throw thrown
      log.error('the intermediate certificate could not be renewed; the old one signs on', { error: thrown })
    } finally {
      renewing = undefined
    }
    return signer
  }
  return {
    root,
    tokenKey,
    intermediates: () => known,
    signer: async () => (isDue(signer, clock) ? await (renewing ??= renew()) : signer),
  }
}

const isDue = (signer: Signer, clock: Clock): boolean => clock.now() >= renewAt(lifeOf(signer.certificate), 0.5)

async function openRoot(options: VaultOptions): Promise<Signer> {
  const { folder, trustDomain, clock, log } = options
  const path = `${folder}/${names.root}`
  const kept = await readSecret(path, log)
  if (kept === undefined) {
    await refuseOrphans(folder)
    const signer = createRoot(trustDomain, await newKey(), clock.now())
    await writeAtomic(path, signer.key.pem + signer.root, { mode: 0o600 })
    log.info('made a new root certificate', { trustDomain, path })
    return signer
  }
  const { key, certificate } = readPair(kept, path)
  const signer = within(path, () => openSigner(trustDomain, key, certificate, certificate))
  const own = signer.certificate.subjectAltName ?? ''
  if (own !== `URI:${trustDomainId(trustDomain)}`) {
    throw new Error(
      `${path} is the root of ${own.replace('URI:', '')}, not of the trust domain ${trustDomain}; start with that trust domain, or with another folder`,
    )
  }
  const { notAfter } = lifeOf(signer.certificate)
  if (clock.now() > notAfter) {
    throw new Error(
      `the root certificate in ${path} expired at ${new Date(notAfter).toISOString()}; move ${folder} away to begin anew (every workload must then join again)`,
    )
  }
  return signer
}

/** An intermediate without its root means that the root was lost, not that this is a first start. */
async function refuseOrphans(folder: string): Promise<void> {
  if ((await fileMode(`${folder}/${names.intermediate}`)) === undefined) return
  throw new Error(
    `${folder} has ${names.intermediate} but no ${names.root}; restore it from a backup, or move ${folder} away to begin anew (every workload must then join again)`,
  )
}

async function openIntermediate(options: VaultOptions, root: Signer): Promise<Signer> {
  const { folder, trustDomain, clock, log } = options
  const path = `${folder}/${names.intermediate}`
  const kept = await readSecret(path, log)
  if (kept === undefined) return makeIntermediate(options, root)
  const { key, certificate } = readPair(kept, path)
  const signer = within(path, () => openSigner(trustDomain, key, certificate, root.root))
  return isDue(signer, clock) ? makeIntermediate(options, root) : signer
}

async function makeIntermediate({ folder, clock, log }: VaultOptions, root: Signer): Promise<Signer> {
  const path = `${folder}/${names.intermediate}`
  const signer = createIntermediate(root, await newKey(), clock.now())
  await writeAtomic(path, signer.key.pem + signer.chain[0]!, { mode: 0o600 })
  log.info('made a new intermediate certificate', { path })
  return signer
}

async function openTokenKey({ folder, log }: VaultOptions): Promise<Key> {
  const path = `${folder}/${names.tokens}`
  const kept = await readSecret(path, log)
  if (kept !== undefined) return within(path, () => readKey(kept))
  const key = await newKey()
  await writeAtomic(path, key.pem, { mode: 0o600 })
  return key
}

async function readSecret(path: string, log: Log): Promise<string | undefined> {
  const text = await readTextIfAny(path)
  const mode = await fileMode(path)
  if (mode !== undefined && (mode & 0o077) !== 0)
    log.warn('a private key can be read by others; run: chmod 600', { path, mode: mode.toString(8) })
  return text
}

function readPair(text: string, path: string): { readonly key: Key; readonly certificate: string } {
  const [key] = pemBlocks(text, 'PRIVATE KEY')
  const [certificate] = pemBlocks(text, 'CERTIFICATE')
  if (!key || !certificate) throw broken(path, 'it does not hold a private key and a certificate in PEM form')
  return within(path, () => ({ key: readKey(key), certificate: readCertificate(certificate).toString() }))
}

function within<T>(path: string, read: () => T): T {
  try {
    return read()
  } catch (thrown) {
    throw broken(path, thrown instanceof Error ? thrown.message : String(thrown))
  }
}

const broken = (path: string, reason: string): Error =>
  new Error(
    `cannot use ${path}: ${reason}; restore it from a backup, or move its folder away to begin anew (every workload must then join again)`,
  )
