/** How a value at a path merges: by field, by key, as a set, or whole. Read from the OpenAPI schema of its kind. */

/** OpenAPI 3.0 schema object with the x-kubernetes extensions. */
export type JsonSchema = { readonly [field: string]: unknown }

/** fields: an object of which each field has its own owner. keyed: a list of objects told apart by keys. */
export type Shape =
  | { readonly type: 'fields' }
  | { readonly type: 'keyed'; readonly keys: readonly string[] }
  | { readonly type: 'set' }
  | { readonly type: 'whole' }

const whole: Shape = { type: 'whole' }

/** Lists without a word about it are replaced whole, as those of custom resources: KEP-555. */
export function shapeOf(value: unknown, schema: JsonSchema | undefined): Shape {
  if (Array.isArray(value)) return listShape(value, schema)
  if (typeof value !== 'object' || value === null) return whole
  return schema?.['x-kubernetes-map-type'] === 'atomic' ? whole : { type: 'fields' }
}

function listShape(value: readonly unknown[], schema: JsonSchema | undefined): Shape {
  const type = schema?.['x-kubernetes-list-type']
  const keys = schema?.['x-kubernetes-list-map-keys']
  if (type === 'set') return { type: 'set' }
  // An item that is no object, or lacks every key, cannot be told apart: then the list is one value.
  if (type !== 'map' || !Array.isArray(keys)) return whole
  return value.every(item => isObject(item) && keys.some(key => item[key as string] !== undefined))
    ? { type: 'keyed', keys: keys as string[] }
    : whole
}

export const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

export function fieldSchema(schema: JsonSchema | undefined, field: string): JsonSchema | undefined {
  const properties = schema?.['properties']
  if (isObject(properties) && isObject(properties[field])) return properties[field]
  const rest = schema?.['additionalProperties']
  return isObject(rest) ? rest : undefined
}

/** Whether the schema knows the field by name, and not as a key of a dictionary. */
export function isNamedField(schema: JsonSchema | undefined, field: string): boolean {
  const properties = schema?.['properties']
  return isObject(properties) && Object.hasOwn(properties, field)
}

export function itemSchema(schema: JsonSchema | undefined): JsonSchema | undefined {
  const items = schema?.['items']
  return isObject(items) ? items : undefined
}

/** The steps of a field path, as FieldsV1 writes them: `f:NAME`, `k:{"KEY":VALUE}`, `v:VALUE`. */
export const fieldStep = (name: string): string => `f:${name}`
export const setStep = (value: unknown): string => `v:${JSON.stringify(value)}`

/** Keys in alphabetical order. A key that is absent takes the schema's default, so that `{port: 80}` and `{port: 80, protocol: TCP}` are one item. */
export function itemStep(item: unknown, keys: readonly string[], schema: JsonSchema | undefined): string {
  const named = keys.toSorted().flatMap(key => {
    const value = isObject(item) ? (item[key] ?? fieldSchema(schema, key)?.['default']) : undefined
    return value === undefined ? [] : [[key, value]]
  })
  return `k:${JSON.stringify(Object.fromEntries(named))}`
}
