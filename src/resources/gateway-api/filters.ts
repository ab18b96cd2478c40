/** The filters of HTTPRoute and GRPCRoute rules and backendRefs, with the rules of Gateway API's CRDs. */

import { z } from 'zod'
import type { Broken } from '../kind.ts'
import { atomicList, headerName, headerValue, hostname, mapList, portNumber, rules, setList } from '../fields.ts'
import { backendObject, localObject } from './references.ts'

const header = z.strictObject({
  name: headerName().describe('Name, in any case.'),
  value: headerValue().describe('Value.'),
})

export const headerModifier = z.strictObject({
  set: mapList(header, 'name')
    .max(16)
    .optional()
    .describe('Headers that replace those of the same name. Of a request also Host, as urlRewrite.hostname does.'),
  add: mapList(header, 'name').max(16).optional().describe('Headers that are added to those of the same name.'),
  remove: setList(z.string()).max(16).optional().describe('Names of headers that are taken out.'),
})

const fraction = z
  .strictObject({
    numerator: z.int32().min(0).describe('Parts taken.'),
    denominator: z.int32().min(1).default(100).describe('Parts in all.'),
  })
  .check(
    rules(function* ({ numerator, denominator }) {
      if (numerator > denominator) yield { path: ['numerator'], says: `must not be larger than denominator (${denominator})` }
    }),
  )

export const requestMirror = z
  .strictObject({
    backendRef: backendObject.describe('Where the copies go; their answers are dropped.'),
    percent: z.int32().min(0).max(100).optional().describe('How many of 100 requests are copied.'),
    fraction: fraction.optional().describe('Which part of the requests is copied.'),
  })
  .check(
    rules(function* (mirror) {
      if (mirror.percent !== undefined && mirror.fraction !== undefined)
        yield { path: ['fraction'], says: 'give percent or fraction, not both' }
    }),
  )

const pathModifier = z
  .strictObject({
    type: z.enum(['ReplaceFullPath', 'ReplacePrefixMatch']).describe('Replace the whole path, or the prefix that the rule matched.'),
    replaceFullPath: z.string().max(1024).optional().describe('The new path.'),
    replacePrefixMatch: z.string().max(1024).optional().describe('What stands for the matched prefix.'),
  })
  .check(
    rules(function* (path) {
      const wanted = path.type === 'ReplaceFullPath' ? 'replaceFullPath' : 'replacePrefixMatch'
      const other = path.type === 'ReplaceFullPath' ? 'replacePrefixMatch' : 'replaceFullPath'
      if (path[wanted] === undefined) yield { path: [wanted], says: `is needed for type ${path.type}` }
      if (path[other] !== undefined) yield { path: [other], says: `does not go with type ${path.type}: remove it or change the type` }
    }),
  )
export type PathModifier = z.infer<typeof pathModifier>

const requestRedirect = z.strictObject({
  scheme: z.enum(['http', 'https']).optional().describe('Scheme of the new location; absent: that of the request.'),
  hostname: hostname().optional().describe('Host of the new location; absent: that of the request.'),
  path: pathModifier.optional().describe('How the path changes.'),
  port: portNumber()
    .optional()
    .describe('Port of the new location; absent: the well-known port of a changed scheme, else that of the listener.'),
  statusCode: z
    .union([z.literal(301), z.literal(302), z.literal(303), z.literal(307), z.literal(308)])
    .meta({ type: 'integer', anyOf: undefined, enum: [301, 302, 303, 307, 308] })
    .default(302)
    .describe('Status of the answer.'),
})

const urlRewrite = z.strictObject({
  hostname: hostname().optional().describe('Host that the backend sees.'),
  path: pathModifier.optional().describe('How the path changes.'),
})

