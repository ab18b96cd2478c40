/** The heads that go out in place of those that came in: of the request to the endpoint, of the answer to the caller. */

import { Failure } from '#base/failure'
import { changeFields, changeRequest, longestTarget, rewrite } from '#model/rewrite'
import type { Route } from '#model/route'
import { field, type Fields, forwardable, type RequestHead, type ResponseHead, withField } from '#wire/http1'
import type { Exchange } from './exchange.ts'
import { answered, forwarded } from './forwarding.ts'
import type { Share } from '../endpoints/share.ts'
import type { RequestTrace } from '../telemetry/trace.ts'

/** The head that goes out: hop-by-hop fields dropped, the target in origin-form, the route's changes made. */
export function requestHead(exchange: Exchange, route: Route, share: Share): RequestHead {
  const sent = exchange.sentSearch ?? exchange.search
  const search = sent === '' ? '' : `?${sent}`
  let fields: Fields = forwarded(forwardable(exchange.head.fields), exchange.entry)
  let target = exchange.head.target
  if (target.charCodeAt(0) !== 47 && exchange.path !== '*' && exchange.method !== 'CONNECT') {
    // RFC 9112 §3.2.2: the authority of an absolute target replaces what Host says.
    target = exchange.path + search
    fields = withField(fields, 'Host', exchange.host)
  }
  if (exchange.judgedPath !== undefined || exchange.sentSearch !== undefined) target = (exchange.judgedPath ?? exchange.path) + search
  if (exchange.requestChange !== undefined) fields = changeRequest(fields, exchange.requestChange)
  if (exchange.codingChange !== undefined) fields = changeFields(fields, exchange.codingChange)
  const filters = share.filters.length > 0 ? [...route.filters, ...share.filters] : route.filters
  if (filters.length > 0) {
    for (const filter of filters) if (filter.type === 'request-headers') fields = changeRequest(fields, filter.change)
    const changed = rewrite(filters, route.match.path, exchange.host, exchange.judgedPath ?? exchange.path, exchange)
    if (changed.host !== exchange.host) fields = changeFields(fields, { set: [{ name: 'host', value: changed.host }], add: [], remove: [] })
    if (changed.path !== (exchange.judgedPath ?? exchange.path)) {
      target = changed.path + search
      // The next proxy would break off the connection, on which there are others too.
      if (target.length > longestTarget)
        throw new Failure('uri-too-long', `${route.origin} makes more than ${longestTarget} characters of it`)
    }
  }
  if (exchange.isLogged) exchange.sentId = field(fields, 'x-request-id')
  // Last, for whoever else names a trace would tear it.
  if (exchange.trace !== undefined && !isOfNoConcern(exchange.trace, share)) fields = exchange.trace.written(fields)
  return { method: exchange.head.method, target, minor: 1, fields }
}

/** Hosts outside the mesh that nobody declared learn of no trace that the workload itself does not tell them of. */
const isOfNoConcern = ({ parentId }: RequestTrace, { backend }: Share): boolean => backend.type === 'original' && parentId === ''

const asIs = (head: ResponseHead): ResponseHead => ({
  status: head.status,
  reason: head.reason,
  minor: 1,
  fields: forwardable(head.fields),
})

const ofWorkload = (head: ResponseHead): ResponseHead => {
  const passed = asIs(head)
  return { ...passed, fields: answered(passed.fields) }
}

export function responseEditor({ answerChange }: Exchange, route: Route, share: Share): (head: ResponseHead) => ResponseHead {
  const plain = share.endpoints === undefined ? ofWorkload : asIs
  if (route.filters.length === 0 && share.filters.length === 0 && answerChange === undefined) return plain
  const changes = [...route.filters, ...share.filters].flatMap(filter => (filter.type === 'response-headers' ? [filter.change] : []))
  if (answerChange !== undefined) changes.push(answerChange)
  if (changes.length === 0) return plain
  return head => {
    const passed = plain(head)
    return { ...passed, fields: changes.reduce<readonly string[]>(changeFields, passed.fields) }
  }
}
