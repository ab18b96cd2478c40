/**
 * HTTP/2 as a sans-IO codec: bytes in, events out; commands in, bytes out. RFC 9113, RFC 7541 (by ./hpack.ts), RFC 8441. This file is the door; the theory stands here, the work in http2/.
 *
 * A connection carries many exchanges at once, each on a stream of its own. Three things are shared and must survive whatever happens to one stream: the header
 * tables (every block is decoded, also that of a stream which is refused), the connection's flow-control window (all bytes of DATA count, also those that are
 * thrown away), and the order of frames. What a peer does wrong ends the stream where RFC 9113 allows it, else the connection.
 *
 *   bytes ─▶ frames/read.ts: cuts frames, body bytes as they come ─▶ connection.ts: streams, windows, settings ─▶ server.ts | client.ts ─▶ events
 *            header blocks ─▶ head/read.ts: fields that are valid HTTP, so that they may be written as HTTP/1
 *   commands ─▶ server.ts | client.ts ─▶ head/write.ts, streams/send.ts: heads at once, bodies in turn when drained ─▶ output.ts ─▶ bytes
 *
 * Driving it: receive(bytes) and act on the events; send() what is to be said; once a turn of the event loop write what drain() gives. When the socket is full do not
 * drain (or give drain() the room that is left) and do not receive: what is owed then stays bounded. After drain() look at `hasEvents`: if so, receive(no bytes), act, and drain again.
 * Call consumed() as body bytes are passed on: nothing else lets the peer send more. Call tick() about once a second: it forgives the small sins of long connections.
 * Events may view the array that was received. Data given to send() may be handed out again by drain(), now or after the peer opened its window: it must stay as it
 * is until written, or be sent with `isLent`.
 */

export { clientCodec2 } from './http2/client.ts'
export { errorCodes, type ErrorCode } from './http2/codes.ts'
export type { Limits2 } from './http2/limits.ts'
export { serverCodec2 } from './http2/server.ts'
export type {
  BodyCommand2,
  BodyEvent2,
  ClientCodec2,
  ClientCommand2,
  ClientEvent2,
  Http2Codec,
  Length2,
  Request2,
  ServerCodec2,
  ServerCommand2,
  ServerEvent2,
} from './http2/codec.ts'
