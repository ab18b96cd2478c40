/** An HTTP/1.1 server for the mesh's own APIs: bounded bodies, streams that end with their reader, nothing served to a web page of another origin. The only user of node:http servers. */

import http from 'node:http'
import https from 'node:https'
import type { AddressInfo, Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { TLSSocket } from 'node:tls'
import type { Handler, HttpReply, HttpRequest } from './http-server/contract.ts'
import { judgeOrigin } from './http-server/origin.ts'
import { peerOf, renewTls, type ServeTls, tlsOptions } from './http-server/tls.ts'
import { listenError } from './net.ts'

export type * from './http-server/contract.ts'
export { hostOf, isLoopback } from './http-server/origin.ts'

export class BodyTooLarge extends Error {
  readonly limit: number
  constructor(limit: number) {
    super(`the request body is larger than ${limit} bytes`)
    this.name = 'BodyTooLarge'
    this.limit = limit
  }
}

/** renew: the certificate, or the roots of clients, are others now. */
export type HttpServing = AsyncDisposable & { readonly host: string; readonly port: number; renew(): void; close(): Promise<void> }

export type ServeOptions = {
  readonly host: string
  /** 0: any free one. */
  readonly port: number
  readonly handler: Handler
  /** Absent: plain HTTP. */
  readonly tls?: ServeTls
  /** Names besides loopback ones under which a browser may reach it, such as `mesh.example.com`. */
  readonly allowedHosts?: () => readonly string[]
  /** Pages of other origins that may write, if they bring a token. */
  readonly allowedOrigins?: () => readonly string[]
  /** Open at once from one address; more are answered with 429. 2,048 unless said. */
  readonly connectionsPerAddress?: () => number
  /** Largest request body, in bytes: 3 MiB unless said, as the Kubernetes API. */
  readonly maxBody?: number
  /** Makes the reply to a refusal or an error of the server itself; plain text unless said. `bug` is present when `handler` threw. */
  readonly refuse?: (status: number, says: string, bug?: unknown) => HttpReply
  /** How long the head of a request may take, and all of it: 20 s and 60 s unless said. */
  readonly slowMs?: { readonly head: number; readonly whole: number }
}

/** Of all callers; beyond, connections are closed unread. */
const mostConnections = 10_000

/** What Node says of a request that it did not get to the end of. */
const troubles: Readonly<Record<string, readonly [status: number, says: string]>> = {
  ERR_HTTP_REQUEST_TIMEOUT: [408, 'the request took too long to arrive'],
  HPE_HEADER_OVERFLOW: [431, 'the head of the request is larger than 32 KiB'],
}

/** A reader this far behind is cut off: it will come back and read anew. */
const maxUnread = 16 * 1024 * 1024

/** Rejects with a sentence that names the port and what to do when it cannot listen. */
export async function serveHttp(options: ServeOptions): Promise<HttpServing> {
  const { host, port, tls, maxBody = 3 * 1024 * 1024, refuse = plainRefusal, connectionsPerAddress = () => 2048 } = options
  const closing = new AbortController()
  const timing = {
    keepAliveTimeout: 65_000,
    headersTimeout: options.slowMs?.head ?? 20_000,
    requestTimeout: options.slowMs?.whole ?? 60_000,
    connectionsCheckingInterval: Math.min(5000, options.slowMs?.head ?? 5000),
    maxHeaderSize: 32 * 1024,
  }
  const arrived = (incoming: http.IncomingMessage, outgoing: http.ServerResponse): void => {
    void answer(incoming, outgoing).catch(() => outgoing.destroy())
  }
  const secure = tls && https.createServer({ ...timing, ...tlsOptions(tls), handshakeTimeout: timing.headersTimeout }, arrived)
  const server = secure ?? http.createServer(timing, arrived)
  server.maxConnections = mostConnections
  const connections = new Map<string, number>()
  server.on('connection', (socket: Socket) => {
    const address = socket.remoteAddress ?? ''
    connections.set(address, (connections.get(address) ?? 0) + 1)
    socket.once('close', () => {
      const left = connections.get(address)! - 1
      if (left <= 0) connections.delete(address)
      else connections.set(address, left)
    })
  })
  server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
    const [status, says] = troubles[error.code ?? ''] ?? [400, 'what came is no HTTP request']
    // In the middle of an answer another one would be taken for a part of it.
    if (!socket.writable || error.code === 'ECONNRESET' || answering.has(socket)) return void socket.destroy()
    socket.end(asText(refuse(status, says)))
  })

  async function answer(incoming: http.IncomingMessage, outgoing: http.ServerResponse): Promise<void> {
    const gone = new AbortController()
    outgoing.once('close', () => gone.abort())
    const headers = oneEach(incoming.headers)
    const refused = judgeOrigin({
      method: incoming.method ?? 'GET',
      headers,
      boundTo: host,
      allowedHosts: options.allowedHosts?.() ?? [],
      allowedOrigins: options.allowedOrigins?.() ?? [],
    })
    const isTooMany = (connections.get(incoming.socket.remoteAddress ?? '') ?? 0) > connectionsPerAddress()
    if (isTooMany) outgoing.setHeader('connection', 'close').setHeader('retry-after', '1')
    const tooMany = `more than ${connectionsPerAddress()} connections from one address: close some, and try again`
    const reply = isTooMany
      ? refuse(429, tooMany)
      : refused
        ? refuse(403, refused)
        : await handle(incoming, headers, AbortSignal.any([gone.signal, closing.signal]))
    send(reply, incoming, outgoing, closing.signal)
  }

  async function handle(
    incoming: http.IncomingMessage,
    headers: Readonly<Record<string, string>>,
    signal: AbortSignal,
  ): Promise<HttpReply> {
    const [path = '/', query = ''] = splitOnce(incoming.url ?? '/', '?')
    const request = {
      method: incoming.method ?? 'GET',
      path,
      query: new URLSearchParams(query),
      headers,
      signal,
      address: incoming.socket.remoteAddress ?? '',
      isSecure: secure !== undefined,
      ...peerIn(incoming.socket),
      body: () => readBody(incoming, maxBody),
    }
    try {
      return await options.handler(request)
    } catch (thrown) {
      return thrown instanceof BodyTooLarge ? refuse(413, thrown.message) : refuse(500, 'internal error', thrown)
    }
  }

  const close = (): Promise<void> =>
    new Promise(done => {
      closing.abort()
      server.close(() => done())
      // What is under way gets a moment to finish; idle connections and then all others are cut.
      server.closeIdleConnections()
      setTimeout(() => server.closeAllConnections(), 500).unref()
    })
  return new Promise((resolve, reject) => {
    server.once('error', error => reject(listenError(error, host, port)))
    server.listen({ host, port }, () => {
      server.on('error', () => {})
      const renew = (): void => {
        if (secure && tls) renewTls(secure, tls)
      }
      resolve({ host, port: (server.address() as AddressInfo).port, renew, close, [Symbol.asyncDispose]: close })
    })
  })
}

