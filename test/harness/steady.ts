/** A steady load on one port, from clients that try nothing twice that anybody may have seen: what became of each request. Its pace does not wait for answers, as long as the machine keeps up. */

import grpc from '@grpc/grpc-js'
import http from 'node:http'
import http2 from 'node:http2'
import type { AddressInfo } from 'node:net'

export type Outcome = {
  sent: number
  ok: number
  slowestMs: number
  /** How often each failure. */
  readonly failed: Record<string, number>
}

/** Sends one request; rejects with why it failed. */
export type Client = AsyncDisposable & { request(nth: number): Promise<void> }

/** Beyond this a client that does not get to read fails by itself: Node's refuses streams at 10 MB for a session, gRPC calls end at their deadline. */
const mostOut = 1_000

export class Steady implements AsyncDisposable {
  readonly outcome: Outcome = { sent: 0, ok: 0, slowestMs: 0, failed: {} }
  readonly #client: Client
  readonly #timer: NodeJS.Timeout
  #out = 0

  /** rate: requests a second. */
  constructor(client: Client, rate: number) {
    this.#client = client
    const began = performance.now()
    this.#timer = setInterval(() => {
      const due = Math.floor(((performance.now() - began) / 1000) * rate)
      while (this.outcome.sent < due && this.#out < mostOut) this.#send()
    }, 5)
  }

  #send(): void {
    const { outcome } = this
    const at = performance.now()
    this.#out++
    this.#client
      .request(outcome.sent++)
      .then(
        () => void outcome.ok++,
        (why: unknown) => {
          // What follows, such as the time it took, is different for each.
          const says = (why instanceof Error ? why.message : String(why)).split(/ after |,/)[0]!
          outcome.failed[says] = (outcome.failed[says] ?? 0) + 1
        },
      )
      .finally(() => {
        this.#out--
        outcome.slowestMs = Math.max(outcome.slowestMs, performance.now() - at)
      })
  }

  /** Sends no more; resolves when all is answered, or after ten seconds. */
  async stop(): Promise<Outcome> {
    clearInterval(this.#timer)
    const end = performance.now() + 10_000
    while (this.#out > 0 && performance.now() < end) await new Promise(resolve => setTimeout(resolve, 10))
    if (this.#out > 0) this.outcome.failed['never answered'] = this.#out
    return this.outcome
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
    await this.#client[Symbol.asyncDispose]()
  }
}

const body = Buffer.alloc(20_000, 'b')

/** HTTP/1.1: most over kept connections, one in ten over one of its own, one in eight a POST with a body. */
export function http1Client(port: number, size = 1000): Client {
  const agent = new http.Agent({ keepAlive: true, maxSockets: 64 })
  return {
    request: nth =>
      new Promise((resolve, reject) => {
        const isPost = nth % 8 === 0
        const request = http.request({
          host: '127.0.0.1',
          port,
          path: `/${nth}`,
          method: isPost ? 'POST' : 'GET',
          ...(nth % 10 === 0 ? { agent: false as const, headers: { connection: 'close' } } : { agent }),
        })
        request.on('error', reject)
        request.on('response', answer => {
          let bytes = 0
          answer.on('data', (chunk: Buffer) => (bytes += chunk.length))
          answer.on('aborted', () => reject(new Error('answer cut off')))
          answer.on('end', () =>
            answer.statusCode === 200 && bytes === size
              ? resolve()
              : reject(new Error(`status ${answer.statusCode} ${String(answer.headers['x-weft-error'] ?? '')}, ${bytes} bytes`)),
          )
        })
        request.end(isPost ? body : undefined)
      }),
    [Symbol.asyncDispose]: async () => agent.destroy(),
  }
}

const refused = new Error('refused')

/**
 * HTTP/2 with prior knowledge: two connections at a time, opened anew when told to go. What nghttp2 holds when it reads a GOAWAY it refuses
 * itself, unsent; as curl, Go and browsers do, such a request is sent once more (RFC 9113 §8.7: a refused stream was not processed).
 */
export function http2Client(port: number, size = 1000): Client {
  const sessions: http2.ClientHttp2Session[] = []
  const session = (nth: number): http2.ClientHttp2Session => {
    const known = sessions[nth % 2]
    if (known !== undefined && !known.closed && !known.destroyed) return known
    const fresh = http2.connect(`http://127.0.0.1:${port}`)
    fresh.on('error', () => {})
    sessions[nth % 2] = fresh
    return fresh
  }
  const once = (nth: number): Promise<void> =>
    new Promise((resolve, reject) => {
      const isPost = nth % 8 === 0
      const stream = session(nth).request({ ':path': `/${nth}`, ':method': isPost ? 'POST' : 'GET' }, { endStream: !isPost })
      let status = 0
      let bytes = 0
      stream.on('response', headers => (status = Number(headers[':status'])))
      stream.on('data', (chunk: Buffer) => (bytes += chunk.length))
      stream.on('error', () =>
        reject(stream.rstCode === http2.constants.NGHTTP2_REFUSED_STREAM ? refused : new Error(`reset ${stream.rstCode}`)),
      )
      stream.on('close', () => (status === 200 && bytes === size ? resolve() : reject(new Error(`status ${status}, ${bytes} bytes`))))
      if (isPost) stream.end(body)
    })
  return {
    request: nth => once(nth).catch((why: unknown) => (why === refused ? once(nth) : Promise.reject(why))),
    [Symbol.asyncDispose]: async () => {
      for (const each of sessions) each.destroy()
    },
  }
}

const method = '/steady.Echo/Say'
const asIs = (bytes: Buffer): Buffer => bytes

/** gRPC calls of one message each way, by the stock client as it is: it sends again what was refused unprocessed, and nothing else. */
export function grpcClient(port: number): Client {
  const client = new grpc.Client(`127.0.0.1:${port}`, grpc.credentials.createInsecure())
  return {
    request: nth =>
      new Promise((resolve, reject) => {
        const said = Buffer.from(`call ${nth}`)
        client.makeUnaryRequest(method, asIs, asIs, said, { deadline: Date.now() + 10_000 }, (error, reply) =>
          error === null && reply?.equals(said) ? resolve() : reject(error ?? new Error('another reply')),
        )
      }),
    [Symbol.asyncDispose]: async () => client.close(),
  }
}

export type Backend = AsyncDisposable & { readonly port: number }

/** Answers each request with `size` bytes when it has its whole body. */
export async function httpBackend(version: 1 | 2, size = 1000): Promise<Backend> {
  const text = 'x'.repeat(size)
  const answer = (request: http.IncomingMessage | http2.Http2ServerRequest, reply: { end(text: string): unknown }): void => {
    request.resume()
    request.on('end', () => reply.end(text))
  }
  const server = version === 1 ? http.createServer({ keepAliveTimeout: 60_000 }, answer) : http2.createServer(answer)
  const open = new Set<{ destroy(): void }>()
  server.on('connection', (socket: { destroy(): void; once(event: 'close', run: () => void): void }) => {
    open.add(socket)
    socket.once('close', () => open.delete(socket))
  })
  await new Promise<void>(done => server.listen(0, '127.0.0.1', done))
  return {
    port: (server.address() as AddressInfo).port,
    async [Symbol.asyncDispose]() {
      for (const socket of open) socket.destroy()
      await new Promise(done => server.close(done))
    },
  }
}

export async function grpcBackend(): Promise<Backend> {
  const server = new grpc.Server()
  const shape = { path: method, requestStream: false, responseStream: false, requestSerialize: asIs, requestDeserialize: asIs } as const
  server.addService(
    { say: { ...shape, responseSerialize: asIs, responseDeserialize: asIs } },
    {
      say: (call: grpc.ServerUnaryCall<Buffer, Buffer>, reply: grpc.sendUnaryData<Buffer>) => reply(null, call.request),
    },
  )
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (error, bound) => (error ? reject(error) : resolve(bound))),
  )
  return { port, [Symbol.asyncDispose]: async () => server.forceShutdown() }
}
