/** What the mesh itself answers: a failure with its reason, or a redirect. */

import { Failure, type FailureCode, failures } from '#base/failure'
import { changeFields } from '#model/rewrite'
import type { Route } from '#model/route'
import { field, type ResponseHead, withoutField } from '#wire/http1'
import { denialOf, nextDecision } from '../telemetry/denial.ts'
import type { Exchange } from './exchange.ts'
import { grpcOf } from './grpc.ts'

/** Header that carries the failure code of base/failure.ts; `x-weft-error-detail` carries the sentence. */
export const errorField = 'x-weft-error'

/** Header with the number of the decision by which a request was denied. */
const decisionField = 'x-weft-decision'

/** Answers with the failure's status or the one given, a machine-readable code in a header, and a body for people. Breaks off instead when an answer has begun. */
export function answer(exchange: Exchange, failure: Failure, status: number = failure.status): void {
  exchange.reason = failure.code
  exchange.detail = failure.detail
  exchange.denial ??= denialOf(failure, exchange.route)
  if (exchange.isGone) return
  if (exchange.status !== 0) return breakOffAnswer(exchange, failure)
  if (exchange.isGrpc) return answerGrpc(exchange, failure)
  const told = {
    error: failure.code,
    blame: failure.blame,
    message: failure.says,
    hint: failure.hint,
    service: exchange.service || exchange.entry.listener.service,
    // Whom a rule keeps out learns nothing of what is behind it.
    ...(exchange.route && failure.code !== 'access-denied' ? { route: exchange.route.origin } : {}),
  }
  const wants = exchange.header('accept') ?? ''
  const isJson = wants.includes('json')
  const body = new TextEncoder().encode(isJson ? `${JSON.stringify(told)}\n` : `${failure.says}\n${failure.hint}\n`)
  reply(
    exchange,
    status,
    [
      errorField,
      failure.code,
      'x-weft-error-detail',
      plain(failure.says),
      ...decisionOf(exchange),
      'content-type',
      isJson ? 'application/json' : 'text/plain; charset=utf-8',
    ],
    body,
  )
}

/** An answer without a body that has nothing to do with failure. */
export function answerEmpty(exchange: Exchange, status: number, fields: readonly string[]): void {
  reply(exchange, status, fields, new Uint8Array(0))
}

/** A page of the mesh's own, for browsers. */
export function answerPage(exchange: Exchange, status: number, html: string, fields: readonly string[]): void {
  reply(exchange, status, [...fields, 'content-type', 'text/html; charset=utf-8'], new TextEncoder().encode(html))
}

export function answerRedirect(exchange: Exchange, route: Route, location: string, status: number): void {
  reply(exchange, status, changedBy(route, ['location', location]), new Uint8Array(0))
}

/** What a route says is answered in place of any endpoint. A call of gRPC learns it as it would from a proxy in between: by the status of the same meaning. */
export function answerAsConfigured(exchange: Exchange, route: Route, status: number, text: string): void {
  if (exchange.isGrpc) {
    exchange.grpcStatus = grpcOf(status)
    const message = ['grpc-status', String(exchange.grpcStatus), ...(text === '' ? [] : ['grpc-message', grpcMessage(text)])]
    return answerTrailersOnly(exchange, withoutField(changedBy(route, message), 'content-type'))
  }
  const mayHaveBody = status !== 204 && status !== 205 && status !== 304
  const body = new TextEncoder().encode(mayHaveBody ? text : '')
  reply(exchange, status, changedBy(route, body.length > 0 ? ['content-type', 'text/plain; charset=utf-8'] : []), body)
}

/** What a service outside says to who may not go on, in its own words; a call of gRPC learns it by the status of the same meaning. */
export function answerDenied(
  exchange: Exchange,
  { status, fields, body }: { readonly status: number; readonly fields: readonly string[]; readonly body: Uint8Array },
  policy: string,
): void {
  const code = 'external-authorization-denied'
  exchange.reason = code
  exchange.detail = policy
  exchange.denial = { decision: nextDecision(), policy, rule: '', condition: () => `its service answers ${status}` }
  const own = [...withoutField(withoutField(fields, 'date'), 'server'), errorField, code, ...decisionOf(exchange)]
  if (exchange.isGrpc) {
    exchange.grpcStatus = grpcOf(status) || failures[code].grpc
    const message = ['grpc-status', String(exchange.grpcStatus), 'grpc-message', grpcMessage(new TextDecoder().decode(body))]
    return answerTrailersOnly(exchange, [...withoutField(own, 'content-type'), ...message])
  }
  const mayHaveBody = status !== 204 && status !== 205 && status !== 304
  reply(exchange, status, own, mayHaveBody ? body : new Uint8Array(0))
}

