/** Key pairs. */

import { createPrivateKey, createPublicKey, generateKeyPair, type KeyObject } from 'node:crypto'
import { promisify } from 'node:util'

/** An ECDSA key on P-256. pem: PKCS#8. */
export type Key = { readonly private: KeyObject; readonly public: KeyObject; readonly pem: string }

export async function newKey(): Promise<Key> {
  const pair = await promisify(generateKeyPair)('ec', { namedCurve: 'P-256' })
  return { private: pair.privateKey, public: pair.publicKey, pem: pair.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString() }
}

/** Throws RangeError when the text is not the PEM of a P-256 private key. */
export function readKey(pem: string): Key {
  let key: KeyObject
  try {
    key = createPrivateKey(pem)
  } catch {
    throw new RangeError('this is not a private key in PEM form')
  }
  const { namedCurve } = key.asymmetricKeyDetails ?? {}
  if (namedCurve !== 'prime256v1') throw new RangeError(`the private key is ${key.asymmetricKeyType} ${namedCurve ?? ''}, not EC P-256`)
  return { private: key, public: createPublicKey(key), pem }
}
