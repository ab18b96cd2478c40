/** Which virtual host a name leads to: the name itself, else the longest suffix, else all names. */

import type { VirtualHost } from '../route.ts'
import { hashBackwards, mixed, seed } from './hash.ts'

type Suffix = { readonly text: string; readonly host: VirtualHost } // `.example.org`
type Index = {
  readonly names: ReadonlyMap<string, VirtualHost>
  /** By hash, from their end. */
  readonly suffixes: ReadonlyMap<number, readonly Suffix[]>
  readonly all: VirtualHost | undefined
}

const indexes = new WeakMap<readonly VirtualHost[], Index>()

/** asked: as the request has it, in any case and perhaps with a port. */
export function hostAmong(hosts: readonly VirtualHost[], asked: string): VirtualHost | undefined {
  let index = indexes.get(hosts)
  if (index === undefined) indexes.set(hosts, (index = indexOf(hosts)))
  const name = bare(asked)
  return index.names.get(name) ?? longestSuffix(index, name) ?? index.all
}

function longestSuffix({ suffixes }: Index, name: string): VirtualHost | undefined {
  if (suffixes.size === 0) return undefined
  let found: VirtualHost | undefined
  let hash = seed
  for (let at = name.length - 1; at >= 0; at--) {
    const unit = name.charCodeAt(at)
    hash = mixed(hash, unit)
    if (unit !== dot) continue
    const known = suffixes.get(hash)
    if (known !== undefined) for (const { text, host } of known) if (text.length === name.length - at && name.endsWith(text)) found = host
  }
  return found
}

const dot = 46

/** What stands first counts where two have the same domain. */
function indexOf(hosts: readonly VirtualHost[]): Index {
  const names = new Map<string, VirtualHost>()
  const suffixes = new Map<number, Suffix[]>()
  const seen = new Set<string>()
  let all: VirtualHost | undefined
  for (const host of hosts)
    for (const domain of host.domains.map(each => each.toLowerCase())) {
      if (seen.has(domain)) continue
      seen.add(domain)
      if (domain === '*') all = host
      else if (domain.startsWith('*.')) {
        const text = domain.slice(1)
        const hash = hashBackwards(text)
        suffixes.set(hash, [...(suffixes.get(hash) ?? []), { text, host }])
      } else names.set(domain, host)
    }
  return { names, suffixes, all }
}

/** In lower case, without port and the dot of a full name (RFC 1034 §3.1); brackets of IPv6 stay. */
function bare(host: string): string {
  const name = host.replace(/:\d*$/, '').toLowerCase()
  return name.endsWith('.') ? name.slice(0, -1) : name
}
