/** JSON against the descriptor of a message, field by field: protobuf's own reader stops at the first mistake and does not say where it is. */

import { AnySchema } from '@bufbuild/protobuf/wkt'
import { type DescField, type DescMessage, fromJson, type JsonObject, type JsonValue } from '@bufbuild/protobuf'
import { camelCase, type Path } from './document.ts'
import { registry } from './registry.ts'

export type Mistake = { readonly path: Path; readonly says: string }

/** Every field that the message does not have, or that cannot hold what it is given. */
export function mistakesIn(desc: DescMessage, value: unknown, path: Path): readonly Mistake[] {
  if (desc.typeName === AnySchema.typeName) return mistakesInAny(value, path)
  // Durations, wrappers and structs have a JSON of their own.
  if (desc.typeName.startsWith('google.protobuf.')) return tried(desc, value, path)
  if (!isObject(value)) return [{ path, says: `must be a map of the fields of ${desc.typeName}` }]
  return Object.entries(value).flatMap(([name, given]) => {
    if (name === '<<' || given === null) return []
    const field = desc.fields.find(each => each.name === name || each.jsonName === name || camelCase(each.name) === name)
    if (field === undefined) return [{ path: [...path, name], says: `${desc.typeName} has no such field` }]
    return mistakesOf(desc, field, name, given, [...path, name])
  })
}

function mistakesOf(desc: DescMessage, field: DescField, name: string, given: unknown, path: Path): readonly Mistake[] {
  if (field.fieldKind === 'message') return mistakesIn(field.message, given, path)
  if (field.fieldKind === 'list' && field.listKind === 'message') {
    if (!Array.isArray(given)) return [{ path, says: 'must be a list' }]
    return given.flatMap((item, at) => mistakesIn(field.message, item, [...path, at]))
  }
  if (field.fieldKind === 'map' && field.mapKind === 'message') {
    if (!isObject(given)) return [{ path, says: 'must be a map' }]
    return Object.entries(given).flatMap(([key, item]) => mistakesIn(field.message, item, [...path, key]))
  }
  return tried(desc, { [name]: given }, path)
}

function mistakesInAny(value: unknown, path: Path): readonly Mistake[] {
  if (!isObject(value)) return [{ path, says: 'must be a map with "@type"' }]
  const { '@type': type, ...fields } = value
  if (typeof type !== 'string') return [{ path, says: '"@type" is missing: the name of the extension, such as type.googleapis.com/envoy…' }]
  const desc = registry.getMessage(type.slice(type.lastIndexOf('/') + 1))
  if (desc === undefined) return [{ path: [...path, '@type'], says: `${type} is not carried out by this proxy` }]
  if (desc.typeName.startsWith('google.protobuf.')) return tried(AnySchema, value, path)
  return mistakesIn(desc, fields, path)
}

function tried(desc: DescMessage, value: unknown, path: Path): readonly Mistake[] {
  try {
    fromJson(desc, value as JsonValue, { registry })
    return []
  } catch (thrown) {
    return [{ path, says: tidy(thrown) }]
  }
}

/** What protobuf's reader says, without the names that the place says better. */
export const tidy = (thrown: unknown): string =>
  (thrown instanceof Error ? thrown.message : String(thrown)).replace(/^cannot decode (field|message|map entry) \S+ from JSON: /, '')

export const isObject = (value: unknown): value is JsonObject => typeof value === 'object' && value !== null && !Array.isArray(value)
