/** Key pairs. */

import { createPrivateKey, createPublicKey, generateKeyPair, type KeyObject } from 'node:crypto'
import { promisify } from 'node:util'

/** An ECDSA key on P-256. pem: PKCS#8. */
export type Key = { readonly private: KeyObject; readonly public: KeyObject; readonly pem: string }

export async function newKey(): Promise<Key> {
  const pair = await promisify(generateKeyPair)('ec', { namedCurve: 'P-256' })
  return { private: pair.privateKey, public: pair.publicKey, pem: asPem(pair.privateKey) }
}

/** passphrase: for a key that is encrypted (PKCS#8, RFC 5958). Throws RangeError when the text is not the PEM of a P-256 private key. */
export function readKey(pem: string, passphrase?: string): Key {
  const key = opening(pem, passphrase)
  const { namedCurve } = key.asymmetricKeyDetails ?? {}
  if (namedCurve !== 'prime256v1') throw new RangeError(`the private key is ${key.asymmetricKeyType} ${namedCurve ?? ''}, not EC P-256`)
  return { private: key, public: createPublicKey(key), pem: isEncrypted(pem) ? asPem(key) : pem }
}

/** As readKey, for what signs certificates: RSA and other curves too. */
export function readSigningKey(pem: string, passphrase?: string): Key {
  const opened = opening(pem, passphrase)
  const { asymmetricKeyType: type = '' } = opened
  if (!['ec', 'rsa', 'ed25519'].includes(type)) throw new RangeError(`the private key is of type ${type}: use EC or RSA`)
  return { private: opened, public: createPublicKey(opened), pem: asPem(opened) }
}

export const isEncrypted = (pem: string): boolean => pem.includes('-----BEGIN ENCRYPTED PRIVATE KEY-----')

function opening(pem: string, passphrase: string | undefined): KeyObject {
  if (isEncrypted(pem) && passphrase === undefined) throw new RangeError('the private key is encrypted, and no passphrase was given')
  try {
    return createPrivateKey(passphrase === undefined || !isEncrypted(pem) ? pem : { key: pem, passphrase })
  } catch {
    throw new RangeError(
      isEncrypted(pem) ? 'the private key cannot be decrypted with this passphrase' : 'this is not a private key in PEM form',
    )
  }
}

const asPem = (key: KeyObject): string => key.export({ type: 'pkcs8', format: 'pem' }).toString()

/** For a file: PKCS#8 in PEM, encrypted by AES-256 where there is a passphrase. */
export const keptPem = (key: Key, passphrase: string | undefined): string =>
  passphrase === undefined ? key.pem : key.private.export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase }).toString()
