/** Puts an applied document over the live one, and takes out of it what its applier no longer names. */

import { join, type PathSet } from './fields.ts'
import { fieldSchema, fieldStep, isObject, itemSchema, itemStep, setStep, shapeOf, type JsonSchema } from './shape.ts'

/** live: undefined when there is none. Neither is changed. */
export function merge(live: unknown, applied: unknown, schema: JsonSchema | undefined): unknown {
  const shape = shapeOf(applied, schema)
  if (shape.type === 'whole' || live === undefined || shapeOf(live, schema).type !== shape.type) return applied
  if (shape.type === 'fields') {
    const merged = new Map(Object.entries(live as object))
    for (const [field, value] of Object.entries(applied as object))
      merged.set(field, merge(merged.get(field), value, fieldSchema(schema, field)))
    return Object.fromEntries(merged)
  }
  const [old, wanted] = [live as readonly unknown[], applied as readonly unknown[]]
  const items = itemSchema(schema)
  const stepOf = (member: unknown): string => (shape.type === 'keyed' ? itemStep(member, shape.keys, items) : setStep(member))
  const byStep = new Map(wanted.map(member => [stepOf(member), member]))
  const known = new Set(old.map(stepOf))
  const kept = old.map(member =>
    shape.type === 'keyed' && byStep.has(stepOf(member)) ? merge(member, byStep.get(stepOf(member)), items) : member,
  )
  return [...kept, ...wanted.filter(member => !known.has(stepOf(member)))]
}

/** Without these paths; an object or keyed item that others still have something in stays. A container that this empties goes too, unless `keep` has it. */
export function prune(
  value: unknown,
  schema: JsonSchema | undefined,
  remove: PathSet,
  keep: PathSet,
  path: readonly string[] = [],
): unknown {
  const shape = shapeOf(value, schema)
  if (shape.type === 'whole') return value
  if (shape.type === 'fields') return pruneFields(value, schema, remove, keep, path)
  const items = itemSchema(schema)
  const list = (value as readonly unknown[]).flatMap(member => {
    const at = [...path, shape.type === 'keyed' ? itemStep(member, shape.keys, items) : setStep(member)]
    const isRemoved = remove.has(join(at)) && !holdsAny(keep, at)
    if (shape.type === 'set' || isRemoved) return isRemoved ? [] : [member]
    return [pruneFields(member, items, remove, keep, at)]
  })
  return list.length === 0 && (value as readonly unknown[]).length > 0 && !keep.has(join(path)) ? undefined : list
}

function pruneFields(value: unknown, schema: JsonSchema | undefined, remove: PathSet, keep: PathSet, path: readonly string[]): unknown {
  const entries = Object.entries(value as object)
  const left = entries.flatMap(([field, inner]) => {
    const at = [...path, fieldStep(field)]
    if (remove.has(join(at)) && !holdsAny(keep, at)) return []
    const pruned = prune(inner, fieldSchema(schema, field), remove, keep, at)
    return pruned === undefined ? [] : [[field, pruned]]
  })
  return left.length === 0 && entries.length > 0 && !keep.has(join(path)) ? undefined : Object.fromEntries(left)
}

function holdsAny(paths: PathSet, at: readonly string[]): boolean {
  const own = join(at)
  const below = join([...at, ''])
  for (const path of paths) if (path === own || path.startsWith(below)) return true
  return false
}

/** Null means absent, as everywhere in the Kubernetes API. */
export function withoutNulls(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutNulls)
  if (!isObject(value)) return value
  return Object.fromEntries(Object.entries(value).flatMap(([key, inner]) => (inner === null ? [] : [[key, withoutNulls(inner)]])))
}
