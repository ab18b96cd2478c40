/** What a path of the Kubernetes API is about. kubernetes.io/docs/reference/using-api/api-concepts/#resource-uris */

import type { Catalog, Served } from './catalog.ts'
import { badRequest, noSuchPath } from './refusal.ts'

/** namespace: undefined for all namespaces, and for kinds without. name: undefined for the collection. */
export type Target = {
  readonly served: Served
  readonly namespace: string | undefined
  readonly name: string | undefined
  readonly subresource: 'status' | undefined
}

/** path begins with /api/ or /apis/. Throws not found. */
export function targetOf(catalog: Catalog, path: string): Target {
  const parts = path
    .split('/')
    .filter(part => part !== '')
    .map(decode)
  const [group, version, ...rest] = parts[0] === 'api' ? ['', ...parts.slice(1)] : parts.slice(1)
  if (group === undefined || version === undefined) throw noSuchPath()
  const isInNamespace = rest[0] === 'namespaces' && rest.length > 2 && catalog.find(group, version, rest[2]!)?.kind.namespaced === true
  const namespace = isInNamespace ? rest[1] : undefined
  const [plural, name, subresource, ...more] = isInNamespace ? rest.slice(2) : rest
  const served = plural === undefined ? undefined : catalog.find(group, version, plural)
  if (!served || more.length > 0) throw noSuchPath()
  if (subresource !== undefined && !(subresource === 'status' && served.kind.hasStatus)) throw noSuchPath()
  // An object of a namespaced kind has no path outside its namespace; only its lists do.
  if (served.kind.namespaced && namespace === undefined && name !== undefined) throw noSuchPath()
  return { served, namespace, name, subresource: subresource === 'status' ? 'status' : undefined }
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part)
  } catch {
    throw badRequest(`the path holds "${part}", which is not valid percent-encoding`)
  }
}
