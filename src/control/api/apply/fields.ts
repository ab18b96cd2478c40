/** Sets of field paths: which fields a document holds, what differs between two, and the FieldsV1 form in managedFields. KEP-555. */

import { fieldSchema, fieldStep, isNamedField, isObject, itemSchema, itemStep, setStep, shapeOf, type JsonSchema } from './shape.ts'

/** A path is its steps joined by this, which JSON strings never hold unescaped. */
const joint = '\u0000'
export const join = (path: readonly string[]): string => path.join(joint)
const split = (path: string): readonly string[] => path.split(joint)

/** path → what stands there; `holder` for what holds further paths, or could. */
export type Fields = ReadonlyMap<string, unknown>
export type PathSet = ReadonlySet<string>
const holder: unique symbol = Symbol('holder')

/** What the server keeps, and what names the object, belongs to nobody. */
const unowned = new Set(
  [
    'name',
    'generateName',
    'namespace',
    'uid',
    'resourceVersion',
    'generation',
    'creationTimestamp',
    'deletionTimestamp',
    'deletionGracePeriodSeconds',
    'selfLink',
    'managedFields',
  ].map(field => join(['f:metadata', fieldStep(field)])),
)

/** Which holders of other fields are paths too: none, those that the schema names, or all. Items of keyed lists always are. */
type Holders = 'none' | 'named' | 'all'

/** All fields of a document, without those that nobody can own. `status` belongs to writes of the status subresource, and only it does. */
export function fieldsOf(document: unknown, schema: JsonSchema, subresource: 'status' | undefined, holders: Holders = 'none'): Fields {
  const all = new Map<string, unknown>()
  if (!isObject(document)) return all
  for (const [field, value] of Object.entries(document)) {
    if (field === 'apiVersion' || field === 'kind' || value === undefined) continue
    if ((field === 'status') !== (subresource === 'status')) continue
    collect(value, fieldSchema(schema, field), [fieldStep(field)], { holders, isNamed: true, into: all })
  }
  for (const path of all.keys()) if (unowned.has(path) || path.startsWith(join(['f:metadata', 'f:managedFields', '']))) all.delete(path)
  // Metadata is there whoever writes.
  all.delete('f:metadata')
  return all
}

type Collecting = { readonly holders: Holders; readonly isNamed: boolean; readonly into: Map<string, unknown> }

function collect(value: unknown, schema: JsonSchema | undefined, path: readonly string[], { holders, isNamed, into }: Collecting): void {
  const shape = shapeOf(value, schema)
  if (shape.type === 'whole') return void into.set(join(path), value)
  // An applied empty list names nothing, and an applied empty object names itself: so it is in the Kubernetes API.
  const isEmptyObject = shape.type === 'fields' && Object.keys(value as object).length === 0
  if (isEmptyObject || holders === 'all' || (holders === 'named' && isNamed)) into.set(join(path), holder)
  if (shape.type === 'fields') return collectFields(value, schema, path, { holders, into })
  const items = itemSchema(schema)
  for (const member of value as unknown[]) {
    if (shape.type === 'set') {
      into.set(join([...path, setStep(member)]), member)
      continue
    }
    const at = [...path, itemStep(member, shape.keys, items)]
    into.set(join(at), holder)
    collectFields(member, items, at, { holders, into })
  }
}

function collectFields(
  value: unknown,
  schema: JsonSchema | undefined,
  path: readonly string[],
  { holders, into }: Pick<Collecting, 'holders' | 'into'>,
): void {
  for (const [field, inner] of Object.entries(value as object)) {
    if (inner !== undefined)
      collect(inner, fieldSchema(schema, field), [...path, fieldStep(field)], { holders, isNamed: isNamedField(schema, field), into })
  }
}

/** The paths and, of what they lead through, the fields that the schema names. */
export function withNamed(paths: Iterable<string>, schema: JsonSchema): PathSet {
  const all = new Set<string>()
  for (const path of paths) {
    all.add(path)
    const steps = split(path)
    let at: JsonSchema | undefined = schema
    for (const [depth, step] of steps.slice(0, -1).entries()) {
      const isField = step.startsWith('f:')
      if (isField && isNamedField(at, step.slice(2))) all.add(join(steps.slice(0, depth + 1)))
      at = isField ? fieldSchema(at, step.slice(2)) : itemSchema(at)
    }
  }
  return all
}

/** changed: there in `next`, and absent or another in `old`. removed: there in `old` only. */
export function compare(
  old: Fields,
  next: Fields,
  same: (a: unknown, b: unknown) => boolean,
): { readonly changed: PathSet; readonly removed: PathSet } {
  const changed = new Set([...next].filter(([path, value]) => !old.has(path) || !same(old.get(path), value)).map(([path]) => path))
  const removed = new Set([...old.keys()].filter(path => !next.has(path)))
  return { changed, removed }
}

/** `{"f:spec":{"f:ports":{"k:{\"port\":80}":{".":{},"f:name":{}}}}}`; a path that is itself in the set and has others under it carries `.`. */
export function writeFields(paths: PathSet): object {
  type Node = Map<string, Node>
  const root: Node = new Map()
  for (const path of [...paths].toSorted()) {
    let at = root
    for (const step of split(path)) {
      const next = at.get(step) ?? new Map()
      at.set(step, next)
      at = next
    }
  }
  const write = (node: Node, path: readonly string[]): object => {
    const inner = [...node].map(([step, child]) => [step, write(child, [...path, step])])
    const isItself = inner.length > 0 && paths.has(join(path))
    return Object.fromEntries(isItself ? [['.', {}], ...inner] : inner)
  }
  return write(root, [])
}

export function readFields(fields: unknown): PathSet {
  const paths = new Set<string>()
  const read = (node: unknown, path: readonly string[]): void => {
    if (!isObject(node)) return
    const steps = Object.keys(node)
    if (path.length > 0 && (steps.length === 0 || steps.includes('.'))) paths.add(join(path))
    for (const step of steps) if (step !== '.') read(node[step], [...path, normal(step)])
  }
  read(fields, [])
  return paths
}

/** Keys of an item come in any order; here they stand in alphabetical order. */
function normal(step: string): string {
  if (!step.startsWith('k:')) return step
  try {
    const keys = JSON.parse(step.slice(2)) as Record<string, unknown>
    return `k:${JSON.stringify(Object.fromEntries(Object.entries(keys).toSorted(([a], [b]) => (a < b ? -1 : 1))))}`
  } catch {
    return step
  }
}

/** `.spec.ports[port=80,protocol="TCP"].name`: as Kubernetes names a field in a conflict. */
export function tellPath(path: string): string {
  return split(path)
    .map(step => {
      const rest = step.slice(2)
      if (step.startsWith('f:')) return `.${rest}`
      if (step.startsWith('v:')) return `[=${rest}]`
      const keys = Object.entries(JSON.parse(rest) as object)
      return `[${keys.map(([key, value]) => `${key}=${JSON.stringify(value)}`).join(',')}]`
    })
    .join('')
}