const changedBy = ({ filters }: Route, fields: readonly string[]): readonly string[] =>
  filters.reduce((made, filter) => (filter.type === 'response-headers' ? changeFields(made, filter.change) : made), fields)

/**
 * An answer that has begun cannot become another: it ends so that the caller sees that it is not whole. A gRPC answer ends with a status that says why.
 * code: of RFC 9113 §7, by which the endpoint broke it off; it is passed on as it is.
 */
export function breakOffAnswer(exchange: Exchange, failure: Failure, code?: number): void {
  exchange.reason = failure.code
  exchange.detail = failure.detail
  exchange.denial ??= denialOf(failure, exchange.route)
  if (exchange.isGone) return
  if (!exchange.isGrpc || code !== undefined) return exchange.caller.abort(code)
  exchange.stopBody()
  exchange.caller.end(grpcFields(exchange, failure))
  exchange.caller.flush()
}

/** Trailers-only (gRPC over HTTP/2, "Responses"): the status of the same meaning, and the sentence. */
function answerGrpc(exchange: Exchange, failure: Failure): void {
  answerTrailersOnly(exchange, grpcFields(exchange, failure))
}

function answerTrailersOnly(exchange: Exchange, said: readonly string[]): void {
  exchange.status = 200
  exchange.stopBody()
  exchange.caller.respond(
    {
      status: 200,
      reason: '',
      minor: 1,
      fields: changed(exchange, ['content-type', 'application/grpc', ...said]),
    },
    0,
  )
  exchange.caller.end([])
  exchange.caller.flush()
}

function grpcFields(exchange: Exchange, failure: Failure): readonly string[] {
  exchange.grpcStatus ??= failures[failure.code].grpc
  return [
    'grpc-status',
    String(exchange.grpcStatus),
    'grpc-message',
    grpcMessage(`${failure.says} (${failure.hint})`),
    errorField,
    failure.code,
    ...decisionOf(exchange),
  ]
}

const decisionOf = ({ denial }: Exchange): readonly string[] => (denial === undefined ? [] : [decisionField, denial.decision])

const grpcMessage = (text: string): string => encodeURIComponent(text.slice(0, 500).toWellFormed()).replaceAll('%20', ' ')

/** Why an answer is not passed on but asked for again, elsewhere if possible: its proxy says that it is none of its workload, or the route asks for that. */
export function refusalOf(head: ResponseHead, identity: string | undefined, exchange: Exchange): Failure | undefined {
  return saidByProxy(head, identity, exchange) ?? exchange.retries?.weigh(head)
}

/**
 * The proxy at the other end says that the request never reached its workload, or that the workload broke off before it answered: then another endpoint may
 * be tried, in the second case once and if the request may be repeated. Believed only from a proven peer.
 */
function saidByProxy(head: ResponseHead, identity: string | undefined, exchange: Exchange): Failure | undefined {
  if (identity === undefined || (head.status !== 503 && head.status !== 502 && head.status !== 200)) return undefined
  const code = field(head.fields, errorField)
  if (code === undefined || !Object.hasOwn(failures, code) || exchange.isBodySpent) return undefined
  const failure = new Failure(code as FailureCode, field(head.fields, 'x-weft-error-detail') ?? '')
  if (failure.fate === 'safe') return failure
  return failure.fate === 'reused' && exchange.isRepeatable && exchange.takeSecondChance() ? failure : undefined
}

function reply(exchange: Exchange, status: number, fields: readonly string[], body: Uint8Array): void {
  exchange.status = status
  exchange.stopBody()
  const { caller } = exchange
  const own = [...fields, 'date', new Date().toUTCString(), 'server', 'weft']
  caller.respond({ status, reason: '', minor: 1, fields: changed(exchange, own) }, body.length)
  if (body.length > 0 && exchange.method !== 'HEAD') caller.data(body)
  exchange.sentBytes += body.length
  caller.end([])
  caller.flush()
}

const changed = ({ answerChange }: Exchange, fields: readonly string[]): readonly string[] =>
  answerChange === undefined ? fields : changeFields(fields, answerChange)

/** What may stand in a header field: visible ASCII and spaces. */
const plain = (text: string): string => text.replaceAll(/[^\x20-\x7e]/g, '?').slice(0, 500)
