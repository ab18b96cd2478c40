/** The shapes that fields of many kinds share: names, ports, references by group and kind, lists that server-side apply merges. */

import { z } from 'zod'
import { whyNotIdTemplate } from '#base/id-template'
import { durationMs } from './duration.ts'
import type { Broken, Column, Resource } from './kind.ts'

const label = '[a-z0-9]([-a-z0-9]*[a-z0-9])?'
const subdomain = `${label}(\\.${label})*`

/** What a pattern means in words: a person should not have to read a regular expression. Looked up by the `pattern` of a zod issue. */
export const patternWords = new Map<string, string>()

function matching(pattern: string, words: string): RegExp {
  const compiled = new RegExp(pattern)
  patternWords.set(String(compiled), words)
  return compiled
}

/** Of SPIFFE ids. */
export const idTemplate = () =>
  z
    .string()
    .max(2048)
    .check(({ value, issues }) => {
      const why = whyNotIdTemplate(value)
      if (why !== undefined)
        issues.push({ code: 'custom', message: `must be a path such as /{namespace}/{serviceAccount}: ${why}`, input: value })
    })
/** RFC 1123 label. */
export const dnsLabel = () =>
  z
    .string()
    .min(1)
    .max(63)
    .regex(matching(`^${label}$`, 'lower-case letters, digits and "-", starting and ending with a letter or digit'))
/** RFC 1123 subdomain. */
export const dnsName = () =>
  z
    .string()
    .min(1)
    .max(253)
    .regex(matching(`^${subdomain}$`, 'a DNS name in lower case: letters, digits, "-" and "." between labels'))
export const hostname = () =>
  z
    .string()
    .min(1)
    .max(253)
    .regex(matching(`^(\\*\\.)?${subdomain}$`, 'a host name in lower case without port; the first label may be "*"'))
export const objectName = () => z.string().min(1).max(253)
export const groupName = () =>
  z
    .string()
    .max(253)
    .regex(matching(`^$|^${subdomain}$`, 'an API group such as "gateway.networking.k8s.io", or "" for core'))
export const kindName = () => z.string().min(1).max(63).regex(matching('^[a-zA-Z]([-a-zA-Z0-9]*[a-zA-Z0-9])?$', 'a kind such as Service'))
export const portNumber = () => z.int32().min(1).max(65535)
/** RFC 9110 §5.1 token. */
export const headerName = () =>
  z
    .string()
    .min(1)
    .max(256)
    .regex(matching("^[A-Za-z0-9!#$%&'*+\\-.^_\\x60|~]+$", "a header name: letters, digits and !#$%&'*+-.^_`|~ (RFC 9110 §5.1)"))
export const headerValue = () =>
  z.string().min(1).max(4096).regex(matching('^[!-~]+([\\t ]?[!-~]+)*$', 'visible ASCII with single spaces inside, none at the ends'))
export const controllerName = () =>
  z
    .string()
    .min(1)
    .max(253)
    .regex(matching(`^${subdomain}\\/[A-Za-z0-9\\/\\-._~%!$&'()*+,;=:]+$`, 'a domain and a path, such as "weft.dev/gateway"'))
/** GEP-2257: a subset of Go's durations, such as 1m30s, 500ms. `durationMs` reads it. */
export const duration = () =>
  z.string().regex(matching('^([0-9]{1,5}(h|m|s|ms)){1,4}$', 'a duration such as 500ms, 10s or 1m30s (GEP-2257)'))
export const isLonger = (one: string | undefined, other: string | undefined): boolean =>
  one !== undefined && other !== undefined && durationMs(one) > durationMs(other)