function* starAlone(list: readonly string[]): Iterable<Broken> {
  if (list.includes('*') && list.length > 1)
    yield { path: [list.indexOf('*')], says: '"*" means all and stands alone: remove it or the others' }
}
const methods = ['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'CONNECT', 'OPTIONS', 'TRACE', 'PATCH'] as const
export const httpMethod = () => z.enum(methods)

const origin = () =>
  z
    .string()
    .min(1)
    .max(253)
    .regex(/(^\*$)|(^(http(s)?):\/\/(((\*\.)?([a-zA-Z0-9-]+\.)*[a-zA-Z0-9-]+|\*)(:([0-9]{1,5}))?)$)/, {
      message: 'must be an origin such as https://example.com or https://*.example.com:8443, or "*"',
    })

const cors = z.strictObject({
  allowOrigins: setList(origin()).max(64).check(rules(starAlone)).optional().describe('Origins whose pages may read the answer.'),
  allowCredentials: z.boolean().optional().describe('Whether such pages may send credentials.'),
  allowMethods: setList(z.enum([...methods, '*']))
    .max(9)
    .check(rules(starAlone))
    .optional()
    .describe('Methods that they may use.'),
  allowHeaders: setList(headerName()).max(64).check(rules(starAlone)).optional().describe('Request headers that they may send.'),
  exposeHeaders: setList(headerName()).max(64).optional().describe('Response headers that they may read.'),
  maxAge: z.int32().min(1).default(5).describe('Seconds for which a browser keeps the answer to its preflight.'),
})

const externalAuth = z
  .strictObject({
    protocol: z.enum(['HTTP', 'GRPC']).describe('How the authorizer is asked.'),
    backendRef: backendObject.describe('The authorizer.'),
    grpc: z
      .strictObject({ allowedHeaders: setList(z.string()).max(64).optional().describe('Request headers that it is shown; absent: all.') })
      .optional()
      .describe('Settings of protocol GRPC (Envoy ext_authz).'),
    http: z
      .strictObject({
        path: z
          .string()
          .max(1024)
          .regex(/^(?:[-A-Za-z0-9/._~!$&'()*+,;=:@]|[%][0-9a-fA-F]{2})+$/)
          .optional()
          .describe('Prefix put before the path that it is asked with.'),
        allowedHeaders: setList(z.string()).max(64).optional().describe('Request headers that it is shown.'),
        allowedResponseHeaders: setList(z.string())
          .max(64)
          .optional()
          .describe('Headers of its answer that are passed on to the backend; absent: all but those that frame the message.'),
      })
      .optional()
      .describe('Settings of protocol HTTP.'),
    forwardBody: z
      .strictObject({
        maxSize: z
          .int32()
          .min(0)
          .max(65_535)
          .optional()
          .describe('Bytes of the body that it is shown at most; of a longer one the beginning.'),
      })
      .optional()
      .describe('Whether it is shown the body.'),
  })
  .check(
    rules(function* (auth) {
      const [wanted, other] = auth.protocol === 'GRPC' ? (['grpc', 'http'] as const) : (['http', 'grpc'] as const)
      if (auth[wanted] === undefined) yield { path: [wanted], says: `is needed for protocol ${auth.protocol} (it may be {})` }
      if (auth[other] !== undefined) yield { path: [other], says: `does not go with protocol ${auth.protocol}` }
    }),
  )

/** The field that each filter type fills, by type. */
const fieldOf = (type: string): string =>
  type === 'CORS' ? 'cors' : type === 'URLRewrite' ? 'urlRewrite' : type[0]!.toLowerCase() + type.slice(1)

/** A filter has the field of its type and no other. */
const onlyItsField = (types: readonly string[]) =>
  function* (filter: { readonly type: string }): Iterable<Broken> {
    const entries = filter as Readonly<Record<string, unknown>>
    for (const type of types) {
      const field = fieldOf(type)
      if (type === filter.type && entries[field] === undefined) yield { path: [field], says: `is needed for type ${type}` }
      if (type !== filter.type && entries[field] !== undefined)
        yield { path: [field], says: `does not go with type ${filter.type}: remove it or change the type to ${type}` }
    }
  }

const once = (types: readonly string[]) =>
  function* (filters: readonly { readonly type: string }[]): Iterable<Broken> {
    for (const type of types) {
      const second = filters.flatMap((filter, at) => (filter.type === type ? [at] : []))[1]
      if (second !== undefined) yield { path: [second], says: `repeats the filter ${type}: it may be used once; join the two` }
    }
  }

function* redirectOrRewrite(filters: readonly { readonly type: string }[]): Iterable<Broken> {
  const redirect = filters.findIndex(filter => filter.type === 'RequestRedirect')
  const rewrite = filters.findIndex(filter => filter.type === 'URLRewrite')
  if (redirect >= 0 && rewrite >= 0)
    yield { path: [Math.max(redirect, rewrite)], says: 'RequestRedirect and URLRewrite cannot be used together: remove one' }
}

const shared = {
  requestHeaderModifier: headerModifier.optional().describe('Changes the headers of the request.'),
  responseHeaderModifier: headerModifier.optional().describe('Changes the headers of the answer.'),
  requestMirror: requestMirror
    .optional()
    .describe('Sends copies of requests to a second backend, whose answers are dropped. Carried out on rules, not on a backendRef.'),
  extensionRef: localObject.optional().describe('A RouteFilter (group weft.dev), which answers itself or rewrites by regular expressions.'),
}

const httpTypes = [
  'RequestHeaderModifier',
  'ResponseHeaderModifier',
  'RequestMirror',
  'RequestRedirect',
  'URLRewrite',
  'ExtensionRef',
  'CORS',
  'ExternalAuth',
] as const
const httpFilter = z
  .strictObject({
    type: z.enum(httpTypes).describe('What the filter does; the field of the same name says how.'),
    ...shared,
    requestRedirect: requestRedirect.optional().describe('Answers with a redirect.'),
    urlRewrite: urlRewrite.optional().describe('Changes host or path of the request on its way to the backend.'),
    cors: cors
      .optional()
      .describe('Answers cross-origin preflights and marks answers (Fetch standard). Carried out on rules, not on a backendRef.'),
    externalAuth: externalAuth
      .optional()
      .describe(
        'Asks a service whether the request may pass: at Gateways the Gateway does, in the mesh the proxy of the caller. Carried out on rules, not on a backendRef.',
      ),
  })
  .check(rules(onlyItsField(httpTypes)))
export type HTTPFilter = z.infer<typeof httpFilter>

export const httpFilters = () =>
  atomicList(httpFilter)
    .max(16)
    .check(
      rules<readonly HTTPFilter[]>(
        redirectOrRewrite,
        once(['CORS', 'RequestHeaderModifier', 'ResponseHeaderModifier', 'RequestRedirect', 'URLRewrite']),
      ),
    )

const grpcTypes = ['RequestHeaderModifier', 'ResponseHeaderModifier', 'RequestMirror', 'ExtensionRef'] as const
const grpcFilter = z
  .strictObject({ type: z.enum(grpcTypes).describe('What the filter does; the field of the same name says how.'), ...shared })
  .check(rules(onlyItsField(grpcTypes)))

export const grpcFilters = () =>
  atomicList(grpcFilter)
    .max(16)
    .check(rules<readonly { readonly type: string }[]>(once(['RequestHeaderModifier', 'ResponseHeaderModifier'])))
