/**
 * What stands for the pods behind a Gateway in Gateway API's conformance tests, knowing nothing of the mesh: one process that is several pods, told apart by their ports.
 * Each tells what arrived; to its standard output, so that copies of a request can be counted, and to who asked.
 */

import { createHash } from 'node:crypto'
import { createSocket } from 'node:dgram'
import { readFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { createServer as createHttp2 } from 'node:http2'
import { createServer as createHttps } from 'node:https'
import { createServer as createTcp, type Socket } from 'node:net'
import { createServer as createTls, type TLSSocket } from 'node:tls'
import * as grpc from '@grpc/grpc-js'

/** Ports of the pods one, two and three are these plus 0, 1 and 2. */
export const ports = { http: 3001, h2c: 3011, grpc: 3021, tcp: 3031, tls: 3041, udp: 3051, https: 3061 } as const
export const podNames = ['one', 'two', 'three'] as const
/** The service and the methods of the gRPC pods. */
export const grpcService = 'weft.conformance.Echo'

/** What arrived at a pod. sni: where it ends TLS. */
export type Echo = {
  readonly pod: string
  readonly namespace: string
  readonly method: string
  readonly path: string
  readonly host: string
  readonly headers: Readonly<Record<string, string>>
  readonly sni?: string
  readonly client?: string
}

const { NAMESPACE: namespace = '', CERT, KEY, CLIENT_CA } = process.env
const say = (line: string): void => void process.stdout.write(`${line}\n`)

/** How often each request that is to fail at first has come. */
const tries = new Map<string, number>()

function answer(pod: string, request: IncomingMessage, response: ServerResponse): void {
  const { method = '', url: path = '', socket } = request
  const asked = new URL(path, 'http://pod').searchParams
  const headers = Object.fromEntries(
    Object.entries(request.headers).map(([name, value]) => [name, [value].flat().join(',').replaceAll(', ', ',')]),
  )
  const secure = socket as Partial<TLSSocket>
  const echo: Echo = {
    pod,
    namespace,
    method,
    path,
    host: request.headers.host ?? String(request.headers[':authority'] ?? ''),
    headers,
    ...(typeof secure.servername === 'string' ? { sni: secure.servername } : {}),
    ...(secure.getPeerCertificate === undefined ? {} : { client: [secure.getPeerCertificate()?.subject?.CN ?? ''].flat().join() }),
  }
  say(`${pod} ${path}`)
  request.resume()
  for (const each of (headers['x-answer-with'] ?? '').split(';').filter(Boolean)) {
    const [name = '', value = ''] = each.split('=')
    response.setHeader(name, value)
  }
  const id = asked.get('id') ?? ''
  const before = tries.get(id) ?? 0
  if (asked.has('fails')) {
    tries.set(id, before + 1)
    if (before < Number(asked.get('times'))) response.statusCode = Number(asked.get('fails'))
  }
  response.setHeader('content-type', 'application/json')
  setTimeout(() => response.end(JSON.stringify(echo)), Number(asked.get('delayMs') ?? 0))
}

/** RFC 6455: frames below 126 bytes come back as they came. */
function echoFrames(request: IncomingMessage, socket: Socket): void {
  const key = `${request.headers['sec-websocket-key']}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`
  const accept = createHash('sha1').update(key).digest('base64')
  socket.write(`HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`)
  let waiting = Buffer.alloc(0)
  socket.on('error', () => {})
  socket.on('data', (bytes: Buffer) => {
    waiting = Buffer.concat([waiting, bytes])
    for (let size = (waiting[1] ?? 0) & 0x7f; waiting.length >= 6 + size && waiting.length > 1; size = (waiting[1] ?? 0) & 0x7f) {
      const mask = waiting.subarray(2, 6)
      const body = waiting.subarray(6, 6 + size).map((byte, at) => byte ^ mask[at % 4]!)
      socket.write(Buffer.concat([Buffer.of(waiting[0]!, size), body]))
      waiting = waiting.subarray(6 + size)
    }
  })
}

const raw = (bytes: Buffer): Buffer => bytes
const method = (path: string): grpc.MethodDefinition<Buffer, Buffer> => ({
  path,
  requestStream: false,
  responseStream: false,
  requestSerialize: raw,
  requestDeserialize: raw,
  responseSerialize: raw,
  responseDeserialize: raw,
})

function serveGrpc(pod: string, port: number): void {
  const server = new grpc.Server()
  const echo: grpc.handleUnaryCall<Buffer, Buffer> = (asked, done) => {
    const headers = Object.fromEntries(Object.keys(asked.metadata.getMap()).map(name => [name, asked.metadata.get(name).join(',')]))
    const said: Echo = { pod, namespace, method: 'POST', path: asked.getPath(), host: asked.getHost(), headers }
    done(null, Buffer.from(JSON.stringify(said)))
  }
  const names = ['Echo', 'EchoTwo', 'EchoThree']
  server.addService(
    Object.fromEntries(names.map(name => [name, method(`/${grpcService}/${name}`)])),
    Object.fromEntries(names.map(name => [name, echo])),
  )
  server.bindAsync(`127.0.0.1:${port}`, grpc.ServerCredentials.createInsecure(), fault => {
    if (fault) throw fault
  })
}

/** A line comes back with who had it. */
const echoLines = (pod: string) => (socket: Socket) => {
  socket.on('error', () => {})
  const sni = (socket as Partial<TLSSocket>).servername
  socket.on('data', line =>
    socket.write(`${JSON.stringify({ pod, namespace, line: String(line).trim(), sni: typeof sni === 'string' ? sni : '' })}\n`),
  )
}

if (process.argv[1] === import.meta.filename)
  for (const [index, pod] of podNames.entries()) {
    const server = createServer((request, response) => answer(pod, request, response))
    server.on('upgrade', (request, socket) => echoFrames(request, socket as Socket))
    server.listen(ports.http + index, '127.0.0.1')
    createHttp2((request, response) => answer(pod, request as unknown as IncomingMessage, response as unknown as ServerResponse)).listen(
      ports.h2c + index,
      '127.0.0.1',
    )
    serveGrpc(pod, ports.grpc + index)
    createTcp(echoLines(pod)).listen(ports.tcp + index, '127.0.0.1')
    const socket = createSocket('udp4')
    socket.on('message', (bytes, from) => socket.send(JSON.stringify({ pod, namespace, line: String(bytes) }), from.port, from.address))
    socket.bind(ports.udp + index, '127.0.0.1')
    if (CERT === undefined || KEY === undefined) continue
    const pair = { cert: readFileSync(CERT), key: readFileSync(KEY) }
    createTls(pair, echoLines(pod)).listen(ports.tls + index, '127.0.0.1')
    const asking = CLIENT_CA === undefined || pod !== 'three' ? {} : { ca: readFileSync(CLIENT_CA), requestCert: true }
    createHttps({ ...pair, ...asking }, (request, response) => answer(pod, request, response)).listen(ports.https + index, '127.0.0.1')
  }
