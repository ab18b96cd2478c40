/** The exchanges that ask an endpoint whether it serves, and what their answers say. */

import type { Backend } from '#model/backend'
import type { HealthQuestion } from '#model/endpoint-health'
import { emptyView } from '#model/view'
import { type Fields, field, type RequestHead, type ResponseHead } from '#wire/http1'
import { nobody } from '../../telemetry/entry.ts'
import { Exchange } from '../../requests/exchange.ts'
import type { Caller } from '../../requests/ends.ts'
import { failed, type Verdict } from './verdict.ts'

/** verdict: once the exchange is over. */
export type Question = { readonly exchange: Exchange; readonly head: RequestHead; readonly verdict: () => Verdict }

type Asked = Pick<Backend, 'service' | 'protocol'>

const agent = 'weft-health-check'

export function httpQuestion(ask: HealthQuestion & { readonly type: 'http' }, backend: Asked, isHttp1: boolean): Question {
  const { method, path, host = backend.service, headers, statuses } = ask
  const fields = ['host', host, 'user-agent', agent, ...headers.flatMap(({ name, value }) => [name, value])]
  const head: RequestHead = { method, target: path, minor: 1, fields }
  const answer = new Answer()
  const exchange = new Exchange(head, 0, undefined, false, entryFor(backend), answer, performance.now(), isHttp1)
  exchange.bodyEnd([])
  const verdict = (): Verdict => {
    const { status } = answer
    if (!answer.isWhole) return failed('upstream-reset', 'the answer broke off')
    return statuses.some(({ first, last }) => status >= first && status <= last) ? { is: 'passed' } : failed('status', `answered ${status}`)
  }
  return { exchange, head, verdict }
}

const longestName = 1_024
/** Of a HealthCheckResponse as grpc.health.v1 has it. */
const statuses = ['UNKNOWN', 'SERVING', 'NOT_SERVING', 'SERVICE_UNKNOWN']

export function callQuestion({ service }: HealthQuestion & { readonly type: 'grpc' }, backend: Asked): Question {
  const body = framed(service)
  const fields = ['host', backend.service, 'content-type', 'application/grpc', 'te', 'trailers', 'user-agent', agent]
  const head: RequestHead = { method: 'POST', target: '/grpc.health.v1.Health/Check', minor: 1, fields }
  const answer = new Answer()
  const exchange = new Exchange(head, body.length, undefined, false, entryFor(backend), answer, performance.now(), false)
  exchange.bodyData(body)
  exchange.bodyEnd([])
  const verdict = (): Verdict => {
    if (answer.status !== 200) return failed('status', `answered ${answer.status}`)
    if (!answer.isWhole) return failed('upstream-reset', 'the answer broke off')
    const code = field(answer.trailers, 'grpc-status') ?? field(answer.fields, 'grpc-status') ?? 'none'
    if (code !== '0') return failed('not-serving', `the call ended with gRPC status ${code}`)
    const status = statusIn(answer.body)
    return status === 1 ? { is: 'passed' } : failed('not-serving', statuses[status] ?? `status ${status}`)
  }
  return { exchange, head, verdict }
}

/** A HealthCheckRequest `{ string service = 1 }` with the prefix of a message (PROTOCOL-HTTP2.md). */
function framed(service: string): Uint8Array {
  const name = new TextEncoder().encode(service).subarray(0, longestName)
  const length = name.length < 128 ? [name.length] : [(name.length & 127) | 128, name.length >> 7]
  const message = name.length === 0 ? [] : [0x0a, ...length, ...name]
  return Uint8Array.of(0, 0, 0, message.length >> 8, message.length & 255, ...message)
}

/** A HealthCheckResponse is `{ ServingStatus status = 1 }`: one small number, and 0 where it is left out. */
const statusIn = (body: readonly number[]): number => (body[5] === 0x08 ? (body[6] ?? 0) : 0)

/** Takes the answer; of its body only the beginning. */
class Answer implements Caller {
  status = 0
  fields: Fields = []
  trailers: Fields = []
  isWhole = false
  readonly body: number[] = []

  respond({ status, fields }: ResponseHead): void {
    this.status = status
    this.fields = fields
  }
  informational(): void {}
  data(bytes: Uint8Array): void {
    if (this.body.length < 64) this.body.push(...bytes.subarray(0, 64))
  }
  end(trailers: Fields): void {
    this.trailers = trailers
    this.isWhole = true
  }
  flush(): boolean {
    return true
  }
  readBody(): void {}
  abort(): void {}
}

/** No listener met it: this proxy asks for itself. */
const entryFor = ({ service, protocol }: Asked) => ({
  listener: {
    name: 'health-checks',
    direction: 'outbound' as const,
    host: '',
    port: 0,
    protocol: protocol === 'http2' ? ('http2' as const) : ('http' as const),
    service,
  },
  view: () => emptyView,
  peer: undefined,
  source: nobody,
})
