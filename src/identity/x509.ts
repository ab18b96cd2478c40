/** Loads the X.509 library when it is first needed (77 ms and 12 MB that a start from a kept certificate does not pay) and speaks its dialect of keys. */

import type { KeyObject } from 'node:crypto'

type Library = typeof import('@peculiar/x509')
type WebKey = ReturnType<KeyObject['toCryptoKey']>

let library: Promise<Library> | undefined
export function x509(): Promise<Library> {
  library ??= import('reflect-metadata').then(() => import('@peculiar/x509'))
  return library
}

export const ecdsa = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const

/** The same key as WebCrypto holds it. */
export const webKey = (key: KeyObject): WebKey => key.toCryptoKey(ecdsa, true, [key.type === 'private' ? 'sign' : 'verify'])
