/** The events and commands of the codecs of HTTP/2. */

import type { Failure } from '#base/failure'
import type { Fields, RequestHead, ResponseHead } from '../http1.ts'

/** Bytes of a body: how many, or `chunked` when that is not known beforehand, or 0 for none. Named as in http1.ts. */
export type Length2 = number | 'chunked'

/**
 * What a server reads. Every request has its `end` or its `reset`, one without a body its `end` at once. The head has minor 1 and names in lower case; its first field is
 * `host`, made of :authority; several `cookie` are one. `protocol`: an extended CONNECT (RFC 8441), whose target is its path; it and CONNECT are answered by 2xx and are then a tunnel.
 */
export type ServerEvent2 =
  | {
      readonly type: 'request'
      readonly stream: number
      readonly head: RequestHead
      /** `''` for CONNECT, which has none. */
      readonly scheme: string
      readonly length: Length2
      readonly protocol: string | undefined
      readonly expectsContinue: boolean
    }
  /** A request that never became one: it was malformed or a limit was reached; it is answered already (431 or a reset). To be counted, nothing is to be done. */
  | { readonly type: 'refused'; readonly stream: number; readonly failure: Failure }
  | BodyEvent2

export type ClientEvent2 =
  | { readonly type: 'informational'; readonly stream: number; readonly head: ResponseHead }
  | { readonly type: 'response'; readonly stream: number; readonly head: ResponseHead; readonly length: Length2 }
  /** The peer's settings came or changed: `canOpen` and `allowsProtocol` may have. */
  | { readonly type: 'settings' }
  | BodyEvent2

export type BodyEvent2 =
  | { readonly type: 'data'; readonly stream: number; readonly bytes: Uint8Array }
  | { readonly type: 'end'; readonly stream: number; readonly trailers: Fields }
  /**
   * The stream is gone; what is still sent on it is dropped. `code`: RFC 9113 §7. `failure`: this codec ended it because of what the peer did. `isSafe`: a request that the peer did not process
   * (REFUSED_STREAM, or above the last one of its GOAWAY). With NO_ERROR after the `end` of a response the server needs no more of the request (§8.1).
   */
  | {
      readonly type: 'reset'
      readonly stream: number
      readonly code: number
      readonly isSafe: boolean
      readonly failure: Failure | undefined
    }
  /** More body may be sent, where `isWritable` said no. */
  | { readonly type: 'writable'; readonly stream: number }
  /** The peer opens (server) or accepts (client) no more streams; those up to `last` go on. */
  | { readonly type: 'goaway'; readonly last: number; readonly code: number }
  | { readonly type: 'pong'; readonly token: number }
  /** The last event: all streams are gone. drain() holds what is still owed to the peer, then the connection closes. */
  | { readonly type: 'failed'; readonly failure: Failure }

/**
 * Names are written in lower case; Connection and the fields that belong to it, Host and Content-Length in `fields` are dropped: the codec writes what takes their place. A command for a stream that
 * has ended meanwhile does nothing. `isEnd`: no body and no trailers follow, and no `end` may; it spares a frame.
 */
export type ServerCommand2 =
  | { readonly type: 'informational'; readonly stream: number; readonly head: ResponseHead }
  /** To HEAD, and with 304, a Content-Length in `fields` is kept when `length` is 0; data for them, and for 204, is dropped. */
  | { readonly type: 'response'; readonly stream: number; readonly head: ResponseHead; readonly length: Length2; readonly isEnd?: boolean }
  | BodyCommand2

export type ClientCommand2 = BodyCommand2

export type BodyCommand2 =
  /** `isLent`: the bytes are overwritten after the next drain(), so what cannot leave by then is copied. */
  | { readonly type: 'data'; readonly stream: number; readonly bytes: Uint8Array; readonly isLent?: boolean }
  /** A response that ends before its request has ended resets the stream with NO_ERROR behind it (RFC 9113 §8.1), unless it is a tunnel. */
  | { readonly type: 'end'; readonly stream: number; readonly trailers?: Fields }
  /** What is queued is dropped. Also: what was received and never consumed is no longer wanted. */
  | { readonly type: 'reset'; readonly stream: number; readonly code: number }
  /** With NO_ERROR: no new streams from some round trip on, those that are open end; a second one waits no longer for that round trip. Otherwise the connection is over at once. */
  | { readonly type: 'goaway'; readonly code: number }
  /** token: a whole number below 2³²; comes back as `pong`. */
  | { readonly type: 'ping'; readonly token: number }

/** `fields`: Host becomes :authority. `protocol`: an extended CONNECT, only when `allowsProtocol`; `head.method` is then CONNECT and `head.target` the path. */
export type Request2 = {
  readonly head: RequestHead
  readonly scheme: string
  readonly length: Length2
  readonly protocol?: string | undefined
  readonly isEnd?: boolean
}

export interface Http2Codec<Event, Command> {
  /** Never throws for what a peer sent: that is a `reset`, `refused` or `failed` event. */
  receive(bytes: Uint8Array): Event[]
  /** The peer will send no more: streams whose message is incomplete are reset; a client's connection fails with open streams. */
  receiveEnd(): Event[]
  /** Throws an Error when the command is out of order or cannot be written: a bug, or an attack that another codec let through. */
  send(command: Command): void
  /**
   * What the peer is owed, in order; taking it empties it. Frames, heads and small pieces of body come as one array, pieces above 4 KiB as they were given. Streams with queued data take turns.
   * room: how many bytes of body to take at most (one frame more may come); heads and control frames always come.
   */
  drain(room?: number): Uint8Array[]
  /** The reader has passed on body bytes of a stream: the peer may send as many more. */
  consumed(stream: number, bytes: number): void
  /**
   * Whether more body may be sent now: little is queued and the windows are open. When not, a `writable` event follows; if the message is ended before that, it
   * follows when all of it is written. False for a stream that is gone.
   */
  isWritable(stream: number): boolean
  /** Bytes of body that were sent and are not drained yet. */
  queued(stream: number): number
  /** A monotonic clock, in milliseconds, about once a second. */
  tick(nowMs: number): void
  /** drain() made events (`writable`): receive(no bytes) tells them. */
  readonly hasEvents: boolean
  /** Something is owed to the peer. */
  readonly wantsDrain: boolean
  readonly openStreams: number
  /** A header block has begun and has not ended: nothing else can come on the connection. */
  readonly isMidHead: boolean
  /** A GOAWAY was sent or received. */
  readonly isDraining: boolean
  /** Nothing more will happen: write what drain() gives and close. */
  readonly mustClose: boolean
}

export type ServerCodec2 = Http2Codec<ServerEvent2, ServerCommand2>

export interface ClientCodec2 extends Http2Codec<ClientEvent2, ClientCommand2> {
  /** Begins a request and returns its stream. Ask `canOpen` first. */
  open(request: Request2): number
  readonly canOpen: boolean
  /** How many streams may be opened now. */
  readonly room: number
  /** The peer takes extended CONNECT (RFC 8441). */
  readonly allowsProtocol: boolean
}
