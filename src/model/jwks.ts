/** JSON Web Key Sets (RFC 7517) as they are used here: public keys, each for one algorithm of its own kind, so that a token cannot choose. */

/** alg: the one algorithm for which the key is taken. */
export type PinnedKey = Readonly<Record<string, string>> & { readonly kty: string; readonly alg: string; readonly kid?: string }

/** A set without a key: no token is taken. */
export const noKeys = '{"keys":[]}'

/** More keys than this in one set are a mistake. */
const mostKeys = 100

const algorithmsOf: Readonly<Record<string, readonly string[]>> = {
  RSA: ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'],
  'EC P-256': ['ES256'],
  'EC P-384': ['ES384'],
  'EC P-521': ['ES512'],
  'OKP Ed25519': ['EdDSA'],
}
/** What is public of each kind (RFC 7518 §6, RFC 8037 §2): all else is left out. */
const membersOf: Readonly<Record<string, readonly string[]>> = { RSA: ['n', 'e'], EC: ['crv', 'x', 'y'], OKP: ['crv', 'x'] }
/** 2,048 bits in base64url (RFC 7518 §3.3). */
const leastModulus = 340

/**
 * The keys of a set that may sign by one of the algorithms; one that may by several stands once for each. Shared secrets and what is for encryption
 * only are left out, so are keys of kinds that are not known (RFC 7517 §5). Throws where the text is no key set, or holds private keys.
 */
export function pinnedKeys(text: string, algorithms: readonly string[]): readonly PinnedKey[] {
  let keys: unknown
  try {
    keys = (JSON.parse(text) as { keys?: unknown } | null)?.keys
  } catch {
    keys = undefined
  }
  if (!Array.isArray(keys)) throw new Error('it is no key set: {"keys": [...]} of JSON is needed')
  if (keys.length > mostKeys) throw new Error(`it holds ${keys.length} keys: ${mostKeys} are taken at most`)
  return (keys as unknown[]).flatMap((key): readonly PinnedKey[] => {
    if (typeof key !== 'object' || key === null) return []
    const { kty, crv, use, key_ops: uses, alg: own, kid, ...rest } = key as Readonly<Record<string, unknown>>
    if (typeof kty !== 'string' || (use !== undefined && use !== 'sig')) return []
    if (Array.isArray(uses) && !uses.includes('verify')) return []
    const fitting = algorithmsOf[kty === 'RSA' ? kty : `${kty} ${String(crv)}`]
    if (fitting === undefined) return []
    if ('d' in rest) throw new Error('it holds a private key: only public ones belong here, and this one is known to others now')
    const members = membersOf[kty]!.map(name => [name, name === 'crv' ? crv : rest[name]] as const)
    if (members.some(([, value]) => typeof value !== 'string' || !/^[\w-]+$/.test(value))) return []
    if (kty === 'RSA' && (rest['n'] as string).length < leastModulus) return []
    return fitting
      .filter(alg => algorithms.includes(alg) && (own === undefined || own === alg))
      .map(alg => ({ kty, ...(typeof kid === 'string' ? { kid } : {}), alg, ...Object.fromEntries(members) }))
  })
}
