/** An HTTP/1.1 server for the mesh's own APIs: bounded bodies, streams that end with their reader, nothing served to a web page of another origin. The only user of node:http servers. */

import http from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Handler, HttpReply } from './http-server/contract.ts'
import { judgeOrigin } from './http-server/origin.ts'
import { listenError } from './net.ts'

export type * from './http-server/contract.ts'

export class BodyTooLarge extends Error {
  readonly limit: number
  constructor(limit: number) {
    super(`the request body is larger than ${limit} bytes`)
    this.name = 'BodyTooLarge'
    this.limit = limit
  }
}

export type HttpServing = AsyncDisposable & { readonly host: string; readonly port: number; close(): Promise<void> }

export type ServeOptions = {
  readonly host: string
  /** 0: any free one. */
  readonly port: number
  readonly handler: Handler
  /** Names besides loopback ones under which a browser may reach it, such as `mesh.example.com`. */
  readonly allowedHosts?: readonly string[]
  /** Largest request body, in bytes: 3 MiB unless said, as the Kubernetes API. */
  readonly maxBody?: number
  /** Makes the reply to a refusal or an error of the server itself; plain text unless said. `bug` is present when `handler` threw. */
  readonly refuse?: (status: number, says: string, bug?: unknown) => HttpReply
}

/** A reader this far behind is cut off: it will come back and read anew. */
const maxUnread = 16 * 1024 * 1024

/** Rejects with a sentence that names the port and what to do when it cannot listen. */
export async function serveHttp(options: ServeOptions): Promise<HttpServing> {
  const { host, port, maxBody = 3 * 1024 * 1024, refuse = plainRefusal } = options
  const closing = new AbortController()
  const server = http.createServer(
    { keepAliveTimeout: 65_000, headersTimeout: 20_000, requestTimeout: 60_000, maxHeaderSize: 32 * 1024 },
    (incoming, outgoing) => {
      void answer(incoming, outgoing).catch(() => outgoing.destroy())
    },
  )

  async function answer(incoming: http.IncomingMessage, outgoing: http.ServerResponse): Promise<void> {
    const gone = new AbortController()
    outgoing.once('close', () => gone.abort())
    const headers = oneEach(incoming.headers)
    const refused = judgeOrigin({ method: incoming.method ?? 'GET', headers, boundTo: host, allowedHosts: options.allowedHosts ?? [] })
    const reply = refused ? refuse(403, refused) : await handle(incoming, headers, AbortSignal.any([gone.signal, closing.signal]))
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
      resolve({ host, port: (server.address() as AddressInfo).port, close, [Symbol.asyncDispose]: close })
    })
  })
}

const plainRefusal = (status: number, says: string): HttpReply => ({
  status,
  headers: { 'content-type': 'text/plain; charset=utf-8' },
  body: `${says}\n`,
})

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
