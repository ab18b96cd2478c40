/** From zod's JSON Schema to the structural schema that Kubernetes tools read. */

import { z } from 'zod'

export type JsonSchema = { readonly [field: string]: unknown }

/** Structural: types everywhere, no `additionalProperties: false`, int-or-string and unknown fields as extensions. */
export const structural = (schema: z.ZodType): JsonSchema =>
  convert(z.toJSONSchema(schema, { target: 'openapi-3.0', io: 'input', unrepresentable: 'any' }) as JsonSchema)

const each = (value: unknown, change: (schema: JsonSchema) => JsonSchema): JsonSchema =>
  Object.fromEntries(Object.entries(value as Record<string, JsonSchema>).map(([key, inner]) => [key, change(inner)]))

function convert(schema: JsonSchema): JsonSchema {
  const out: Record<string, unknown> = {}
  for (const [key, value] of Object.entries(schema)) {
    if (key === '$schema' || key === 'propertyNames') continue
    else if (key === 'properties') out[key] = each(value, convert)
    else if (key === 'items') out[key] = convert(value as JsonSchema)
    else if (key === 'additionalProperties') {
      if (value === false) continue
      if (value === true || Object.keys(value as object).length === 0) out['x-kubernetes-preserve-unknown-fields'] = true
      else out[key] = convert(value as JsonSchema)
    } else if (key === 'anyOf' && !schema['x-kubernetes-int-or-string']) continue
    else if (key !== 'anyOf') out[key] = value
  }
  if (schema['x-kubernetes-int-or-string']) return { ...out, oneOf: [{ type: 'integer' }, { type: 'string' }], format: 'int-or-string' }
  if (out['type'] === 'object' && Object.keys((out['properties'] as object | undefined) ?? { some: 1 }).length === 0)
    delete out['properties']
  if (out['type'] === 'integer') return integer(out)
  return out
}

/** zod writes the bounds of the number type itself; Kubernetes says the same by a format. */
function integer(schema: Record<string, unknown>): JsonSchema {
  const { minimum, maximum, ...rest } = schema
  const small = typeof maximum === 'number' && maximum <= 2 ** 31 - 1
  const kept = (bound: unknown): boolean => typeof bound === 'number' && Math.abs(bound) < 2 ** 31 - 1
  return { ...rest, format: small ? 'int32' : 'int64', ...(kept(minimum) ? { minimum } : {}), ...(kept(maximum) ? { maximum } : {}) }
}

/** The same in the words of OpenAPI 2.0, which has no oneOf. */
export function downgrade(schema: JsonSchema): JsonSchema {
  const out: Record<string, unknown> = {}
  for (const [key, value] of Object.entries(schema)) {
    if (key === 'oneOf') out['type'] = 'string'
    else if (key === 'allOf') Object.assign(out, downgrade((value as readonly JsonSchema[])[0]!))
    else if (key === 'properties') out[key] = each(value, downgrade)
    else if (key === 'items' || key === 'additionalProperties') out[key] = downgrade(value as JsonSchema)
    else if (key === '$ref') out[key] = (value as string).replace('#/components/schemas/', '#/definitions/')
    else out[key] = value
  }
  return out
}
