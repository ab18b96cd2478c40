/** Field names, interned: one object per spelling says whether it is valid, its lower case and what the codec must do with it. */

/** `plain`: carried as it is. `frame`: only the codec reads and writes it. `hop`: meant for the next hop only (RFC 9110 §7.6.1). `length`, `host`, `expect`: carried, but looked at. */
export type NameKind = 'plain' | 'hop' | 'frame' | 'length' | 'host' | 'expect'

/** start: the name as a field line begins, `Name: `. */
export type Name = { readonly text: string; readonly lower: string; readonly start: string; readonly kind: NameKind }

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

const specialLengths = new Uint8Array(32)
for (const name of Object.keys(kinds)) specialLengths[name.length] = 1

/** Whether a name can be anything but plain, told from its length alone: it spares most names a look into the map. */
export const mayBeSpecial = (text: string): boolean => specialLengths[text.length] === 1

/** RFC 9110 §5.6.2: what a name or a method may consist of. */
export const token = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/

// One place for each of 512 fingerprints, the latest name wins. It needs no hash of the whole name and cannot grow, whatever names come; a map took 12 % of a hop (bench/codec.ts).
const places = 512
const known: (Name | undefined)[] = Array.from({ length: places })
const longestKept = 64

const placeOf = (text: string): number => (text.length * 37 + text.charCodeAt(0) * 3 + text.charCodeAt(text.length - 1) * 17) & (places - 1)

/** undefined: not a field name. */
export function nameOf(text: string): Name | undefined {
  const place = placeOf(text)
  const found = known[place]
  if (found !== undefined && found.text === text) return found
  if (!token.test(text)) return undefined
  const lower = text.toLowerCase()
  const name: Name = { text, lower, start: `${text}: `, kind: kinds[lower] ?? 'plain' }
  if (text.length <= longestKept) known[place] = name
  return name
}
