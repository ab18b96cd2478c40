/** Whether a certificate and its key, as an operator brought them for a Gateway, can be shown to callers. */

import { createPrivateKey, type KeyObject } from 'node:crypto'
import { pemBlocks, readCertificate } from './certificate.ts'

/** key: absent: of certificates alone. */
type Pair = { readonly cert: string; readonly key?: string }

/** Asked again at every compile, about the same pairs. */
const judged = new Map<string, string | undefined>()

/** What is wrong with it, without a word of the key; undefined: nothing. Whether it has expired is for its callers. */
export function judgeServerCertificate(pair: Pair): string | undefined {
  const known = `${pair.cert}\n${pair.key}`
  if (judged.has(known)) return judged.get(known)
  if (judged.size > 1000) judged.clear()
  const wrong = judge(pair)
  judged.set(known, wrong)
  return wrong
}

function judge({ cert, key }: Pair): string | undefined {
  const blocks = pemBlocks(cert, 'CERTIFICATE')
  try {
    for (const block of blocks) readCertificate(block)
  } catch {
    return 'tls.crt holds something that is not a certificate'
  }
  const [leaf] = blocks
  if (leaf === undefined) return 'tls.crt holds no certificate'
  if (key === undefined) return undefined
  let secret: KeyObject
  try {
    secret = createPrivateKey(key)
  } catch {
    return 'tls.key holds no private key that can be read; one with a passphrase cannot'
  }
  if (!readCertificate(leaf).checkPrivateKey(secret)) return 'tls.key is not the key of the first certificate in tls.crt'
  return whyWeak(secret)
}

const curves: readonly (string | undefined)[] = ['prime256v1', 'secp384r1', 'secp521r1']

/** Neither Node nor Envoy takes these, and Envoy would go on with the certificate, and the policies, of before. */
function whyWeak({ asymmetricKeyType, asymmetricKeyDetails = {} }: KeyObject): string | undefined {
  const { modulusLength, namedCurve } = asymmetricKeyDetails
  if (modulusLength !== undefined && modulusLength < 2048) return `tls.key has ${modulusLength} bits: an RSA key needs 2048 at least`
  return asymmetricKeyType === 'ec' && !curves.includes(namedCurve)
    ? `tls.key is of the curve ${namedCurve}, which TLS does not take: make one of P-256 (prime256v1)`
    : undefined
}