const plainRefusal = (status: number, says: string): HttpReply => ({
  status,
  headers: { 'content-type': 'text/plain; charset=utf-8' },
  body: `${says}\n`,
})

/** A stream is being sent on these, which then serve nothing else. */
const answering = new WeakSet<Duplex>()

function send(reply: HttpReply, incoming: http.IncomingMessage, outgoing: http.ServerResponse, closing: AbortSignal): void {
  if (outgoing.destroyed) return
  const { status, headers = {}, body, stream } = reply
  for (const [name, value] of Object.entries(headers)) outgoing.setHeader(name, typeof value === 'string' ? value : [...value])
  // A body that nobody read would be taken for the next request.
  if (!incoming.complete) outgoing.setHeader('connection', 'close')
  if (!stream) {
    const bytes = typeof body === 'string' ? Buffer.from(body) : (body ?? Buffer.alloc(0))
    outgoing.writeHead(status, status === 204 || status === 304 ? {} : { 'content-length': bytes.length })
    outgoing.end(incoming.method === 'HEAD' ? undefined : bytes)
    return
  }
  outgoing.writeHead(status)
  outgoing.flushHeaders()
  answering.add(incoming.socket)
  closing.addEventListener('abort', () => outgoing.end(), { once: true })
  stream({
    write(text) {
      if (outgoing.destroyed || outgoing.writableEnded) return false
      outgoing.write(text)
      if (outgoing.writableLength <= maxUnread) return true
      outgoing.destroy()
      return false
    },
    end: () => void outgoing.end(),
  })
}

/** For a connection of which there is no response to write to. */
function asText({ status, headers = {}, body = '' }: HttpReply): string {
  const text = typeof body === 'string' ? body : Buffer.from(body).toString()
  const lines = Object.entries({ ...headers, 'content-length': String(Buffer.byteLength(text)), connection: 'close' })
  return `HTTP/1.1 ${status} ${http.STATUS_CODES[status] ?? ''}\r\n${lines.map(([name, value]) => `${name}: ${String(value)}\r\n`).join('')}\r\n${text}`
}

/** Asked once for each connection: the certificate stays what it was. */
const peers = new WeakMap<TLSSocket, ReturnType<typeof peerOf>>()
function peerIn(socket: Socket): Pick<HttpRequest, 'peer'> {
  if (!(socket instanceof TLSSocket)) return {}
  if (!peers.has(socket)) peers.set(socket, peerOf(socket))
  const peer = peers.get(socket)
  return peer === undefined ? {} : { peer }
}

async function readBody(incoming: http.IncomingMessage, limit: number): Promise<Uint8Array> {
  if (Number(incoming.headers['content-length'] ?? 0) > limit) throw new BodyTooLarge(limit)
  const parts: Buffer[] = []
  let length = 0
  for await (const part of incoming as AsyncIterable<Buffer>) {
    length += part.length
    if (length > limit) throw new BodyTooLarge(limit)
    parts.push(part)
  }
  return Buffer.concat(parts)
}

function oneEach(headers: http.IncomingHttpHeaders): Readonly<Record<string, string>> {
  return Object.fromEntries(
    Object.entries(headers).flatMap(([name, value]) =>
      value === undefined ? [] : [[name, Array.isArray(value) ? value.join(', ') : value]],
    ),
  )
}

function splitOnce(text: string, at: string): [string, string] {
  const found = text.indexOf(at)
  return found < 0 ? [text, ''] : [text.slice(0, found), text.slice(found + at.length)]
}
