/**
 * Strategic merge patch: a merge patch that merges the lists whose items have keys, with directives for order and removal.
 * Only kubectl sends it, and only for core kinds. git.k8s.io/community/contributors/devel/sig-api-machinery/strategic-merge-patch.md
 */

import { badRequest } from '../refusal.ts'

type Json = Record<string, unknown>
const isObject = (value: unknown): value is Json => typeof value === 'object' && value !== null && !Array.isArray(value)

/** The `patchMergeKey` tags of core/v1 and meta/v1 for what the mesh serves; '' for lists of plain values that merge as sets. */
const mergeKeys: Readonly<Record<string, string>> = {
  'metadata.finalizers': '',
  'metadata.ownerReferences': 'uid',
  'spec.ports': 'port',
  'status.conditions': 'type',
  secrets: 'name',
  imagePullSecrets: 'name',
}

export function strategicMerge(document: unknown, patch: unknown): unknown {
  return mergeObject(document, patch, [])
}

function mergeObject(document: unknown, patch: unknown, path: readonly string[]): unknown {
  if (!isObject(patch)) return patch
  const directive = patch['$patch']
  if (directive === 'replace') return plain(patch)
  if (directive === 'delete') return {}
  if (directive !== undefined && directive !== 'merge')
    throw badRequest(`$patch: "${String(directive)}" is none: use merge, replace or delete`)
  const merged = new Map(Object.entries(isObject(document) ? document : {}))
  const retained = patch['$retainKeys']
  if (Array.isArray(retained)) {
    const kept = new Set<unknown>(retained)
    for (const key of merged.keys()) if (!kept.has(key)) merged.delete(key)
  }
  for (const [key, value] of Object.entries(patch)) {
    if (key.startsWith('$')) continue
    if (value === null) merged.delete(key)
    else merged.set(key, mergeValue(merged.get(key), value, [...path, key]))
  }
  for (const [name, value] of Object.entries(patch)) {
    const [directive, key] = name.split('/', 2)
    if (key === undefined || !Array.isArray(value)) continue
    const list = merged.get(key)
    const gone = new Set<unknown>(value)
    if (directive === '$deleteFromPrimitiveList' && Array.isArray(list))
      merged.set(
        key,
        list.filter(item => !gone.has(item)),
      )
  }
  for (const [name, value] of Object.entries(patch)) {
    const [directive, key] = name.split('/', 2)
    if (directive !== '$setElementOrder' || key === undefined || !Array.isArray(value)) continue
    const list = merged.get(key)
    if (Array.isArray(list)) merged.set(key, inOrder(list, value, mergeKeys[[...path, key].join('.')]))
  }
  return Object.fromEntries(merged)
}

function mergeValue(document: unknown, patch: unknown, path: readonly string[]): unknown {
  if (isObject(patch)) return mergeObject(document, patch, path)
  const key = mergeKeys[path.join('.')]
  if (!Array.isArray(patch) || key === undefined) return patch
  const list = Array.isArray(document) ? document : []
  if (patch.some(item => isObject(item) && item['$patch'] === 'replace')) return patch.filter(item => !(isObject(item) && '$patch' in item))
  if (key === '') return [...new Set([...list, ...patch])]
  return mergeItems(list, patch, key, path)
}

/** An item is the first that has its key and is still there. */
function mergeItems(list: readonly unknown[], patch: readonly unknown[], key: string, path: readonly string[]): unknown[] {
  const merged = [...list]
  const gone = new Set<number>()
  const places = new Map<unknown, number[]>()
  const place = (value: unknown, at: number): void => void (places.get(value)?.push(at) ?? places.set(value, [at]))
  for (const [at, item] of list.entries()) if (isObject(item)) place(item[key], at)
  for (const item of patch) {
    if (!isObject(item) || item[key] === undefined)
      throw badRequest(`${path.join('.')}: each item of a strategic merge patch needs its merge key "${key}"`)
    const at = places.get(item[key])?.[0]
    if (item['$patch'] === 'delete') {
      if (at !== undefined) gone.add(at)
      places.get(item[key])?.shift()
    } else if (at === undefined) place(item[key], merged.push(plain(item)) - 1)
    else merged[at] = mergeObject(merged[at], item, [...path, '*'])
  }
  return gone.size === 0 ? merged : merged.filter((_, at) => !gone.has(at))
}

/** What the order names, in that order; each of the rest stays behind the item it followed. */
function inOrder(list: readonly unknown[], order: readonly unknown[], key: string | undefined): unknown[] {
  const id = (item: unknown): unknown => (key && isObject(item) ? item[key] : item)
  const wanted = order.map(id)
  const rank = new Map(wanted.map((value, index) => [value, index]))
  let last = -1
  const places = list.map((item, index) => {
    last = rank.get(id(item)) ?? last
    return { item, index, place: rank.get(id(item)) ?? last + 0.5 }
  })
  return places.toSorted((a, b) => a.place - b.place || a.index - b.index).map(({ item }) => item)
}

function plain(value: Json): Json {
  return Object.fromEntries(Object.entries(value).filter(([key, inner]) => !key.startsWith('$') && inner !== null))
}
