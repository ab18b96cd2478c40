/** One call of gRPC that the proxy itself makes to a backend: by the same ways, balancers and identities as the requests of its workload. */

import { Failure } from '#base/failure'
import type { Route } from '#model/route'
import type { View } from '#model/view'
import type { Fields, ResponseHead } from '#wire/http1'
import { field } from '#wire/http1'
import { answer } from './answer.ts'
import { Delivery } from './delivery.ts'
import type { Entry, Party } from '../telemetry/entry.ts'
import type { RequestTrace } from '../telemetry/trace.ts'
import { Exchange } from './exchange.ts'
import type { Caller } from './ends.ts'
import type { Pools } from '../upstreams/pool.ts'
import { shareOf } from '../endpoints/share.ts'

/** Why there is no reply, for people. */
export type NoReply = { readonly why: string }

/** backend: in the view. path: `/package.Service/Method`. */
export type GrpcCall = {
  readonly view: View
  readonly backend: string
  readonly path: string
  readonly message: Uint8Array
  readonly timeoutMs: number
  readonly source: Party
  /** Of the request that it is made for. */
  readonly trace?: RequestTrace | undefined
}

const maxReplyBytes = 1_048_576

/** done: once, at the latest when the time is over. */
export function callGrpc(call: GrpcCall, pools: Pools, done: (reply: Uint8Array | NoReply) => void): void {
  const { view, backend, path, message, timeoutMs, source } = call
  const service = view.backends[backend]?.service ?? backend
  const entry: Entry = {
    listener: { name: `own/${backend}`, direction: 'outbound', host: '', port: 0, protocol: 'grpc', service },
    view: () => view,
    peer: undefined,
    source,
  }
  const caller = new Asker(done)
  const framed = frame(message)
  const fields = ['host', service, 'content-type', 'application/grpc', 'te', 'trailers', 'grpc-timeout', `${timeoutMs}m`]
  const head = { method: 'POST', target: path, minor: 1, fields } as const
  const exchange = new Exchange(head, framed.length, undefined, false, entry, caller, performance.now(), false)
  const route = routeTo(backend, timeoutMs)
  exchange.route = route
  exchange.trace = call.trace?.lent()
  const bug = (thrown: unknown): void => caller.settle({ why: thrown instanceof Error ? thrown.message : String(thrown) })
  try {
    const share = shareOf({ backend, weight: 1 }, view, route.origin, pools)
    exchange.bodyData(framed)
    exchange.bodyEnd([])
    new Delivery(exchange, route, share, pools, bug).begin()
  } catch (thrown) {
    if (thrown instanceof Failure) answer(exchange, thrown)
    else bug(thrown)
  }
}

const routes = new Map<string, Route>()

function routeTo(backend: string, requestMs: number): Route {
  const key = `${backend} ${requestMs}`
  let route = routes.get(key)
  if (route === undefined) {
    const name = `own/${backend}`
    const action = { type: 'forward', backends: [{ backend, weight: 1 }] } as const
    routes.set(key, (route = { name, origin: name, match: {}, filters: [], action, timeouts: { requestMs } }))
  }
  return route
}

/** "Length-Prefixed-Message" of gRPC over HTTP/2, not compressed. */
function frame(message: Uint8Array): Uint8Array {
  const framed = new Uint8Array(5 + message.length)
  new DataView(framed.buffer).setUint32(1, message.length)
  framed.set(message, 5)
  return framed
}

/** Takes the answer. */
class Asker implements Caller {
  readonly #done: (reply: Uint8Array | NoReply) => void
  #isOver = false
  #status: string | undefined
  #message: string | undefined
  #bytes = 0
  #parts: Uint8Array[] = []

  constructor(done: (reply: Uint8Array | NoReply) => void) {
    this.#done = done
  }

  settle(outcome: Uint8Array | NoReply): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#done(outcome)
  }

  respond({ status, fields }: ResponseHead): void {
    if (status !== 200) return this.settle({ why: `it answers ${status} and no gRPC` })
    this.#read(fields)
  }
  informational(): void {}
  data(bytes: Uint8Array): void {
    this.#bytes += bytes.length
    if (this.#bytes > maxReplyBytes) return this.settle({ why: `its reply is longer than ${maxReplyBytes} bytes` })
    // What is handed over is of a buffer that others write to.
    this.#parts.push(bytes.slice())
  }
  end(trailers: Fields): void {
    this.#read(trailers)
    if (this.#status === undefined) return this.settle({ why: 'its answer has no gRPC status' })
    if (this.#status !== '0') return this.settle({ why: `gRPC status ${this.#status}${this.#message ? `: ${plain(this.#message)}` : ''}` })
    const whole = this.#parts.length === 1 ? this.#parts[0]! : joined(this.#parts, this.#bytes)
    const length = whole.length < 5 ? -1 : new DataView(whole.buffer, whole.byteOffset).getUint32(1)
    if (whole[0] !== 0 || whole.length !== length + 5) return this.settle({ why: 'its reply is not one message' })
    this.settle(whole.subarray(5))
  }
  flush(): boolean {
    return true
  }
  readBody(): void {}
  abort(): void {
    this.settle({ why: 'it broke its answer off' })
  }

  #read(fields: Fields): void {
    this.#status ??= field(fields, 'grpc-status')
    this.#message ??= field(fields, 'grpc-message')
  }
}

/** "Percent-Encoded" of gRPC over HTTP/2. */
const plain = (message: string): string =>
  message.replaceAll(/(?:%[0-9A-Fa-f]{2})+/g, coded => Buffer.from(coded.replaceAll('%', ''), 'hex').toString())

function joined(parts: readonly Uint8Array[], length: number): Uint8Array {
  const whole = new Uint8Array(length)
  let at = 0
  for (const part of parts) {
    whole.set(part, at)
    at += part.length
  }
  return whole
}
