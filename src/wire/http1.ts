/**
 * HTTP/1.x as a sans-IO codec: bytes in, events out; commands in, bytes out. RFC 9112 and RFC 9110. This file is the door; the theory stands here, the work in http1/.
 *
 * A connection carries one exchange after the other. A message is read strictly and always written anew, never passed on as it came: what two programs on
 * the way could understand differently (two lengths, a length and chunks, a bare LF, a folded line …) ends the connection, so no request hides in another.
 * Each side runs two machines, one for what it reads and one for what it writes (http1/state.ts). Both must be done before the next exchange begins; bytes
 * of a pipelined request wait until then (`wantsBytes`).
 *
 *   bytes ─▶ read.ts: finds heads, cuts bodies (chunked.ts) ─▶ head.ts: lines and fields ─▶ server.ts | client.ts: framing, order, events
 *   commands ─▶ server.ts | client.ts ─▶ write.ts: field lines, body framing, one array for many small pieces ─▶ bytes
 *
 * Driving it: receive(bytes) and act on the events; after every send(), if not wantsBytes then receive(no bytes) once more, and write what drain() gives.
 * Events may view the array that was received, and drained arrays may be the data that was sent: neither may be overwritten before it is written out.
 */

export { serverCodec } from './http1/server.ts'
export { clientCodec } from './http1/client.ts'
export { emptyLabel, isNeverTrailing, namesHttp } from './http1/head.ts'
export { field, fieldValues, forwardable, listed, withField, withoutField } from './http1/fields.ts'
export type {
  ClientCodec,
  ClientCommand,
  ClientEvent,
  Fields,
  Http1Codec,
  Length,
  RequestHead,
  ResponseHead,
  ServerCodec,
  ServerCommand,
  ServerEvent,
} from './http1/message.ts'
