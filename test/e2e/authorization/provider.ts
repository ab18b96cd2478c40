/** An authorization service made by hand, of gRPC and of HTTP, which answers what the path of the request asks for: also what no honest one would. */

import http from 'node:http'
import http2 from 'node:http2'
import net, { type AddressInfo } from 'node:net'
import { create, fromBinary, type MessageInitShape, toBinary } from '@bufbuild/protobuf'
import { type CheckRequest, CheckRequestSchema, CheckResponseSchema } from '../../../src/xds/gen/envoy/service/auth/v3/external_auth_pb.ts'

export type Answer = MessageInitShape<typeof CheckResponseSchema>
/** What it was asked: of gRPC the request, of HTTP what came. */
export type AskedHttp = { readonly method: string; readonly url: string; readonly headers: http.IncomingHttpHeaders; readonly body: string }

/** bytes: in place of a message. A string: a status of gRPC. 'never': no answer. 'reset': the stream is broken off. */
export type Reply = Answer | { readonly bytes: Uint8Array } | { readonly grpcStatus: number } | 'never' | 'reset'

export type Provider = AsyncDisposable & {
  readonly grpc: number
  readonly http: number
  readonly asked: CheckRequest[]
  readonly askedHttp: AskedHttp[]
  /** How many connections of gRPC there were. */
  readonly sessions: () => number
}

const field = (key: string, value: string) => ({ header: { key, value } })
const ok = (value: NonNullable<Extract<Answer['httpResponse'], { case: 'okResponse' }>>['value'] = {}): Answer => ({
  status: { code: 0 },
  httpResponse: { case: 'okResponse', value },
})

/** By the last segment of the path. */
export function replyTo(path: string): Reply {
  switch (new URL(path, 'http://x').pathname.split('/').at(-1)) {
    case 'no':
      return { status: { code: 7 } }
    case 'login':
      return {
        status: { code: 16 },
        httpResponse: {
          case: 'deniedResponse',
          value: { status: { code: 302 as never }, headers: [field('location', 'https://login.test/?a=b'), field('set-cookie', 'a=1')] },
        },
      }
    case 'teapot':
      return {
        status: { code: 7 },
        httpResponse: {
          case: 'deniedResponse',
          value: { status: { code: 418 as never }, headers: [field('x-why', 'tea')], body: 'short and stout' },
        },
      }
    case 'headers':
      return ok({
        headers: [field('x-user', 'ann'), { header: { key: 'x-team', value: 'north' }, append: true }, field('x-raw', 'é')],
        headersToRemove: ['x-secret', 'authorization'],
        responseHeadersToAdd: [field('x-left', '7')],
      })
    case 'query':
      return ok({ queryParametersToSet: [{ key: 'user', value: 'ann' }], queryParametersToRemove: ['token'] })
    case 'newline-name':
      return ok({ headers: [field('x-a\r\nx-admin', 'yes')] })
    case 'newline-value':
      return ok({ headers: [field('x-a', 'b\r\nx-admin: yes')] })
    case 'no-name':
      return ok({ headers: [field('', 'b')] })
    case 'pseudo':
      return ok({ headers: [field(':path', '/admin')] })
    case 'host':
      return ok({ headers: [field('host', 'admin')] })
    case 'framing':
      return ok({ headers: [field('content-length', '3')] })
    case 'hop':
      return ok({ headers: [field('connection', 'x-user')] })
    case 'caller':
      return ok({ headers: [field('x-forwarded-client-cert', 'URI=spiffe://root')] })
    case 'huge':
      return ok({ headers: [field('x-huge', 'x'.repeat(100_000))] })
    case 'empty':
      return { bytes: new Uint8Array(0) }
    case 'garbage':
      return { bytes: Uint8Array.of(0xff, 0xff, 0xff, 1, 2, 3) }
    case 'failing':
      return { grpcStatus: 13 }
    case 'slow':
      return 'never'
    case 'reset':
      return 'reset'
    default:
      return ok()
  }
}

/** byPeer: of connections, there are no paths. */
export async function startProvider(byPeer: (asked: CheckRequest) => Reply = () => ok()): Promise<Provider> {
  const asked: CheckRequest[] = []
  const askedHttp: AskedHttp[] = []
  const sockets = new Set<net.Socket>()
  const calls = http2.createServer()
  calls.on('sessionError', () => {})
  let sessions = 0
  calls.on('session', () => sessions++)
  calls.on('stream', async (stream: http2.ServerHttp2Stream) => {
    stream.on('error', () => {})
    const body = Buffer.concat((await stream.toArray().catch(() => [])) as Buffer[])
    if (body.length < 5) return stream.destroy()
    const request = fromBinary(CheckRequestSchema, body.subarray(5))
    asked.push(request)
    const path = request.attributes?.request?.http?.path
    const reply = path === undefined ? byPeer(request) : replyTo(path)
    if (reply === 'never') return
    if (reply === 'reset') return stream.close(http2.constants.NGHTTP2_INTERNAL_ERROR)
    const type = { ':status': 200, 'content-type': 'application/grpc' }
    if ('grpcStatus' in reply) return stream.respond({ ...type, 'grpc-status': String(reply.grpcStatus) }, { endStream: true })
    const message = 'bytes' in reply ? reply.bytes : toBinary(CheckResponseSchema, create(CheckResponseSchema, reply))
    const framed = Buffer.alloc(5 + message.length)
    framed.writeUInt32BE(message.length, 1)
    framed.set(message, 5)
    stream.respond(type, { waitForTrailers: true })
    stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }))
    stream.end(framed)
  })
  const requests = http.createServer(async (ask, reply) => {
    const body = Buffer.concat((await ask.toArray().catch(() => [])) as Buffer[]).toString()
    askedHttp.push({ method: ask.method ?? '', url: ask.url ?? '', headers: ask.headers, body })
    switch (new URL(ask.url ?? '', 'http://x').pathname.split('/').at(-1)) {
      case 'no':
        return reply.writeHead(403).end()
      case 'login':
        return reply.writeHead(302, ['location', 'https://login.test/', 'set-cookie', 'a=1', 'set-cookie', 'b=2']).end()
      case 'teapot':
        return reply.writeHead(418, { 'x-why': 'tea' }).end('short and stout')
      case 'failing':
        return reply.writeHead(500).end('oh')
      case 'created':
        return reply.writeHead(201).end()
      case 'headers':
        return reply.writeHead(200, { 'x-user': 'ann', 'x-left': '7', 'x-other': 'no', connection: 'x-user-2' }).end('yes')
      case 'huge':
        return reply.writeHead(200, { 'x-user': 'x'.repeat(14_000) }).end()
      case 'garbage':
        return void ask.socket.end('nonsense\r\n\r\n')
      case 'slow':
        return
      case 'reset':
        return void ask.socket.destroy()
      default:
        return reply.writeHead(200).end()
    }
  })
  for (const server of [calls, requests])
    server.on('connection', (socket: net.Socket) => {
      sockets.add(socket)
      socket.once('close', () => sockets.delete(socket))
    })
  for (const server of [calls, requests]) await new Promise<void>(done => server.listen(0, '127.0.0.1', done))
  const portOf = (server: net.Server): number => (server.address() as AddressInfo).port
  return {
    grpc: portOf(calls),
    http: portOf(requests),
    asked,
    askedHttp,
    sessions: () => sessions,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      for (const server of [calls, requests]) if (server.listening) await new Promise(done => server.close(done))
    },
  }
}
