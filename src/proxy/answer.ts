/** What the mesh itself answers: a failure with its reason, or a redirect. */

import type { Failure } from '#base/failure'
import type { Exchange } from './exchange.ts'

/** Header that carries the failure code of base/failure.ts; `x-weft-error-detail` carries the sentence. */
export const errorField = 'x-weft-error'

/** Answers with the failure's status, a machine-readable code in a header, and a body for people. Breaks off instead when an answer has begun. */
export function answer(exchange: Exchange, failure: Failure): void {
  exchange.reason = failure.code
  if (exchange.isGone) return
  if (exchange.status !== 0) return exchange.caller.abort()
  const told = {
    error: failure.code,
    blame: failure.blame,
    message: failure.says,
    hint: failure.hint,
    service: exchange.service || exchange.entry.listener.service,
    ...(exchange.route ? { route: exchange.route.origin } : {}),
  }
  const wants = exchange.header('accept') ?? ''
  const isJson = wants.includes('json')
  const body = new TextEncoder().encode(isJson ? `${JSON.stringify(told)}\n` : `${failure.says}\n${failure.hint}\n`)
  reply(
    exchange,
    failure.status,
    [
      errorField,
      failure.code,
      'x-weft-error-detail',
      plain(failure.says),
      'content-type',
      isJson ? 'application/json' : 'text/plain; charset=utf-8',
    ],
    body,
  )
}

export function answerRedirect(exchange: Exchange, location: string, status: number): void {
  reply(exchange, status, ['location', location], new Uint8Array(0))
}

function reply(exchange: Exchange, status: number, fields: readonly string[], body: Uint8Array): void {
  exchange.status = status
  exchange.stopBody()
  const { caller } = exchange
  caller.respond({ status, reason: '', minor: 1, fields: [...fields, 'date', new Date().toUTCString(), 'server', 'weft'] }, body.length)
  if (body.length > 0 && exchange.method !== 'HEAD') caller.data(body)
  exchange.sentBytes += body.length
  caller.end([])
  caller.flush()
}

/** What may stand in a header field: visible ASCII and spaces. */
const plain = (text: string): string => text.replaceAll(/[^\x20-\x7e]/g, '?').slice(0, 500)