/** How server-side apply merges a list: replaced whole, by key, or as a set. */
export const atomicList = <T extends z.ZodType>(item: T) => z.array(item).meta({ 'x-kubernetes-list-type': 'atomic' })
export const setList = <T extends z.ZodType>(item: T) => z.array(item).meta({ 'x-kubernetes-list-type': 'set' })
export const mapList = <T extends z.ZodType>(item: T, ...keys: string[]) =>
  z.array(item).meta({ 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': keys })

/** An address or a network in the notation of RFC 4632 and RFC 4291: `10.0.0.0/8`, `fd00::/8`. */
export const network = () =>
  z
    .string()
    .regex(/^[0-9a-fA-F.:]+(\/\d{1,3})?$/, { message: notNetwork })
    .refine(text => isNetwork(text), { message: notNetwork })
const notNetwork = 'must be an address or a network such as 10.0.0.0/8'

function isNetwork(text: string): boolean {
  const [address = '', bits] = text.split('/')
  const isV6 = address.includes(':')
  if (bits !== undefined && Number(bits) > (isV6 ? 128 : 32)) return false
  if (!isV6) return /^\d{1,3}(\.\d{1,3}){3}$/.test(address) && address.split('.').every(part => Number(part) <= 255)
  return URL.canParse(`http://[${address}]/`)
}

export const stringMap = () => z.record(z.string(), z.string())
export const intOrString = () => z.union([z.int32(), z.string()]).meta({ 'x-kubernetes-int-or-string': true })

/** Rules over a whole object. */
export const rules =
  <T>(...all: readonly ((value: T) => Iterable<Broken>)[]) =>
  (context: { value: T; issues: unknown[] }): void => {
    for (const rule of all)
      for (const { path, says } of rule(context.value))
        context.issues.push({ code: 'custom', message: says, path: [...path], input: context.value })
  }

/** Besides for what and whom it is, a policy must say something. parts: fields that say nothing by themselves, but by what is in them. */
export const saying = (...parts: readonly string[]) =>
  rules<object>(function* (said) {
    const isSaid = ([key, value]: [string, unknown]): boolean =>
      value !== undefined &&
      key !== 'targetRefs' &&
      key !== 'from' &&
      !(parts.includes(key) && Object.values(value as object).every(each => each === undefined))
    if (!Object.entries(said).some(isSaid)) yield { path: [], says: 'must set something' }
  })

/** meta.k8s.io/v1 Condition. */
export const condition = z.strictObject({
  type: z.string().max(316).describe('What is stated, such as Accepted or ResolvedRefs.'),
  status: z.enum(['True', 'False', 'Unknown']).describe('Whether it holds.'),
  reason: z.string().min(1).max(1024).describe('One CamelCase word why.'),
  message: z.string().max(32768).describe('The same for people, with the field and what to do.'),
  observedGeneration: z.int().min(0).optional().describe('The metadata.generation that was looked at.'),
  lastTransitionTime: z.string().meta({ format: 'date-time' }).describe('When status last changed.'),
})
export const conditions = () => mapList(condition, 'type').max(8)

export const labelSelector = z.strictObject({
  matchLabels: stringMap().optional().describe('Labels that must all be present with these values.'),
  matchExpressions: atomicList(
    z.strictObject({
      key: z.string().describe('The label.'),
      operator: z.enum(['In', 'NotIn', 'Exists', 'DoesNotExist']).describe('How the label is compared with values.'),
      values: atomicList(z.string()).optional().describe('The values for In and NotIn.'),
    }),
  )
    .optional()
    .describe('Requirements that must all hold.'),
})

export const age: Column = {
  name: 'Age',
  type: 'date',
  description: 'Time since creation',
  value: resource => resource.metadata.creationTimestamp,
}

/** A column that shows the status of one condition. */
export const conditionColumn = (
  type: string,
  of: (resource: Resource) => unknown = r => (r.status as { conditions?: unknown } | undefined)?.conditions,
): Column => ({
  name: type,
  type: 'string',
  description: `Whether the condition ${type} holds`,
  value: resource => {
    const found = of(resource) as readonly { type: string; status: string }[] | undefined
    return found?.find(entry => entry.type === type)?.status
  },
})
