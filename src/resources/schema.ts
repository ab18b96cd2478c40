/** OpenAPI documents of all kinds, for kubectl (explain, validation, server-side apply), forms and the reference pages. */

import { z } from 'zod'
import type { Kind } from './kind.ts'
import { documentOf, objectMeta } from './metadata.ts'
import { kinds, versionsOf } from './registry.ts'
import type { JsonSchema } from './schema/convert.ts'
import { downgrade, structural } from './schema/convert.ts'
import type { Operation, Parameter } from './schema/paths.ts'
import { pathsOf } from './schema/paths.ts'
import type { Swagger } from './schema/proto.ts'
import { encodeSwagger } from './schema/proto.ts'

export type { JsonSchema } from './schema/convert.ts'

const metaName = 'io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta'
const listMetaName = 'io.k8s.apimachinery.pkg.apis.meta.v1.ListMeta'
const ref = (name: string): JsonSchema => ({ $ref: `#/components/schemas/${name}` })

const listMeta = z.strictObject({
  resourceVersion: z.string().optional().describe('The version of the whole list, from which a watch may go on.'),
  continue: z.string().optional().describe('Where the next part of the list begins.'),
  remainingItemCount: z.int().optional().describe('How many objects follow.'),
  selfLink: z.string().optional().describe('No longer used.'),
})

/** `io.k8s.networking.gateway.v1.HTTPRoute`: the group read backwards, as Kubernetes names definitions. */
export function definitionName(kind: Kind, version: string): string {
  const group = kind.group === '' ? 'io.k8s.api.core' : kind.group.split('.').reverse().join('.')
  return `${group}.${version}.${kind.kind}`
}

const cached = new Map<Kind, JsonSchema>()

/** The structural schema of a whole document; merge keys of lists stand in `x-kubernetes-list-type` and `x-kubernetes-list-map-keys`. */
export function schemaOf(kind: Kind): JsonSchema {
  const known = cached.get(kind)
  if (known) return known
  const whole = structural(documentOf(kind))
  // Kubernetes never lists apiVersion, kind and metadata as required: a tool fills them in
  const required = (whole['required'] as readonly string[]).filter(field => field in kind.schema.shape)
  const schema = { ...whole, required: required.length > 0 ? required : undefined, description: kind.description }
  cached.set(kind, schema)
  return schema
}

function definitionsOf(kind: Kind, version: string): Readonly<Record<string, JsonSchema>> {
  const { properties, ...whole } = schemaOf(kind) as JsonSchema & { properties: Readonly<Record<string, JsonSchema>> }
  const gvk = (name: string) => ({ 'x-kubernetes-group-version-kind': [{ group: kind.group, kind: name, version }] })
  const top = { apiVersion: properties['apiVersion'], kind: properties['kind'] }
  const name = definitionName(kind, version)
  return {
    [name]: {
      ...whole,
      ...gvk(kind.kind),
      properties: { ...properties, metadata: { description: 'Name, namespace, labels.', allOf: [ref(metaName)] } },
    },
    [`${name}List`]: {
      type: 'object',
      description: `A list of ${kind.kind}.`,
      required: ['items'],
      ...gvk(`${kind.kind}List`),
      properties: {
        ...top,
        metadata: { description: 'Version of the list.', allOf: [ref(listMetaName)] },
        items: { type: 'array', description: 'The objects.', items: { allOf: [ref(name)] } },
      },
    },
  }
}

const shared = (): Readonly<Record<string, JsonSchema>> => ({
  [metaName]: { ...structural(objectMeta), description: 'Name, namespace, labels and what the server keeps.' },
  [listMetaName]: { ...structural(listMeta), description: 'Version and continuation of a list.' },
})

const id = (path: string, action: string): string =>
  action + path.replace(/[^A-Za-z0-9]+(\w)?/g, (_, next: string | undefined) => (next ?? '').toUpperCase())
const extra = ({ action, gvk }: Operation): JsonSchema => ({ 'x-kubernetes-action': action, 'x-kubernetes-group-version-kind': gvk })

