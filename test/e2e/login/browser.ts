/** As much of a browser as a login needs: cookies that are kept as a browser keeps them, redirects that are seen and not followed. */

import http2 from 'node:http2'
import https from 'node:https'
import type { Duplex } from 'node:stream'

export type Answer = {
  readonly status: number
  readonly location: string
  readonly reason: string
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>
  readonly cookies: readonly string[]
  readonly body: string
}
export type Question = { readonly method?: string; readonly headers?: Readonly<Record<string, string>>; readonly body?: string }

const page = { accept: 'text/html,application/xhtml+xml,*/*;q=0.8', 'sec-fetch-mode': 'navigate' }

export class Browser {
  readonly jar = new Map<string, string>()
  readonly #host: string
  readonly #port: number

  constructor(host: string, port: number) {
    this.#host = host
    this.#port = port
  }

  /** A page, as somebody who types its address. path: with a query. */
  open(path: string, more: Question = {}): Promise<Answer> {
    return this.ask(path, { ...more, headers: { ...page, ...more.headers } })
  }

  ask(path: string, { method = 'GET', headers = {}, body }: Question = {}): Promise<Answer> {
    const cookie = [...this.jar].map(([name, value]) => `${name}=${value}`).join('; ')
    return new Promise((resolve, reject) => {
      const request = https.request(
        {
          host: '127.0.0.1',
          port: this.#port,
          servername: this.#host,
          rejectUnauthorized: false,
          agent: false,
          method,
          path,
          headers: { host: `${this.#host}:${this.#port}`, ...(cookie === '' ? {} : { cookie }), ...headers },
        },
        response => {
          let text = ''
          response.setEncoding('utf8').on('data', (part: string) => (text += part))
          response.once('error', reject)
          response.once('end', () => {
            const cookies = response.headers['set-cookie'] ?? []
            for (const each of cookies) this.#keep(each)
            resolve({
              status: response.statusCode ?? 0,
              location: response.headers.location ?? '',
              reason: String(response.headers['x-weft-error'] ?? ''),
              headers: response.headers,
              cookies,
              body: text,
            })
          })
        },
      )
      request.setTimeout(20_000, () => request.destroy(new Error('no answer within 20 s')))
      request.once('error', reject)
      request.end(body)
    })
  }

  /** A WebSocket's handshake: the bytes behind it, or the answer in its place. */
  tunnel(path: string): Promise<Duplex | Answer> {
    const cookie = [...this.jar].map(([name, value]) => `${name}=${value}`).join('; ')
    return new Promise((resolve, reject) => {
      const request = https.request({
        host: '127.0.0.1',
        port: this.#port,
        servername: this.#host,
        rejectUnauthorized: false,
        agent: false,
        path,
        headers: {
          host: `${this.#host}:${this.#port}`,
          ...page,
          ...(cookie === '' ? {} : { cookie }),
          connection: 'upgrade',
          upgrade: 'websocket',
        },
      })
      request.once('upgrade', (_, socket) => resolve(socket.resume()))
      request.once('response', ({ statusCode = 0, headers }) =>
        resolve({ status: statusCode, location: '', reason: String(headers['x-weft-error']), headers, cookies: [], body: '' }),
      )
      request.once('error', reject)
      request.end()
    })
  }

  /** A call over HTTP/2: its HTTP status, its gRPC status, and why. */
  grpc(path: string): Promise<readonly string[]> {
    return new Promise((resolve, reject) => {
      const session = http2.connect(`https://127.0.0.1:${this.#port}`, { servername: this.#host, rejectUnauthorized: false })
      session.once('error', reject)
      const call = session.request({
        ':method': 'POST',
        ':path': path,
        ':authority': `${this.#host}:${this.#port}`,
        'content-type': 'application/grpc',
        te: 'trailers',
        accept: 'text/html',
      })
      call.once('error', reject)
      call.once('response', head => {
        resolve([':status', 'grpc-status', 'x-weft-error'].map(name => String(head[name])))
        session.destroy()
      })
      call.end()
    })
  }

  #keep(line: string): void {
    const [pair = '', ...attributes] = line.split('; ')
    const name = pair.slice(0, pair.indexOf('='))
    if (attributes.includes('Max-Age=0')) this.jar.delete(name)
    else this.jar.set(name, pair.slice(pair.indexOf('=') + 1))
  }
}
