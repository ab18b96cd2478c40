/** The shapes in which a file may hold resources: Envoy's bootstrap, a list of resources with their types, or both in several documents. */

import type { DescMessage, JsonObject } from '@bufbuild/protobuf'
import { isObject, type Mistake } from './check.ts'
import type { FileDocument, Path } from './document.ts'
import { registry, resourceSchemas } from './registry.ts'

/** One resource as it stands in the file. */
export type Found = { readonly schema: DescMessage; readonly json: unknown; readonly path: Path; readonly document: FileDocument }

export type Bootstrap = {
  readonly found: readonly Found[]
  readonly node: { readonly id: string; readonly cluster: string }
  readonly adminPort: number | undefined
}

type Seen = { found: Found[]; node: Bootstrap['node']; adminPort: number | undefined; mistakes: Mistake[] }

/** mistakes: what stands beside resources and is not carried out. */
export function readBootstrap(document: FileDocument): { bootstrap: Bootstrap; mistakes: readonly Mistake[] } {
  const seen: Seen = { found: [], node: { id: '', cluster: '' }, adminPort: undefined, mistakes: [] }
  const { value } = document
  if (Array.isArray(value)) readList(value, [], document, seen)
  else if (isObject(value) && '@type' in value) readTyped(value, [], document, seen)
  else if (isObject(value)) for (const [name, part] of Object.entries(value)) readPart(name, part, document, seen)
  else seen.mistakes.push({ path: [], says: 'must be a map with static_resources, or a list of resources with "@type"' })
  const { mistakes, ...bootstrap } = seen
  return { bootstrap, mistakes }
}

function readPart(name: string, part: unknown, document: FileDocument, seen: Seen): void {
  const wrong = (path: Path, says: string): void => void seen.mistakes.push({ path, says })
  switch (name) {
    case 'static_resources':
    case 'staticResources':
      if (!isObject(part)) return wrong([name], 'must be a map with listeners, clusters and secrets')
      for (const [kind, list] of Object.entries(part)) {
        const schema = kind in resourceSchemas ? resourceSchemas[kind as keyof typeof resourceSchemas] : undefined
        if (schema === undefined) wrong([name, kind], `not carried out here, only ${Object.keys(resourceSchemas).join(', ')}`)
        else if (!Array.isArray(list)) wrong([name, kind], 'must be a list')
        else list.forEach((json, at) => seen.found.push({ schema, json, path: [name, kind, at], document }))
      }
      return
    case 'resources':
      return Array.isArray(part) ? readList(part, [name], document, seen) : wrong([name], 'must be a list')
    case 'node': {
      const given: JsonObject = isObject(part) ? part : { [name]: null }
      const { id = '', cluster = '', metadata: _, ...others } = given
      for (const other of Object.keys(others)) wrong([name, other], 'not carried out here, only id, cluster and metadata')
      seen.node = { id: String(id), cluster: String(cluster) }
      return
    }
    case 'admin':
      return readAdmin(part, seen, wrong)
    case 'dynamic_resources':
    case 'dynamicResources':
      return wrong([name], 'this proxy has no control plane; with one a workload is started by weft run')
    default:
      return wrong([name], 'not carried out here, only static_resources, resources, node and admin')
  }
}

function readAdmin(part: unknown, seen: Seen, wrong: (path: Path, says: string) => void): void {
  const { address, ...others } = isObject(part) ? part : {}
  for (const other of Object.keys(others)) wrong(['admin', other], 'not carried out here, only address')
  const socket = isObject(address) ? (address['socket_address'] ?? address['socketAddress']) : undefined
  const { address: host, port_value: snake, portValue: camel } = isObject(socket) ? socket : {}
  const port = snake ?? camel
  if (typeof port !== 'number' || !Number.isInteger(port) || port < 0 || port > 65_535)
    return wrong(['admin', 'address', 'socket_address', 'port_value'], 'a port is needed')
  if (host !== '127.0.0.1') return wrong(['admin', 'address', 'socket_address', 'address'], 'only 127.0.0.1: the page tells everything')
  seen.adminPort = port
}

function readList(list: readonly unknown[], path: Path, document: FileDocument, seen: Seen): void {
  list.forEach((item, at) => readTyped(item, [...path, at], document, seen))
}

function readTyped(item: unknown, path: Path, document: FileDocument, seen: Seen): void {
  const type = isObject(item) ? item['@type'] : undefined
  if (!isObject(item) || typeof type !== 'string')
    return void seen.mistakes.push({ path, says: '"@type" is missing: such as type.googleapis.com/envoy.config.listener.v3.Listener' })
  const schema = registry.getMessage(type.slice(type.lastIndexOf('/') + 1))
  const { '@type': _, ...json } = item
  if (schema === undefined || !Object.values<DescMessage>(resourceSchemas).includes(schema))
    return void seen.mistakes.push({ path: [...path, '@type'], says: `${type} is no resource that this proxy carries out` })
  seen.found.push({ schema, json, path, document })
}
