/** 32-bit hashes for choosing endpoints: the same in every process, spread well, of no use against an attacker. */

/** The finalizer of MurmurHash3 (Appleby, public domain): every bit of the input changes half of the output. */
export function mixed(value: number): number {
  let hash = value | 0
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return (hash ^ (hash >>> 16)) >>> 0
}

/** FNV-1a over the UTF-16 units, mixed. */
export function hashOf(text: string): number {
  let hash = 0x811c9dc5
  for (let at = 0; at < text.length; at++) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193)
  return mixed(hash)
}

/** One key of several, in their order. */
export const combined = (before: number | undefined, next: number): number =>
  before === undefined ? next : mixed(Math.imul(before, 31) ^ next)
