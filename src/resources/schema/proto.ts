/**
 * OpenAPI 2.0 as the protobuf message openapi.v2.Document (gnostic-models, openapiv2/OpenAPIv2.proto): kubectl before 1.27 and
 * client-go's discovery ask for the document in this form only. The numbers are the field numbers of that file.
 */

import type { JsonSchema } from './convert.ts'

const utf8 = new TextEncoder()
type Bytes = readonly Uint8Array[]

function varint(value: number): Uint8Array {
  const out: number[] = []
  let left = BigInt.asUintN(64, BigInt(value))
  while (left > 127n) {
    out.push(Number(left & 127n) | 128)
    left >>= 7n
  }
  out.push(Number(left))
  return Uint8Array.from(out)
}

const sizeOf = (parts: Bytes): number => parts.reduce((sum, part) => sum + part.length, 0)
const message = (field: number, parts: Bytes): Bytes => [varint(field * 8 + 2), varint(sizeOf(parts)), ...parts]
const text = (field: number, value: unknown): Bytes => (typeof value === 'string' ? message(field, [utf8.encode(value)]) : [])
const whole = (field: number, value: unknown): Bytes => (typeof value === 'number' ? [varint(field * 8), varint(value)] : [])
const flag = (field: number, value: boolean): Bytes => (value ? whole(field, 1) : [])

function double(field: number, value: unknown): Bytes {
  if (typeof value !== 'number') return []
  const bytes = new Uint8Array(8)
  new DataView(bytes.buffer).setFloat64(0, value, true)
  return [varint(field * 8 + 1), bytes]
}

/** message Any { yaml = 2 }: JSON is YAML. */
const any = (field: number, value: unknown): Bytes => (value === undefined ? [] : message(field, text(2, JSON.stringify(value))))
const named = (field: number, name: string, value: Bytes): Bytes => message(field, [...text(1, name), ...message(2, value)])
const extensions = (field: number, from: JsonSchema): Bytes =>
  Object.entries(from).flatMap(([key, value]) => (key.startsWith('x-') ? named(field, key, text(2, JSON.stringify(value))) : []))

function schema(of: JsonSchema): Bytes {
  const list = (key: string): readonly unknown[] => (of[key] as readonly unknown[] | undefined) ?? []
  const properties = of['properties'] as Readonly<Record<string, JsonSchema>> | undefined
  return [
    ...text(1, of['$ref']),
    ...text(2, of['format']),
    ...text(4, of['description']),
    ...any(5, of['default']),
    ...double(7, of['maximum']),
    ...double(9, of['minimum']),
    ...whole(11, of['maxLength']),
    ...whole(12, of['minLength']),
    ...text(13, of['pattern']),
    ...whole(14, of['maxItems']),
    ...whole(15, of['minItems']),
    ...list('required').flatMap(name => text(19, name)),
    ...list('enum').flatMap(value => any(20, value)),
    ...(of['additionalProperties'] ? message(21, message(1, schema(of['additionalProperties'] as JsonSchema))) : []),
    ...(of['type'] ? message(22, text(1, of['type'])) : []),
    ...(of['items'] ? message(23, message(1, schema(of['items'] as JsonSchema))) : []),
    ...(properties
      ? message(
          25,
          Object.entries(properties).flatMap(([name, value]) => named(1, name, schema(value))),
        )
      : []),
    ...extensions(31, of),
  ]
}

type SwaggerParameter = {
  readonly name: string
  readonly in: string
  readonly description?: string
  readonly type?: string
  readonly required?: boolean
}
type SwaggerOperation = JsonSchema & { readonly operationId: string; readonly parameters?: readonly SwaggerParameter[] }
export type Swagger = {
  readonly swagger: string
  readonly info: { readonly title: string; readonly version: string }
  readonly paths: Readonly<Record<string, Readonly<Record<string, SwaggerOperation>>>>
  readonly definitions: Readonly<Record<string, JsonSchema>>
}

/** ParametersItem → Parameter → NonBodyParameter → QueryParameterSubSchema. */
const parameter = (field: number, { name, description, type }: SwaggerParameter): Bytes =>
  message(
    field,
    message(
      1,
      message(2, message(3, [...flag(1, false), ...text(2, 'query'), ...text(3, description), ...text(4, name), ...text(6, type)])),
    ),
  )

const operation = (of: SwaggerOperation): Bytes => [
  ...text(5, of.operationId),
  ...(of.parameters ?? []).flatMap(each => (each.in === 'query' ? parameter(8, each) : [])),
  ...message(9, named(1, '200', message(1, text(1, 'OK')))),
  ...extensions(13, of),
]

const methods: Readonly<Record<string, number>> = { get: 2, put: 3, post: 4, delete: 5, patch: 8 }

export function encodeSwagger({ swagger, info, paths, definitions }: Swagger): Uint8Array {
  const parts: Bytes = [
    ...text(1, swagger),
    ...message(2, [...text(1, info.title), ...text(2, info.version)]),
    ...message(
      8,
      Object.entries(paths).flatMap(([path, item]) =>
        named(
          2,
          path,
          Object.entries(item).flatMap(([method, of]) => message(methods[method]!, operation(of))),
        ),
      ),
    ),
    ...message(
      9,
      Object.entries(definitions).flatMap(([name, of]) => named(1, name, schema(of))),
    ),
  ]
  const out = new Uint8Array(sizeOf(parts))
  let at = 0
  for (const part of parts) {
    out.set(part, at)
    at += part.length
  }
  return out
}
