/** One call of gRPC that the proxy itself makes to a backend. */

import { concat } from '#base/bytes'
import type { Fields, ResponseHead } from '#wire/http1'
import { field } from '#wire/http1'
import type { Pools } from '../upstreams/pool.ts'
import { type NoReply, type OwnCall, send, serviceOf, Taker } from './own-call.ts'

/** path: `/package.Service/Method`. */
export type GrpcCall = OwnCall & { readonly path: string; readonly message: Uint8Array }

/** done: once, at the latest when the time is over. */
export function callGrpc(call: GrpcCall, pools: Pools, done: (reply: Uint8Array | NoReply) => void): void {
  const fields = ['host', serviceOf(call), 'content-type', 'application/grpc', 'te', 'trailers', 'grpc-timeout', `${call.timeoutMs}m`]
  send(call, 'grpc', { method: 'POST', target: call.path, minor: 1, fields }, frame(call.message), pools, new Asker(done))
}

/** "Length-Prefixed-Message" of gRPC over HTTP/2, not compressed. */
function frame(message: Uint8Array): Uint8Array {
  const framed = new Uint8Array(5 + message.length)
  new DataView(framed.buffer).setUint32(1, message.length)
  framed.set(message, 5)
  return framed
}

class Asker extends Taker<Uint8Array> {
  #status: string | undefined
  #message: string | undefined

  respond({ status, fields }: ResponseHead): void {
    if (status !== 200) return this.settle({ why: `it answers ${status} and no gRPC` })
    this.#read(fields)
  }
  end(trailers: Fields): void {
    this.#read(trailers)
    if (this.#status === undefined) return this.settle({ why: 'its answer has no gRPC status' })
    if (this.#status !== '0') return this.settle({ why: `gRPC status ${this.#status}${this.#message ? `: ${plain(this.#message)}` : ''}` })
    const whole = concat(this.parts)
    const length = whole.length < 5 ? -1 : new DataView(whole.buffer, whole.byteOffset).getUint32(1)
    if (whole[0] !== 0 || whole.length !== length + 5) return this.settle({ why: 'its reply is not one message' })
    this.settle(whole.subarray(5))
  }

  #read(fields: Fields): void {
    this.#status ??= field(fields, 'grpc-status')
    this.#message ??= field(fields, 'grpc-message')
  }
}

/** "Percent-Encoded" of gRPC over HTTP/2. */
const plain = (message: string): string =>
  message.replaceAll(/(?:%[0-9A-Fa-f]{2})+/g, coded => Buffer.from(coded.replaceAll('%', ''), 'hex').toString())
