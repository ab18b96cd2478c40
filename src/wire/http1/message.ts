/** Messages of HTTP/1 and the events and commands of its codecs. */

import type { Failure } from '#base/failure'

/** Header fields in the order they came: name, value, name, value … Names keep the case of the peer. One flat array is the cheapest form on Node (72 ns a message against 283 for Map). */
export type Fields = readonly string[]

export type RequestHead = { readonly method: string; readonly target: string; readonly minor: 0 | 1; readonly fields: Fields }

export type ResponseHead = { readonly status: number; readonly reason: string; readonly minor: 0 | 1; readonly fields: Fields }

/** Bytes of a body: how many, or `chunked`, or `close` (a response that lasts until the connection ends), or 0 for none. */
export type Length = number | 'chunked' | 'close'

/** What a server reads. Every request has its `end`, one without a body at once. In a tunnel (an accepted CONNECT or Upgrade) all bytes are `data`, and a second `end` says that the peer sends no more. `upgrade`: the protocols offered, without those that are HTTP or TLS. `failed` is the last event: drain() then holds what is still owed to the peer, and the connection closes. */
export type ServerEvent =
  | {
      readonly type: 'request'
      readonly head: RequestHead
      readonly length: Length
      readonly expectsContinue: boolean
      readonly upgrade: string | undefined
    }
  | { readonly type: 'data'; readonly bytes: Uint8Array }
  | { readonly type: 'end'; readonly trailers: Fields }
  | { readonly type: 'failed'; readonly failure: Failure }

/** What a client reads. `informational`: 1xx other than 101. `response` with 101, or 2xx to CONNECT, begins a tunnel, whose `end` says that the peer sends no more. `failed` may also come between exchanges, when bytes answer nothing: the connection is of no more use. */
export type ClientEvent =
  | { readonly type: 'informational'; readonly head: ResponseHead }
  | { readonly type: 'response'; readonly head: ResponseHead; readonly length: Length; readonly keepsAlive: boolean }
  | { readonly type: 'data'; readonly bytes: Uint8Array }
  | { readonly type: 'end'; readonly trailers: Fields }
  | { readonly type: 'failed'; readonly failure: Failure }

export type ServerCommand =
  /** 1xx other than 101. Not written to an HTTP/1.0 client, which would not understand it. */
  | { readonly type: 'informational'; readonly head: ResponseHead }
  /**
   * The codec writes framing and Connection fields itself and drops those in `fields`. `close`: the connection ends after this response.
   * `isRestUnread`: what is still to come of the request is read by nobody, so the connection ends if there is any, and says so.
   * Status 101, possible when the request had `upgrade`, and 2xx to CONNECT begin a tunnel: then data until end, both ways. `upgrade`: the protocol of a 101, otherwise taken from
   * `fields` or from the request. To HEAD, and with 304, a Content-Length in `fields` is kept when `length` is 0; data for them, and for 204, is dropped.
   * Also possible before any request and after `failed` when no response has begun: it is then the last.
   */
  | {
      readonly type: 'response'
      readonly head: ResponseHead
      readonly length: Length
      readonly close?: boolean
      readonly isRestUnread?: boolean
      readonly upgrade?: string | undefined
    }
  | { readonly type: 'data'; readonly bytes: Uint8Array }
  /** Every response is ended by this, one without a body too. */
  | { readonly type: 'end'; readonly trailers?: Fields }

export type ClientCommand =
  /** `length`: not `close`. `upgrade`: what to offer, as the server's event named it. `close`: ask the peer to close after its response. Host must stand once in `fields`; without it an empty one is written. */
  | {
      readonly type: 'request'
      readonly head: RequestHead
      readonly length: Length
      readonly close?: boolean
      readonly upgrade?: string | undefined
    }
  | { readonly type: 'data'; readonly bytes: Uint8Array }
  /** Every request is ended by this, one without a body too. */
  | { readonly type: 'end'; readonly trailers?: Fields }

export interface Http1Codec<Event, Command> {
  /** Never throws for what a peer sent: that is a `failed` event, after which everything is discarded. */
  receive(bytes: Uint8Array): Event[]
  /** The peer will send no more: ends a body that lasts until then and a tunnel, is a failure inside a message, and nothing between messages. */
  receiveEnd(): Event[]
  /** Throws an Error when the command is out of order or cannot be written (CR, LF, NUL … in a field): that is a bug, or an attack that another codec let through. */
  send(command: Command): void
  /** What the peer is owed, in order; taking it empties it. A head and small pieces of body come as one array, pieces above 4 KiB as they were given. */
  drain(): Uint8Array[]
  /** False while bytes wait for the current exchange to end: stop reading from the peer. */
  readonly wantsBytes: boolean
  /** Between exchanges, with nothing begun. */
  readonly isIdle: boolean
  /** When the current exchange is over (or now, when idle) the connection must be closed. */
  readonly mustClose: boolean
  /** Bytes pass both ways without framing. */
  readonly tunnel: boolean
}

export type ServerCodec = Http1Codec<ServerEvent, ServerCommand>

export interface ClientCodec extends Http1Codec<ClientEvent, ClientCommand> {
  /** Completed on this connection. */
  readonly exchanges: number
  /** Some byte came back for the current request. A request may be sent again elsewhere when `exchanges > 0 && !isAnswered`: the peer closed an idle connection (RFC 9112 §9.3.1). */
  readonly isAnswered: boolean
}
