/** RouteFilters: what each of them does, for the rules that name it, and why some cannot be carried out. */

import type { Filter, NameValue, Substitution } from '#model/filter'
import { partsOf } from '#model/rewrite'
import type { Action } from '#model/route'
import { durationMs } from '#resources/duration'
import { type RouteFilter, weftGroup } from '#resources/weft'
import { nameOf } from '../gather.ts'
import { whyNotRegex } from './regex.ts'
import type { RefReason } from './resolve.ts'
import { type ResourceStatus, state, statusFor } from '../status.ts'

/** respond, headers: an answer in place of any backend. invalid: sentences that begin with the name of the filter and its field. */
export type Extension = {
  readonly respond?: Action & { readonly type: 'respond' }
  readonly headers: readonly NameValue[]
  readonly filters: readonly Filter[]
  readonly invalid: readonly string[]
}
type Ref = { readonly group: string; readonly kind: string; readonly name: string }
/** What an extensionRef means; where it leads nowhere, why. */
export type Extensions = (ref: Ref) => Extension | { readonly reason: RefReason; readonly says: string }
export type RouteFilters = {
  /** For the routes of a namespace. */
  readonly of: (namespace: string) => Extensions
  readonly statuses: readonly ResourceStatus[]
}

export function findRouteFilters(filters: readonly RouteFilter[]): RouteFilters {
  const lowered = new Map(filters.map(filter => [nameOf(filter), { filter, ...lower(filter) }]))
  return {
    of: namespace => ref => {
      if (ref.group !== weftGroup || ref.kind !== 'RouteFilter')
        return {
          reason: 'InvalidKind',
          says: `${ref.kind} of group "${ref.group}" is no filter that the mesh has: refer to a RouteFilter of group ${weftGroup}`,
        }
      const found = lowered.get(`${namespace}/${ref.name}`)
      return found ?? { reason: 'FilterNotFound', says: `RouteFilter ${namespace}/${ref.name} does not exist` }
    },
    statuses: [...lowered.values()].map(({ filter, wrong }) =>
      statusFor(filter, {
        conditions: [
          wrong.length === 0
            ? state(filter, 'Accepted', true, 'Accepted', 'Rules may use it')
            : state(filter, 'Accepted', false, 'Invalid', `${wrong.join('; ')}; rules that use it answer 500`),
        ],
      }),
    ),
  }
}

function lower(filter: RouteFilter): Extension & { readonly wrong: readonly string[] } {
  const { directResponse, rewrite } = filter.spec ?? {}
  if (directResponse !== undefined) return { ...answerOf(directResponse), filters: [], invalid: [], wrong: [] }
  const wrong = (['pathRegex', 'hostFromPath'] as const).flatMap(field => {
    const asked = rewrite?.[field]
    return asked === undefined ? [] : whyNot(asked, `spec.rewrite.${field}`)
  })
  const { pathRegex, hostFromPath, hostFromHeader } = rewrite ?? {}
  const path = pathRegex === undefined ? {} : { path: { type: 'regex' as const, ...plain(pathRegex) } }
  const host =
    hostFromPath !== undefined
      ? { host: { type: 'path' as const, ...plain(hostFromPath) } }
      : hostFromHeader !== undefined
        ? { host: { type: 'header' as const, name: hostFromHeader.toLowerCase() } }
        : {}
  return {
    headers: [],
    filters: wrong.length > 0 ? [] : [{ type: 'rewrite', ...host, ...path }],
    invalid: wrong.map(each => `RouteFilter ${nameOf(filter)}: ${each}`),
    wrong,
  }
}

const plain = ({ pattern, substitution }: Substitution): Substitution => ({ pattern, substitution })

function answerOf(answer: NonNullable<NonNullable<RouteFilter['spec']>['directResponse']>): Pick<Extension, 'respond' | 'headers'> {
  const { status, body = '', contentType, headers = [], retryAfter } = answer
  return {
    respond: { type: 'respond', status, detail: body },
    headers: [
      ...(contentType === undefined ? [] : [{ name: 'content-type', value: contentType }]),
      ...(retryAfter === undefined ? [] : [{ name: 'retry-after', value: String(Math.ceil(durationMs(retryAfter) / 1000)) }]),
      ...headers.map(({ name, value }) => ({ name: name.toLowerCase(), value })),
    ],
  }
}

/** A path has no other characters, and no question mark, which would begin a query (RFC 3986 §3.3). */
const ofPaths = /^[-A-Za-z0-9/._~!$&'()*+,;=:@%]*$/

function whyNot({ pattern, substitution }: Substitution, at: string): readonly string[] {
  const regex = whyNotRegex(pattern, true)
  if (regex !== undefined) return [`${at}.pattern: the expression ${regex}`]
  const found: string[] = []
  const groups = new RegExp(`${pattern}|`, 'u').exec('')!.length - 1
  const loose = /\\(?![\d\\])/.exec(substitution)
  if (loose !== null) found.push('a backslash stands before a digit or another backslash')
  for (const part of partsOf(substitution)) {
    if (typeof part === 'number' && part > groups) found.push(`the pattern has no group ${part}; it has ${groups}`)
    if (typeof part === 'string' && !ofPaths.test(part)) found.push(`"${part}" has a character that neither a path nor a host may have`)
  }
  return found.map(says => `${at}.substitution: ${says}`)
}
