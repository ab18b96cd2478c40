/** Callers of a Gateway that know nothing of the mesh: HTTP/1.1 and HTTP/2 in plaintext and over TLS, gRPC, lines over TCP and TLS, datagrams. */

import { createSocket } from 'node:dgram'
import { request as httpRequest } from 'node:http'
import { connect as connectHttp2 } from 'node:http2'
import { request as httpsRequest } from 'node:https'
import { connect as connectTcp, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import * as grpc from '@grpc/grpc-js'
import { type Echo, grpcService } from './edge-pods.ts'

/** tls: over TLS, with the name that is asked for (SNI). version: of HTTP. */
export type Asked = {
  readonly host?: string
  readonly path?: string
  readonly method?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly tls?: { readonly sni: string; readonly cert?: string; readonly key?: string }
  readonly version?: 1 | 2
}
/** status: 0 where there was no answer. */
export type Reply = {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly echo?: Echo
  readonly error?: string
}

const patienceMs = 20_000
const failed = (error: Error): Reply => ({ status: 0, headers: {}, error: error.message })
const replyOf = (status: number, headers: object, text: string): Reply => ({
  status,
  headers: Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, [value].flat().join(', ')])),
  ...(text.startsWith('{') ? { echo: JSON.parse(text) as Echo } : {}),
})

/** ca: PEM, of whom the server's certificate must be. */
export const fetchFrom = (address: string, port: number, asked: Asked & { readonly ca: string }): Promise<Reply> =>
  asked.version === 2 ? overHttp2(address, port, asked) : overHttp1(address, port, asked)

function overHttp1(
  address: string,
  port: number,
  { host, path = '/', method = 'GET', headers = {}, tls, ca }: Asked & { readonly ca: string },
): Promise<Reply> {
  return new Promise(resolve => {
    const options = { host: address, port, path, method, agent: false, headers: { ...(host === undefined ? {} : { host }), ...headers } }
    const secure = { ca, servername: tls?.sni ?? '', ...(tls?.cert === undefined ? {} : { cert: tls.cert, key: tls.key ?? '' }) }
    const asked = (tls === undefined ? httpRequest : httpsRequest)({ ...options, ...(tls === undefined ? {} : secure) }, response => {
      const parts: Buffer[] = []
      response.on('data', (part: Buffer) => parts.push(part))
      response.on('end', () => resolve(replyOf(response.statusCode ?? 0, response.headers, Buffer.concat(parts).toString())))
      response.on('error', error => resolve(failed(error)))
    })
    asked.setTimeout(patienceMs, () => asked.destroy(new Error('no answer')))
    asked.on('error', error => resolve(failed(error)))
    asked.end()
  })
}

function overHttp2(
  address: string,
  port: number,
  { host, path = '/', method = 'GET', headers = {}, tls, ca }: Asked & { readonly ca: string },
): Promise<Reply> {
  return new Promise(resolve => {
    const session = connectHttp2(
      `${tls === undefined ? 'http' : 'https'}://${address}:${port}`,
      tls === undefined ? {} : { ca, servername: tls.sni },
    )
    const end = (reply: Reply) => {
      session.destroy()
      resolve(reply)
    }
    session.on('error', error => end(failed(error)))
    const stream = session.request({ ':path': path, ':method': method, ':authority': host ?? address, ...headers })
    const parts: Buffer[] = []
    let head: Record<string, unknown> = {}
    stream.on('response', fields => (head = fields as Record<string, unknown>))
    stream.on('data', (part: Buffer) => parts.push(part))
    stream.on('end', () => end(replyOf(Number(head[':status'] ?? 0), head, Buffer.concat(parts).toString())))
    stream.on('error', error => end(failed(error)))
    stream.setTimeout(patienceMs, () => end(failed(new Error('no answer'))))
    stream.end()
  })
}

const raw = (bytes: Buffer): Buffer => bytes

/** code: of gRPC; 0 is OK. */
export function call(
  target: string,
  {
    authority,
    headers = {},
    method = 'Echo',
  }: { readonly authority?: string; readonly headers?: Readonly<Record<string, string>>; readonly method?: string },
): Promise<{ readonly code: number; readonly echo?: Echo; readonly error?: string }> {
  const options = authority === undefined ? {} : { 'grpc.default_authority': authority }
  const client = new grpc.Client(target, grpc.credentials.createInsecure(), options)
  const metadata = new grpc.Metadata()
  for (const [name, value] of Object.entries(headers)) metadata.add(name, value)
  return new Promise(resolve =>
    client.makeUnaryRequest(
      `/${grpcService}/${method}`,
      raw,
      raw,
      Buffer.alloc(0),
      metadata,
      { deadline: Date.now() + patienceMs },
      (fault, answer) => {
        client.close()
        resolve(
          fault !== null || answer === undefined
            ? { code: fault?.code ?? 2, error: fault?.message ?? '' }
            : { code: 0, echo: JSON.parse(answer.toString()) as Echo },
        )
      },
    ),
  )
}

export type Line = { readonly pod: string; readonly namespace: string; readonly line: string; readonly sni: string }

/** A line there and back. tls: with the name that is asked for. Rejects where the connection is refused or ended. */
export function line(address: string, port: number, tls?: { readonly sni: string; readonly ca: string }): Promise<Line> {
  return new Promise((resolve, reject) => {
    const socket: Socket =
      tls === undefined ? connectTcp(port, address) : connectTls({ host: address, port, servername: tls.sni, ca: tls.ca })
    const timer = setTimeout(() => socket.destroy(new Error('no answer')), patienceMs)
    let text = ''
    socket.on('data', bytes => {
      text += String(bytes)
      if (!text.includes('\n')) return
      socket.destroy()
      resolve(JSON.parse(text.slice(0, text.indexOf('\n'))) as Line)
    })
    socket.on('error', reject)
    socket.on('close', () => {
      clearTimeout(timer)
      reject(new Error('the connection was ended'))
    })
    socket.write('hello\n')
  })
}

/** A datagram there and back; undefined where nothing comes within the time. */
export function datagram(address: string, port: number, waitMs = 3000): Promise<Line | undefined> {
  return new Promise(resolve => {
    const socket = createSocket('udp4')
    const end = (said: Line | undefined) => {
      clearTimeout(timer)
      socket.close()
      resolve(said)
    }
    const timer = setTimeout(() => end(undefined), waitMs)
    socket.on('message', bytes => end(JSON.parse(String(bytes)) as Line))
    socket.on('error', () => end(undefined))
    socket.send('hello', port, address)
  })
}
