/** How large a request may be, where its route says so: what is told beforehand is refused before anything of it goes on, what comes without a length as soon as it is too much. */

import { Failure } from '#base/failure'
import type { Sizes } from '#model/route'
import type { Fields } from '#wire/http1'
import type { Exchange } from './exchange.ts'
import { isAdded } from './forwarding.ts'

/** Throws where the head says already that it is too large. */
export function bound(exchange: Exchange, { bodyBytes, headerCount, headerBytes }: Sizes): void {
  const { head, entry } = exchange
  // What the proxy before this one added is not the caller's, who kept within the limit there.
  const fields = entry.peer === undefined || (headerCount ?? headerBytes) === undefined ? head.fields : asSent(head.fields)
  if (headerCount !== undefined && fields.length / 2 > headerCount)
    throw new Failure('header-too-large', `${fields.length / 2} fields; ${headerCount} are taken`)
  if (headerBytes !== undefined) {
    let bytes = 0
    for (const text of fields) bytes += text.length
    if (bytes > headerBytes) throw new Failure('header-too-large', `${bytes} bytes of names and values; ${headerBytes} are taken`)
  }
  if (bodyBytes === undefined || exchange.upgrade !== undefined || exchange.method === 'CONNECT') return
  if (typeof exchange.length === 'number' && exchange.length > bodyBytes)
    throw new Failure('request-too-large', `${exchange.length} bytes are announced; ${bodyBytes} are taken`)
  exchange.maxBodyBytes = bodyBytes
}

const asSent = (fields: Fields): Fields => fields.filter((_, at) => !isAdded(fields[at & ~1]!))