/** The OpenAPI v3 document of one group and version, as served under /openapi/v3/apis/GROUP/VERSION (or /openapi/v3/api/v1). */
export function openApiV3(group: string, version: string): JsonSchema | undefined {
  const own = kinds.filter(kind => kind.group === group && versionsOf(kind).includes(version))
  if (own.length === 0) return undefined
  const parameter = ({ name, description, type }: Parameter) => ({ name, in: 'query', description, schema: { type, uniqueItems: true } })
  const paths = own.flatMap(kind => operations(kind, version, parameter))
  return {
    openapi: '3.0.0',
    info: { title: 'Weft', version: 'v0.1.0' },
    paths: Object.fromEntries(paths),
    components: { schemas: Object.assign({}, shared(), ...own.map(kind => definitionsOf(kind, version))) as JsonSchema },
  }
}

/** Each path of a kind with what can be done there, as both documents write it but for the parameters. */
function operations(kind: Kind, version: string, parameter: (of: Parameter) => object): readonly (readonly [string, object])[] {
  return Object.entries(pathsOf(kind, version)).map(([path, item]) => [
    path,
    Object.fromEntries(
      Object.entries(item).map(([method, operation]) => [
        method,
        {
          operationId: id(path, operation.action),
          parameters: operation.parameters.map(parameter),
          responses: { 200: { description: 'OK' } },
          ...extra(operation),
        },
      ]),
    ),
  ])
}

/** What GET /openapi/v3 answers: where each document is. The hash changes when the document does; kubectl caches by it. */
export function openApiV3Index(): JsonSchema {
  const pairs = new Map(
    kinds.flatMap(kind =>
      versionsOf(kind).map(
        version => [`${kind.group === '' ? 'api' : `apis/${kind.group}`}/${version}`, { group: kind.group, version }] as const,
      ),
    ),
  )
  return {
    paths: Object.fromEntries(
      [...pairs].map(([path, { group, version }]) => [
        path,
        { serverRelativeURL: `/openapi/v3/${path}?hash=${fingerprint(JSON.stringify(openApiV3(group, version)))}` },
      ]),
    ),
  }
}

/** The OpenAPI v2 document of everything, as JSON: GET /openapi/v2. */
export function openApiV2(): Swagger {
  const all = kinds.flatMap(kind => versionsOf(kind).map(version => ({ kind, version })))
  const parameter = ({ name, description, type }: Parameter) => ({ name, in: 'query', description, type, uniqueItems: true })
  const definitions = Object.assign({}, shared(), ...all.map(({ kind, version }) => definitionsOf(kind, version))) as Readonly<
    Record<string, JsonSchema>
  >
  const paths = all.flatMap(({ kind, version }) => operations(kind, version, parameter))
  return {
    swagger: '2.0',
    info: { title: 'Weft', version: 'v0.1.0' },
    paths: Object.fromEntries(paths) as Swagger['paths'],
    definitions: Object.fromEntries(Object.entries(definitions).map(([name, schema]) => [name, downgrade(schema)])),
  }
}

/**
 * The same in protobuf. Clients ask for `application/com.github.proto-openapi.spec.v2@v1.0+protobuf`; the answer's content type has a
 * dot for the `@`, which newer clients refuse: `application/com.github.proto-openapi.spec.v2.v1.0+protobuf`.
 */
export const openApiV2Proto = (): Uint8Array => encodeSwagger(openApiV2())

/** FNV-1a, 2 × 32 bit: tells documents apart, proves nothing. */
function fingerprint(text: string): string {
  let [one, other] = [0x811c9dc5, 0x01234567]
  for (let at = 0; at < text.length; at++) {
    one = Math.imul(one ^ text.charCodeAt(at), 0x01000193)
    other = Math.imul(other ^ text.charCodeAt(at), 0x01000197)
  }
  return [one, other]
    .map(each => (each >>> 0).toString(16).padStart(8, '0'))
    .join('')
    .toUpperCase()
}
