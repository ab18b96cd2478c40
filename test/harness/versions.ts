/** Callers and workloads of either version of HTTP, by Node's own client and server, with two proxies and mutual TLS between them. */

import { once } from 'node:events'
import http from 'node:http'
import http2 from 'node:http2'
import net, { type AddressInfo } from 'node:net'
import type { Limits } from '../../src/proxy/place.ts'
import { inboundSide, materials, type OutboundSide, outboundSide, remote, type Side } from './pair.ts'

export type Version = 'http1' | 'http2'
export const combinations: readonly (readonly [Version, Version])[] = [
  ['http1', 'http1'],
  ['http1', 'http2'],
  ['http2', 'http1'],
  ['http2', 'http2'],
]

/** Megabytes: Node refuses streams when it holds more, and it holds the whole body that it was given. */
const maxSessionMemory = 200

/** What both versions of Node's servers give to a handler. `stream`: of HTTP/2. */
export type Ask = http.IncomingMessage
export type Reply = http.ServerResponse & { readonly stream?: http2.ServerHttp2Stream }
export type Handler = (ask: Ask, reply: Reply) => void

export type Workload = AsyncDisposable & { readonly port: number; readonly server: http.Server | http2.Http2Server }

/** port 0: any free one. A request that expects 100-continue is handled as any other: the handler says when to go on. */
export async function workload(version: Version, handler: Handler, settings: http2.Settings = {}, port = 0): Promise<Workload> {
  const server =
    version === 'http1'
      ? http.createServer({ keepAliveTimeout: 60_000 }, handler)
      : http2.createServer({ maxSessionMemory, settings: { enableConnectProtocol: true, ...settings } }, handler as never)
  const sockets = new Set<net.Socket>()
  server.on('checkContinue', handler as never)
  server.on('connection', (socket: net.Socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
  })
  server.on('sessionError', () => {})
  await new Promise<void>(done => server.listen(port, '127.0.0.1', done))
  return {
    port: (server.address() as AddressInfo).port,
    server,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      if (server.listening) await new Promise(done => server.close(done))
    },
  }
}

export type Pair = AsyncDisposable & { readonly inside: Side; readonly outside: OutboundSide; readonly port: number }

/** Callers come to `port`; the workload is spoken to in `to`. */
export async function pairTo(appPort: number, to: Version | 'downstream', limits?: Partial<Limits>): Promise<Pair> {
  const certificates = await materials('web', 'shop')
  const inside = await inboundSide('web', appPort, 'http', certificates['web']!, limits, to)
  const outside = await outboundSide('shop', certificates['shop']!, 'http', remote('web', [inside.port], { protocol: to }), limits)
  return {
    inside,
    outside,
    port: outside.port,
    async [Symbol.asyncDispose]() {
      await outside[Symbol.asyncDispose]()
      await inside.core[Symbol.asyncDispose]()
    },
  }
}

export type Answer = {
  readonly status: number
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly body: Buffer
  readonly trailers: Readonly<Record<string, string | string[] | undefined>>
  /** Status and fields of answers before the final one. */
  readonly before: readonly { readonly status: number; readonly headers: Readonly<Record<string, unknown>> }[]
}

export type Question = {
  readonly method?: string
  readonly headers?: Readonly<Record<string, string | number>>
  readonly body?: Buffer
  readonly trailers?: Readonly<Record<string, string>>
  /** The body is sent only after a 100. */
  readonly awaitsContinue?: boolean
}

export type Client = Disposable & {
  ask(path: string, question?: Question): Promise<Answer>
  /** A request of which the body is the caller's to write and to break off. */
  open(path: string, question?: Question): http.ClientRequest | http2.ClientHttp2Stream
}

export const client = (version: Version, port: number): Client => (version === 'http1' ? client1(port) : client2(port))

function client1(port: number): Client {
  const agent = new http.Agent({ keepAlive: true })
  const open = (path: string, { method = 'GET', headers = {} }: Question = {}) =>
    http.request({ host: '127.0.0.1', port, agent, path, method, headers: { host: 'web', ...headers } })
  return {
    open,
    ask: (path, question = {}) =>
      new Promise((resolve, reject) => {
        const request = open(path, question)
        const before: Answer['before'][number][] = []
        request.on('error', reject)
        request.on('information', ({ statusCode, headers }) => before.push({ status: statusCode, headers }))
        request.on('response', response => {
          const chunks: Buffer[] = []
          response.on('error', reject).on('data', (chunk: Buffer) => chunks.push(chunk))
          response.on('end', () =>
            resolve({
              status: response.statusCode!,
              headers: response.headers,
              body: Buffer.concat(chunks),
              trailers: response.trailers,
              before,
            }),
          )
        })
        const send = () => {
          if (question.trailers !== undefined) request.addTrailers(question.trailers)
          request.end(question.body)
        }
        if (question.awaitsContinue) {
          request.flushHeaders()
          request.on('continue', send)
        } else send()
      }),
    [Symbol.dispose]: () => agent.destroy(),
  }
}

function client2(port: number): Client {
  let kept: http2.ClientHttp2Session | undefined
  const session = () => {
    if (kept === undefined || kept.closed || kept.destroyed)
      kept = http2.connect(`http://127.0.0.1:${port}`, { maxSessionMemory }).on('error', () => {})
    return kept
  }
  const open = (path: string, { method = 'GET', headers = {}, trailers, body, awaitsContinue }: Question = {}) =>
    session().request(
      { ':path': path, ':method': method, ':authority': 'web', ...headers },
      {
        endStream: (method === 'GET' || method === 'HEAD') && body === undefined && !awaitsContinue,
        waitForTrailers: trailers !== undefined,
      },
    )
  return {
    open,
    ask: (path, question = {}) =>
      new Promise((resolve, reject) => {
        const stream = open(path, question)
        const before: Answer['before'][number][] = []
        const chunks: Buffer[] = []
        let head: http2.IncomingHttpHeaders = {}
        let trailers: http2.IncomingHttpHeaders = {}
        stream.on('error', reject)
        stream.on('headers', headers => before.push({ status: Number(headers[':status']), headers }))
        stream.on('response', headers => (head = headers))
        stream.on('trailers', headers => (trailers = headers))
        stream.on('data', (chunk: Buffer) => chunks.push(chunk))
        stream.on('end', () => resolve({ status: Number(head[':status']), headers: head, body: Buffer.concat(chunks), trailers, before }))
        stream.on('wantTrailers', () => stream.sendTrailers({ ...question.trailers }))
        const send = () => void (stream.writable && stream.end(question.body))
        if (question.awaitsContinue) stream.on('continue', send)
        else send()
      }),
    [Symbol.dispose]: () => kept?.destroy(),
  }
}

/** Waits for what another process or connection does, in its own time. */
export async function until(what: () => boolean, says: string, ms = 10_000): Promise<void> {
  const end = performance.now() + ms
  while (!what()) {
    if (performance.now() > end) throw new Error(`not within ${ms} ms: ${says}`)
    await new Promise(done => setTimeout(done, 10))
  }
}

/** The sum of a metric's samples whose labels match. */
export function counted(side: Side, name: string, labels: RegExp = /./): number {
  let sum = 0
  for (const line of side.core.meter.registry.text().split('\n'))
    if (line.startsWith(`${name}{`) && labels.test(line)) sum += Number(line.slice(line.lastIndexOf(' ') + 1))
  return sum
}

export const closed = (emitter: NodeJS.EventEmitter): Promise<unknown> => once(emitter, 'close')
