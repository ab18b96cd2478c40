/** Which fields a schema has at a path. */

import { z } from 'zod'

/** The schema without the wrappers that say optional or default. */
export function bare(schema: z.ZodType): z.ZodType {
  let at = schema
  while (at instanceof z.ZodOptional || at instanceof z.ZodDefault || at instanceof z.ZodPrefault || at instanceof z.ZodNullable)
    at = at.unwrap() as z.ZodType
  return at
}

export function schemaAt(schema: z.ZodType, path: readonly (string | number)[]): z.ZodType | undefined {
  let at: z.ZodType | undefined = bare(schema)
  for (const step of path) {
    if (at instanceof z.ZodObject) at = at.shape[step] as z.ZodType | undefined
    else if (at instanceof z.ZodArray) at = at.element as z.ZodType
    else if (at instanceof z.ZodRecord) at = at.valueType as z.ZodType
    else return undefined
    if (at === undefined) return undefined
    at = bare(at)
  }
  return at
}

export function fieldsAt(schema: z.ZodType, path: readonly (string | number)[]): readonly string[] {
  const at = schemaAt(schema, path)
  return at instanceof z.ZodObject ? Object.keys(at.shape) : []
}
