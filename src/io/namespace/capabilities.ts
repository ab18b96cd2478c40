/** What this process may do over the user namespace it lives in. */

import { readFileSync } from 'node:fs'
import process from 'node:process'

/** capabilities(7) */
export const CAP_NET_ADMIN = 12n
export const CAP_SYS_ADMIN = 21n

export function holds(...wanted: readonly bigint[]): boolean {
  if (process.platform !== 'linux') return false
  const held = BigInt(`0x${/^CapEff:\s*([0-9a-f]+)/m.exec(readFileSync('/proc/self/status', 'latin1'))?.[1] ?? '0'}`)
  return wanted.every(capability => ((held >> capability) & 1n) === 1n)
}
