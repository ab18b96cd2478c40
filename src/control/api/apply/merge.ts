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
  const items = itemSchema(schema)
  const stepOf = (member: unknown): string => (shape.type === 'keyed' ? itemStep(member, shape.keys, items) : setStep(member))
  const merged = (old: unknown, wanted: unknown): unknown => (shape.type === 'keyed' ? merge(old, wanted, items) : wanted)
  return inOrder(live as readonly unknown[], applied as readonly unknown[], stepOf).map(({ old, wanted }) =>
    wanted === undefined ? old : old === undefined ? wanted : merged(old, wanted),
  )
}

type Pair = { readonly old: unknown; readonly wanted: unknown }

/** The applied order holds for what is applied; each other item stays before the shared item that it stood before. sigs.k8s.io/structured-merge-diff typed/merge.go visitListItems. */
function inOrder(live: readonly unknown[], applied: readonly unknown[], stepOf: (member: unknown) => string): readonly Pair[] {
  const [oldSteps, wantedSteps] = [live.map(stepOf), applied.map(stepOf)]
  const olds = new Map(oldSteps.map((step, at) => [step, live[at]]))
  const wanteds = new Map(wantedSteps.map((step, at) => [step, applied[at]]))
  const shared = wantedSteps.filter(step => olds.has(step))
  const taken = new Set<string>()
  const pairs: Pair[] = []
  const take = (step: string): void => {
    taken.add(step)
    pairs.push({ old: olds.get(step), wanted: wanteds.get(step) })
  }
  let [left, right] = [0, 0]
  while (left < oldSteps.length || right < wantedSteps.length) {
    const [old, wanted] = [oldSteps[left], wantedSteps[right]]
    if (old !== undefined && old === wanted) {
      take(old)
      left++
      right++
      shared.shift()
      continue
    }
    if (old !== undefined && wanted !== undefined && wanteds.has(old) && shared.length > 0 && shared[0] !== old) {
      left++
      continue
    }
    if (old !== undefined && !wanteds.has(old)) {
      take(old)
      left++
      continue
    }
    if (old !== undefined && taken.has(old)) left++
    if (wanted === undefined) continue
    take(wanted)
    right++
    if (shared[0] === wanted) shared.shift()
  }
  return pairs
}

/** Without these paths and all that is under them. What this leaves empty goes too, but for objects that somebody wants although they are empty: kept. */
export function remove(
  value: unknown,
  schema: JsonSchema | undefined,
  gone: PathSet,
  kept: PathSet = nothing,
  path: readonly string[] = [],
): unknown {
  const shape = shapeOf(value, schema)
  if (shape.type === 'whole') return value
  if (shape.type === 'fields') return removeFields(value, schema, gone, kept, path)
  const items = itemSchema(schema)
  const list = (value as readonly unknown[]).flatMap(member => {
    const at = [...path, shape.type === 'keyed' ? itemStep(member, shape.keys, items) : setStep(member)]
    if (gone.has(join(at))) return []
    return [shape.type === 'set' ? member : removeFields(member, items, gone, kept, at)]
  })
  return list.length === 0 && (value as readonly unknown[]).length > 0 ? undefined : list
}

const nothing: PathSet = new Set()

function removeFields(value: unknown, schema: JsonSchema | undefined, gone: PathSet, kept: PathSet, path: readonly string[]): unknown {
  const entries = Object.entries(value as object)
  const left = entries.flatMap(([field, inner]) => {
    const at = [...path, fieldStep(field)]
    const rest = gone.has(join(at)) ? undefined : remove(inner, fieldSchema(schema, field), gone, kept, at)
    return rest === undefined ? [] : [[field, rest]]
  })
  return left.length === 0 && entries.length > 0 && !kept.has(join(path)) ? undefined : Object.fromEntries(left)
}

/** Null means absent, as everywhere in the Kubernetes API. */
export function withoutNulls(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutNulls)
  if (!isObject(value)) return value
  return Object.fromEntries(Object.entries(value).flatMap(([key, inner]) => (inner === null ? [] : [[key, withoutNulls(inner)]])))
}
