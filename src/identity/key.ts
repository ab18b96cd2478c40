/** Key pairs, and certificate requests that prove the possession of one. */

import { createPrivateKey, createPublicKey, generateKeyPair, type KeyObject } from 'node:crypto'
import { promisify } from 'node:util'
import { ecdsa, x509, webKey } from './x509.ts'
import type { SpiffeId } from './spiffe.ts'

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

/** A PKCS#10 request in PEM with the id as its only subject alternative name; the subject is empty. */
export async function makeCsr(key: Key, id: SpiffeId): Promise<string> {
  const { Pkcs10CertificateRequestGenerator, SubjectAlternativeNameExtension } = await x509()
  const request = await Pkcs10CertificateRequestGenerator.create({
    signingAlgorithm: ecdsa,
    keys: { privateKey: webKey(key.private), publicKey: webKey(key.public) },
    extensions: [new SubjectAlternativeNameExtension([{ type: 'url', value: id }], true)],
  })
  return `${request.toString('pem')}\n`
}
