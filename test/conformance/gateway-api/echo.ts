/**
 * What stands for a pod of Gateway API's mesh conformance tests, knowing nothing of the mesh: a server of HTTP and of gRPC that tells what arrived, and a
 * client that makes the requests which it reads from its standard input, one a line as JSON.
 */

import { createServer, request as httpRequest, type IncomingHttpHeaders } from 'node:http'
import readline from 'node:readline'
import * as grpc from '@grpc/grpc-js'

/** host: with a port where it is not 80; a header Host may say another. times: 1 unless said. */
export type Order = {
  readonly id: number
  readonly protocol: 'http' | 'grpc'
  readonly host: string
  readonly path: string
  readonly method: string
  readonly headers: Readonly<Record<string, string>>
  readonly times: number
}
/** What arrived at a pod. */
export type Echo = {
  readonly pod: string
  readonly method: string
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
}
/** status: of HTTP; of gRPC 200 for OK, else the gRPC status. */
export type Reply = {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly echo?: Echo | undefined
  readonly error?: string
}

const { POD = 'nobody' } = process.env
const call = '/proto.EchoTestService/Echo'
const raw = (bytes: Buffer): Buffer => bytes

createServer((request, response) => {
  const { method = '', url: path = '' } = request
  const headers = Object.fromEntries(Object.entries(request.headersDistinct).map(([name, values = []]) => [name, values.join(',')]))
  request.resume()
  response.setHeader('content-type', 'application/json')
  response.end(JSON.stringify({ pod: POD, method, path, headers } satisfies Echo))
}).listen(8080, '127.0.0.1')

const server = new grpc.Server()
server.addService(
  {
    Echo: {
      path: call,
      requestStream: false,
      responseStream: false,
      requestSerialize: raw,
      requestDeserialize: raw,
      responseSerialize: raw,
      responseDeserialize: raw,
    },
  },
  {
    Echo: ((asked, done) => {
      // Node joins fields of one name by a comma and a space, which says the same (RFC 9110 §5.3).
      const joined = (name: string): string => asked.metadata.get(name).join(',').replaceAll(', ', ',')
      const headers = Object.fromEntries(Object.keys(asked.metadata.getMap()).map(name => [name, joined(name)]))
      done(null, Buffer.from(JSON.stringify({ pod: POD, method: 'POST', path: asked.getPath(), headers } satisfies Echo)))
    }) satisfies grpc.handleUnaryCall<Buffer, Buffer>,
  },
)
server.bindAsync('127.0.0.1:7070', grpc.ServerCredentials.createInsecure(), fault => {
  if (fault) throw fault
})

function askHttp({ host, path, method, headers }: Order): Promise<Reply> {
  return new Promise(resolve => {
    const asked = httpRequest(new URL(path, `http://${host}`), { method, headers, agent: false }, response => {
      const parts: Buffer[] = []
      response.on('data', (part: Buffer) => parts.push(part))
      response.on('end', () => {
        const text = Buffer.concat(parts).toString()
        const echo = text.startsWith('{') ? (JSON.parse(text) as Echo) : undefined
        resolve({ status: response.statusCode ?? 0, headers: response.headers, echo })
      })
    })
    asked.on('error', error => resolve({ status: 0, headers: {}, error: error.message }))
    asked.end()
  })
}

const clients = new Map<string, grpc.Client>()
function askGrpc({ host, headers }: Order): Promise<Reply> {
  const client = clients.get(host) ?? new grpc.Client(host, grpc.credentials.createInsecure())
  clients.set(host, client)
  const metadata = new grpc.Metadata()
  for (const [name, value] of Object.entries(headers)) metadata.add(name, value)
  return new Promise(resolve => {
    client.makeUnaryRequest(call, raw, raw, Buffer.alloc(0), metadata, { deadline: Date.now() + 20_000 }, (fault, answer) =>
      resolve(
        answer === undefined || fault
          ? { status: fault?.code ?? 0, headers: {}, error: fault?.message ?? '' }
          : { status: 200, headers: {}, echo: JSON.parse(answer.toString()) as Echo },
      ),
    )
  })
}

readline.createInterface({ input: process.stdin }).on('line', async line => {
  const order = JSON.parse(line) as Order
  const replies: Reply[] = []
  for (let left = order.times; left > 0; left--) replies.push(await (order.protocol === 'grpc' ? askGrpc(order) : askHttp(order)))
  process.stdout.write(`${JSON.stringify({ id: order.id, replies })}\n`)
})
