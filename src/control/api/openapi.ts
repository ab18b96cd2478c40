/** The OpenAPI documents, in the forms that old and new clients ask for. Made once, on first demand. */

import type { HttpReply, HttpRequest } from '#io/http-server'
import { openApiV2, openApiV2Proto, openApiV3, openApiV3Index } from '#resources/schema'
import { json } from './call.ts'
import { notAcceptable, rangesOf } from './negotiate.ts'
import { noSuchPath } from './refusal.ts'

/** client-go asks with `@`, which is no token of RFC 9110 §5.6.2, and since 1.27 also with the dot. */
const protoTypes = [
  'application/com.github.proto-openapi.spec.v2@v1.0+protobuf',
  'application/com.github.proto-openapi.spec.v2.v1.0+protobuf',
]
const jsonTypes = ['application/json', 'application/*', '*/*']

export function openApiRoutes(): (request: HttpRequest) => HttpReply | undefined {
  const once = <T>(make: () => T): (() => T) => {
    let made: { readonly value: T } | undefined
    return () => (made ??= { value: make() }).value
  }
  const proto = once(openApiV2Proto)
  const v2 = once(() => JSON.stringify(openApiV2()))
  const index = once(openApiV3Index)
  return request => {
    const { path, headers } = request
    if (path === '/openapi/v2') return version2(headers['accept'], proto, v2)
    if (path === '/openapi/v3' || path === '/openapi/v3/') return json(200, index())
    const [, group = '', version] = /^\/openapi\/v3\/(?:api|apis\/([^/]+))\/([^/]+)$/.exec(path) ?? []
    if (version === undefined) return path.startsWith('/openapi/') ? fail() : undefined
    const document = openApiV3(group, version)
    return document ? json(200, document, { 'cache-control': 'public, immutable' }) : fail()
  }
}

function version2(accept: string | undefined, proto: () => Uint8Array, v2: () => string): HttpReply {
  for (const { type } of rangesOf(accept)) {
    if (protoTypes.includes(type)) return { status: 200, headers: { 'content-type': protoTypes[1]! }, body: proto() }
    if (jsonTypes.includes(type)) return { status: 200, headers: { 'content-type': 'application/json' }, body: v2() }
  }
  throw notAcceptable(['application/json', protoTypes[1]!])
}

function fail(): never {
  throw noSuchPath()
}
