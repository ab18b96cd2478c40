/** Where a TLS connection goes by the server name that its caller asks for, without being decrypted. */

import type { Listener, ServerNames, Terminated } from './listener.ts'
import type { WeightedBackend } from './route.ts'

type Index = ReadonlyMap<string, readonly WeightedBackend[]>
const indexes = new WeakMap<readonly ServerNames[], Index>()

/**
 * The exact name, else the longest suffix, else what the listener has for all others; undefined: nobody takes it.
 * name: lower case, absent where the caller names none. As Envoy's filter_chain_match.server_names and Gateway API's TLSRoute have it: `*.a.b` takes any number of labels, and not `a.b`.
 */
export function backendsFor({ serverNames = [], backends }: Listener, name: string | undefined): readonly WeightedBackend[] | undefined {
  if (name === undefined) return backends
  const index = indexOf(serverNames)
  let found = index.get(name)
  for (let dot = name.indexOf('.'); found === undefined && dot >= 0; dot = name.indexOf('.', dot + 1))
    found = index.get(`*${name.slice(dot)}`)
  return found ?? backends
}

function indexOf(serverNames: readonly ServerNames[]): Index {
  let index = indexes.get(serverNames)
  if (index === undefined) {
    index = new Map(serverNames.flatMap(({ names, backends }) => names.map(name => [name, backends] as const)))
    indexes.set(serverNames, index)
  }
  return index
}

const terminated = new WeakMap<readonly Terminated[], ReadonlyMap<string, Terminated>>()

/** Where TLS ends for a server name: the same precedence, and at last what is for all names; undefined: nowhere. */
export function terminatedAt({ terminates = [] }: Listener, name: string | undefined): Terminated | undefined {
  let index = terminated.get(terminates)
  if (index === undefined) {
    index = new Map(terminates.flatMap(each => (each.names.length === 0 ? ['*'] : each.names).map(name => [name, each] as const)))
    terminated.set(terminates, index)
  }
  if (name === undefined) return index.get('*')
  let found = index.get(name)
  for (let dot = name.indexOf('.'); found === undefined && dot >= 0; dot = name.indexOf('.', dot + 1))
    found = index.get(`*${name.slice(dot)}`)
  return found ?? index.get('*')
}
