/** A world outside the mesh: a DNS server whose answers the test says, servers of plain HTTP, HTTP/2, TLS, greetings and datagrams, and an authority for their certificates. */

import dgram from 'node:dgram'
import { once } from 'node:events'
import { createServer } from 'node:http'
import http2 from 'node:http2'
import net from 'node:net'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import tls from 'node:tls'
import { certify } from '../../harness/certify.ts'

/** By name, or by `*.suffix`: its addresses. */
export type Zone = Readonly<Record<string, string>>

export class Outside implements AsyncDisposable {
  readonly #closing: (() => void)[] = []
  readonly #folder: string

  constructor(folder: string) {
    this.#folder = folder
  }

  /** HOST:PORT of a DNS server that answers A records of the zone, and nothing else exists. asked: who was asked for. */
  async dns(zone: Zone): Promise<{ readonly at: string; readonly asked: readonly string[] }> {
    const asked: string[] = []
    const socket = dgram.createSocket('udp4')
    socket.on('message', (query, from) => socket.send(answer(query, zone, asked), from.port, from.address))
    await new Promise<void>(done => socket.bind(0, '127.0.0.1', done))
    this.#closing.push(() => socket.close())
    return { at: `127.0.0.1:${socket.address().port}`, asked }
  }

  /** Answers with its name, the method, the path and the host that it was asked for. */
  async http(name: string, host: string, port = 0): Promise<number> {
    const server = createServer((request, response) => response.end(`${name} ${request.method} ${request.url} ${request.headers.host}\n`))
    return this.#listen(server, host, port, () => server.closeAllConnections())
  }

  /** Takes requests, and answers after five seconds. */
  async slow(host: string): Promise<number> {
    const server = createServer((_, response) => void setTimeout(() => response.end('late'), 5000).unref())
    return this.#listen(server, host, 0, () => server.closeAllConnections())
  }

  /** HTTP/2 in clear: calls of gRPC end with status 0. */
  async http2(name: string, host: string, port = 0): Promise<number> {
    const server = http2.createServer()
    const sessions = new Set<http2.ServerHttp2Session>()
    server.on('session', session => {
      sessions.add(session)
      session.on('close', () => sessions.delete(session))
    })
    server.on('stream', (stream: http2.ServerHttp2Stream, headers: http2.IncomingHttpHeaders) => {
      stream.on('error', () => {})
      const isGrpc = String(headers['content-type'] ?? '').startsWith('application/grpc')
      stream.respond(
        { ':status': 200, server: name, ...(isGrpc ? { 'content-type': 'application/grpc' } : {}) },
        { waitForTrailers: isGrpc },
      )
      if (isGrpc) stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }))
      stream.end(isGrpc ? Buffer.alloc(5) : `${name} ${headers[':method']} ${headers[':path']} ${headers[':authority']}\n`)
    })
    return this.#listen(server, host, port, () => sessions.forEach(session => session.destroy()))
  }

  /** Speaks first, as databases do; then says back what it hears. */
  async greeting(name: string, host: string, port = 0): Promise<number> {
    const sockets = new Set<net.Socket>()
    const server = net.createServer(socket => {
      sockets.add(socket)
      socket.on('error', () => {})
      socket.on('close', () => sockets.delete(socket))
      socket.write(`this is ${name}\n`)
      socket.pipe(socket)
    })
    return this.#listen(server, host, port, () => sockets.forEach(socket => socket.destroy()))
  }

  /** TLS that answers one HTTP request with its name and the server name that it was asked for. asksCertificate: who shows none is let go. */
  async tls(name: string, host: string, pair: Pair, port = 0, asksCertificate?: string): Promise<number> {
    const server = tls.createServer(
      {
        key: pair.key,
        cert: pair.cert,
        ALPNProtocols: ['http/1.1'],
        ...(asksCertificate === undefined ? {} : { requestCert: true, rejectUnauthorized: true, ca: asksCertificate }),
      },
      socket => {
        socket.on('error', () => {})
        socket.once('data', () => {
          const who = asksCertificate === undefined ? '' : ` ${String(socket.getPeerCertificate().subject?.CN)}`
          const body = `${name} ${String(socket.servername)}${who}\n`
          socket.end(`HTTP/1.1 200 OK\r\ncontent-length: ${body.length}\r\nconnection: close\r\n\r\n${body}`)
        })
      },
    )
    server.on('tlsClientError', () => {})
    return this.#listen(server, host, port, () => {})
  }

  /** Says datagrams back in capitals. */
  async datagrams(host: string): Promise<number> {
    const socket = dgram.createSocket('udp4')
    socket.on('message', (bytes, from) => socket.send(bytes.toString().toUpperCase(), from.port, from.address))
    await new Promise<void>(done => socket.bind(0, host, done))
    this.#closing.push(() => socket.close())
    return socket.address().port
  }

  /** An authority, whose certificate is in `FOLDER/NAME.pem`. */
  authority(name: string): Authority {
    const file = (end: string): string => join(this.#folder, `${name}.${end}`)
    certify({ key: file('key'), cert: file('pem'), subject: `/CN=${name}` })
    return {
      pem: readFileSync(file('pem'), 'utf8'),
      issue: (...names) => {
        const one = join(this.#folder, `${name}-${names[0]!.replaceAll('*', 'any')}`)
        certify({
          key: `${one}.key`,
          cert: `${one}.crt`,
          subject: `/CN=${names[0]}`,
          names: names.map(each => `DNS:${each}`),
          extensions: ['basicConstraints=critical,CA:FALSE'],
          by: { key: file('key'), cert: file('pem') },
        })
        return { key: readFileSync(`${one}.key`, 'utf8'), cert: readFileSync(`${one}.crt`, 'utf8') }
      },
    }
  }

  async #listen(server: net.Server, host: string, port: number, cut: () => void): Promise<number> {
    await once(server.listen(port, host), 'listening')
    this.#closing.push(() => {
      cut()
      server.close()
    })
    return (server.address() as net.AddressInfo).port
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const close of this.#closing.splice(0)) close()
  }
}

export type Pair = { readonly key: string; readonly cert: string }
export type Authority = { readonly pem: string; readonly issue: (...names: readonly string[]) => Pair }

/** RFC 1035 §4: one question, and its A record or "no such name". */
function answer(query: Buffer, zone: Zone, asked: string[]): Buffer {
  const labels: string[] = []
  let at = 12
  for (let length = query[at]!; length > 0; length = query[at]!) {
    labels.push(query.toString('latin1', at + 1, at + 1 + length))
    at += 1 + length
  }
  const name = labels.join('.').toLowerCase()
  const question = query.subarray(12, at + 5)
  const type = query.readUInt16BE(at + 1)
  const wild = labels.map((_, start) => `*.${labels.slice(start + 1).join('.')}`).find(each => zone[each] !== undefined)
  const address = zone[name] ?? (wild === undefined ? undefined : zone[wild])
  asked.push(name)
  const head = Buffer.alloc(12)
  query.copy(head, 0, 0, 2)
  head.writeUInt16BE(address === undefined ? 0x8183 : 0x8180, 2)
  head.writeUInt16BE(1, 4)
  const isAnswered = address !== undefined && type === 1
  head.writeUInt16BE(isAnswered ? 1 : 0, 6)
  if (!isAnswered) return Buffer.concat([head, question])
  const record = Buffer.from([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 30, 0, 4, ...address.split('.').map(Number)])
  return Buffer.concat([head, question, record])
}
