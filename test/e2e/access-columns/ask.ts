/** Callers that are no proxies: each with a certificate of its own, or none, from an address of its own, over every version of HTTP. */

import http from 'node:http'
import http2 from 'node:http2'
import https from 'node:https'
import { once } from 'node:events'
import tls from 'node:tls'
import type { Request } from './words.ts'

export type Shown = { readonly cert: string; readonly key: string }
export type Answer = { readonly isAllowed: boolean; readonly status: string; readonly detail: string }

export class Callers implements Disposable {
  readonly #shown: ReadonlyMap<string, Shown>
  readonly #agents = new Map<string, http.Agent>()
  readonly #sessions = new Map<string, http2.ClientHttp2Session>()

  /** shown: by SPIFFE id. */
  constructor(shown: ReadonlyMap<string, Shown>) {
    this.#shown = shown
  }

  /** bearer: a token. */
  async ask(port: number, request: Request, bearer: string | undefined): Promise<Answer> {
    const fields = [...request.fields, ...(bearer === undefined ? [] : [['authorization', `Bearer ${bearer}`] as const])]
    for (let attempt = 1; ; attempt++)
      try {
        return await this.#once(port, request, fields)
      } catch (thrown) {
        const code = thrown instanceof Error ? ((thrown as { code?: string }).code ?? thrown.message) : String(thrown)
        // A stream that is reset is an answer. A connection that ends may have ended for what came on it before, or for a hello that was late.
        if (code === 'ERR_HTTP2_STREAM_ERROR' || attempt === 5) return { isAllowed: false, status: code, detail: '' }
        await new Promise(resolve => setTimeout(resolve, 50 * attempt))
      }
  }

  /** Whether bytes come back. */
  connects(port: number, identity: string): Promise<boolean> {
    const socket = tls.connect({ port, host: '127.0.0.1', rejectUnauthorized: false, ...this.#shown.get(identity) })
    return new Promise(resolve => {
      const done = (isAnswered: boolean): void => {
        socket.destroy()
        resolve(isAnswered)
      }
      socket.setTimeout(10_000, () => done(false))
      socket.on('secureConnect', () => socket.write('hello'))
      socket
        .on('data', () => done(true))
        .on('error', () => done(false))
        .on('close', () => done(false))
    })
  }

  #once(port: number, request: Request, fields: Request['fields']): Promise<Answer> {
    return request.version === 'http1' ? this.#one(port, request, fields) : this.#two(port, request, fields)
  }

  #material({ identity }: Request) {
    const shown = identity === undefined ? undefined : this.#shown.get(identity)
    return shown === undefined ? undefined : { ...shown, rejectUnauthorized: false, checkServerIdentity: () => undefined }
  }

  async #one(port: number, request: Request, fields: Request['fields']): Promise<Answer> {
    const material = this.#material(request)
    const key = `${port} ${request.identity} ${request.address}`
    let agent = this.#agents.get(key)
    if (agent === undefined) {
      const own = { keepAlive: true, maxSockets: 1, localAddress: request.address }
      agent = material === undefined ? new http.Agent(own) : new https.Agent({ ...own, ...material, ALPNProtocols: ['http/1.1'] })
      this.#agents.set(key, agent)
    }
    const options = {
      host: '127.0.0.1',
      port,
      agent,
      method: request.method,
      path: request.target,
      headers: ['host', request.host, ...fields.flat(), ...(request.method === 'GET' ? [] : ['content-length', '0'])] as never,
      timeout: 20_000,
    }
    const asked = material === undefined ? http.request(options) : https.request(options)
    asked.on('timeout', () => asked.destroy(new Error('no answer')))
    asked.end()
    const [response] = (await once(asked, 'response')) as [http.IncomingMessage]
    response.resume()
    await once(response, 'end')
    return answerOf(String(response.statusCode), response.headers)
  }

  async #two(port: number, request: Request, fields: Request['fields']): Promise<Answer> {
    const session = await this.#session(port, request)
    const isGrpc = request.version === 'grpc'
    const headers: http2.OutgoingHttpHeaders = {
      ':method': request.method,
      ':path': request.target,
      ':authority': request.host,
      ...(isGrpc ? { 'content-type': 'application/grpc', te: 'trailers' } : {}),
    }
    for (const [name, value] of fields) headers[name] = headers[name] === undefined ? value : [headers[name], value].flat().map(String)
    const stream = session.request(headers, { endStream: !isGrpc })
    stream.setTimeout(20_000, () => stream.close(http2.constants.NGHTTP2_CANCEL))
    if (isGrpc) stream.end(Buffer.alloc(5))
    try {
      const [head] = (await once(stream, 'response')) as [http2.IncomingHttpHeaders]
      stream.resume()
      await once(stream, 'end')
      return answerOf(`${head[':status']}${head['grpc-status'] === undefined ? '' : ` grpc ${head['grpc-status'] as string}`}`, head)
    } finally {
      stream.on('error', () => {}).close()
    }
  }

  async #session(port: number, request: Request): Promise<http2.ClientHttp2Session> {
    const key = `${port} ${request.identity} ${request.address}`
    let session = this.#sessions.get(key)
    if (session !== undefined && !session.closed && !session.destroyed) return session
    const material = this.#material(request)
    const to = material === undefined ? `http://127.0.0.1:${port}` : `https://127.0.0.1:${port}`
    session = http2.connect(to, { ...material, localAddress: request.address } as never)
    session.on('error', () => {})
    this.#sessions.set(key, session)
    await once(session, 'connect')
    return session
  }

  [Symbol.dispose](): void {
    for (const agent of this.#agents.values()) agent.destroy()
    for (const session of this.#sessions.values()) session.destroy()
  }
}

const answerOf = (status: string, headers: http.IncomingHttpHeaders | http2.IncomingHttpHeaders): Answer => ({
  isAllowed: headers['x-answered-by'] !== undefined,
  status: `${status} ${String(headers['x-weft-error'] ?? '')}`.trim(),
  detail: String(headers['x-weft-error-detail'] ?? headers['grpc-message'] ?? ''),
})
