/** Field names, interned: one object per spelling says whether it is valid, its lower case and what the codec must do with it. */

/** `plain`: carried as it is. `frame`: only the codec reads and writes it. `hop`: meant for the next hop only (RFC 9110 §7.6.1). `length`, `host`, `expect`: carried, but looked at. */
export type NameKind = 'plain' | 'hop' | 'frame' | 'length' | 'host' | 'expect'

export type Name = { readonly text: string; readonly lower: string; readonly kind: NameKind }

const kinds: Readonly<Record<string, NameKind>> = {
  __proto__: null as never,
  connection: 'frame',
  'transfer-encoding': 'frame',
  upgrade: 'frame',
  'content-length': 'length',
  host: 'host',
  expect: 'expect',
  'keep-alive': 'frame',
  'proxy-connection': 'frame',
  'http2-settings': 'frame',
  te: 'hop',
  'proxy-authenticate': 'hop',
  'proxy-authorization': 'hop',
}

/** RFC 9110 §5.6.2: what a name or a method may consist of. */
export const token = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/

/** A map of bounded size without an order to maintain: when the young half is full it becomes the old half, and what was not asked for since is forgotten. */
export class Generations<Key, Value> {
  readonly #max: number
  #young = new Map<Key, Value>()
  #old = new Map<Key, Value>()
  constructor(max: number) {
    this.#max = max
  }
  get(key: Key): Value | undefined {
    const young = this.#young.get(key)
    if (young !== undefined) return young
    const old = this.#old.get(key)
    if (old !== undefined) this.set(key, old)
    return old
  }
  set(key: Key, value: Value): void {
    if (this.#young.size >= this.#max) {
      this.#old = this.#young
      this.#young = new Map()
    }
    this.#young.set(key, value)
  }
  get size(): number {
    return this.#young.size + this.#old.size
  }
}

const longestKept = 64
const names = new Generations<string, Name>(1024)

/** undefined: not a field name. */
export function nameOf(text: string): Name | undefined {
  const known = names.get(text)
  if (known !== undefined) return known
  if (!token.test(text)) return undefined
  const lower = text.toLowerCase()
  const name: Name = { text, lower, kind: kinds[lower] ?? 'plain' }
  if (text.length <= longestKept) names.set(text, name)
  return name
}
