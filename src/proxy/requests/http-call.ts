/** One request of HTTP that the proxy itself makes to a backend. */

import { concat } from '#base/bytes'
import type { Fields, ResponseHead } from '#wire/http1'
import { field } from '#wire/http1'
import type { Pools } from '../upstreams/pool.ts'
import { errorField } from './answer.ts'
import { type NoReply, type OwnCall, send, Taker } from './own-call.ts'

/** fields: with Host. */
export type HttpCall = OwnCall & { readonly method: string; readonly target: string; readonly fields: Fields; readonly body: Uint8Array }
export type HttpReply = { readonly status: number; readonly fields: Fields; readonly body: Uint8Array }

/** done: once, at the latest when the time is over. */
export function callHttp(call: HttpCall, pools: Pools, done: (reply: HttpReply | NoReply) => void): void {
  const { method, target, body } = call
  const fields = [...call.fields, 'content-length', String(body.length)]
  send(call, 'http', { method, target, minor: 1, fields }, body, pools, new Asker(done))
}

class Asker extends Taker<HttpReply> {
  #head: ResponseHead | undefined

  respond(head: ResponseHead): void {
    // A proxy on the way says that it never came there, or may not.
    const said = field(head.fields, errorField)
    if (said !== undefined) return this.settle({ why: `${said}: ${field(head.fields, 'x-weft-error-detail') ?? ''}` })
    this.#head = head
  }
  end(): void {
    if (this.#head === undefined) return this.settle({ why: 'it answers nothing' })
    const { status, fields } = this.#head
    this.settle({ status, fields, body: concat(this.parts) })
  }
}
