/** Text that only who has the key can read or make (AES-256-GCM, RFC 5116): what a browser keeps for a gateway. */

import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto'

const version = 1
const nonceBytes = 12
const tagBytes = 16

/** Seals by its first key, opens by any. What was sealed for one purpose cannot be opened for another. */
export class Sealer {
  readonly #keys: readonly Uint8Array[]

  /** secrets: 32 bytes or more each, at least one. purpose: all that sealed text is bound to. */
  constructor(secrets: readonly Uint8Array[], purpose: string) {
    // RFC 5869: a key of its own for each purpose.
    this.#keys = secrets.map(each => new Uint8Array(hkdfSync('sha256', each, '', purpose, 32)))
  }

  /** base64url without padding. */
  seal(text: string): string {
    const nonce = randomBytes(nonceBytes)
    const cipher = createCipheriv('aes-256-gcm', this.#keys[0]!, nonce)
    const head = Buffer.of(version)
    cipher.setAAD(head)
    return Buffer.concat([head, nonce, cipher.update(text, 'utf8'), cipher.final(), cipher.getAuthTag()]).toString('base64url')
  }

  /** Undefined: it was sealed by another key or for something else, or was changed. */
  open(sealed: string): string | undefined {
    if (!/^[\w-]+$/.test(sealed)) return undefined
    const bytes = Buffer.from(sealed, 'base64url')
    // A second spelling of the same bytes would be another cookie for whoever compares them.
    if (bytes.length < 1 + nonceBytes + tagBytes || bytes[0] !== version || bytes.toString('base64url') !== sealed) return undefined
    for (const key of this.#keys) {
      const decipher = createDecipheriv('aes-256-gcm', key, bytes.subarray(1, 1 + nonceBytes), { authTagLength: tagBytes })
      decipher.setAAD(bytes.subarray(0, 1))
      decipher.setAuthTag(bytes.subarray(-tagBytes))
      try {
        return decipher.update(bytes.subarray(1 + nonceBytes, -tagBytes), undefined, 'utf8') + decipher.final('utf8')
      } catch {}
    }
    return undefined
  }
}
