import assert from 'node:assert/strict'
import http2 from 'node:http2'
import type { AddressInfo } from 'node:net'
import { after, before, describe, test } from 'node:test'
import * as grpc from '@grpc/grpc-js'
import { closed, counted, type Pair, pairTo, until } from '../../../test/harness/versions.ts'
import { forwardTo, remote, table } from '../../../test/harness/pair.ts'

const text = { serialize: (message: string) => Buffer.from(message), deserialize: (bytes: Buffer) => bytes.toString() }
const method = (name: string, requestStream: boolean, responseStream: boolean): grpc.MethodDefinition<string, string> => ({
  path: `/test.Echo/${name}`,
  requestStream,
  responseStream,
  requestSerialize: text.serialize,
  requestDeserialize: text.deserialize,
  responseSerialize: text.serialize,
  responseDeserialize: text.deserialize,
})
const service = {
  Unary: method('Unary', false, false),
  Collect: method('Collect', true, false),
  Pour: method('Pour', false, true),
  Chat: method('Chat', true, true),
  Never: method('Never', false, true),
  Refuse: method('Refuse', false, false),
  Half: method('Half', false, true),
}

/** Calls that ended at the server because their caller gave them up. */
const cancelled: string[] = []

const handlers: grpc.UntypedServiceImplementation = {
  Unary: (call: grpc.ServerUnaryCall<string, string>, done: grpc.sendUnaryData<string>) => {
    const trailers = new grpc.Metadata()
    trailers.set('x-after', String(call.metadata.get('x-before')[0] ?? ''))
    done(null, call.request.toUpperCase(), trailers)
  },
  Collect: (call: grpc.ServerReadableStream<string, string>, done: grpc.sendUnaryData<string>) => {
    const parts: string[] = []
    call.on('data', (part: string) => parts.push(part)).on('end', () => done(null, parts.join('+')))
  },
  Pour: (call: grpc.ServerWritableStream<string, string>) => {
    for (let count = 1; count <= Number(call.request); count++) call.write(`drop ${count}`)
    call.end()
  },
  Chat: (call: grpc.ServerDuplexStream<string, string>) => {
    call.on('data', (part: string) => call.write(`you said ${part}`)).on('end', () => call.end())
    call.on('cancelled', () => cancelled.push('Chat'))
  },
  Never: (call: grpc.ServerWritableStream<string, string>) => {
    call.on('cancelled', () => cancelled.push('Never'))
  },
  Half: (call: grpc.ServerWritableStream<string, string>) => {
    call.write('half')
    call.on('cancelled', () => cancelled.push('Half'))
  },
  Refuse: (_call: unknown, done: grpc.sendUnaryData<string>) =>
    done({ code: grpc.status.FAILED_PRECONDITION, details: 'not täday' } as grpc.ServiceError),
}

const Client = grpc.makeClientConstructor(service, 'Echo')
type Done = (error: grpc.ServiceError | null, reply?: string) => void
type Stub = grpc.Client & {
  Unary(request: string, metadata: grpc.Metadata, options: grpc.CallOptions, done: Done): grpc.ClientUnaryCall
  Refuse(request: string, done: Done): grpc.ClientUnaryCall
  Collect(done: Done): grpc.ClientWritableStream<string>
  Pour(request: string): grpc.ClientReadableStream<string>
  Never(request: string, options?: grpc.CallOptions): grpc.ClientReadableStream<string>
  Half(request: string, options?: grpc.CallOptions): grpc.ClientReadableStream<string>
  Chat(options?: grpc.CallOptions): grpc.ClientDuplexStream<string, string>
}

/** Reads a stream of replies to its end, whatever that is. */
const read = (call: grpc.ClientReadableStream<string>): Promise<{ parts: string[]; status: grpc.StatusObject }> =>
  new Promise(resolve => {
    const parts: string[] = []
    call.on('data', (part: string) => parts.push(part)).on('error', () => {})
    call.on('status', (status: grpc.StatusObject) => resolve({ parts, status }))
  })

describe('gRPC through two proxies', { timeout: 60_000 }, () => {
  let server: grpc.Server
  let appPort: number
  let pair: Pair
  let stub: Stub

  const startServer = async (port = 0) => {
    server = new grpc.Server()
    server.addService(service, handlers)
    appPort = await new Promise<number>((resolve, reject) =>
      server.bindAsync(`127.0.0.1:${port}`, grpc.ServerCredentials.createInsecure(), (error, bound) =>
        error === null ? resolve(bound) : reject(error),
      ),
    )
  }
  const unary = (request: string, metadata = new grpc.Metadata(), options: grpc.CallOptions = {}) =>
    new Promise<{ reply: string; trailers: grpc.Metadata }>((resolve, reject) => {
      let reply = ''
      const call = stub.Unary(request, metadata, options, (error, said = '') => (error === null ? (reply = said) : reject(error)))
      call.on(
        'status',
        (status: grpc.StatusObject) => status.code === 0 && setImmediate(() => resolve({ reply, trailers: status.metadata })),
      )
    })

  before(async () => {
    await startServer()
    pair = await pairTo(appPort, 'http2')
    stub = new Client(`127.0.0.1:${pair.port}`, grpc.credentials.createInsecure()) as unknown as Stub
  })
  after(async () => {
    stub.close()
    server.forceShutdown()
    await pair[Symbol.asyncDispose]()
  })

  test('a unary call is answered, with metadata both ways', async () => {
    const metadata = new grpc.Metadata()
    metadata.set('x-before', 'mark')
    const { reply, trailers } = await unary('hello', metadata)
    assert.deepEqual([reply, trailers.get('x-after')], ['HELLO', ['mark']])
    assert.equal((await unary('x'.repeat(2_000_000))).reply.length, 2_000_000)
  })

  test('streams of requests, of replies and of both come through in order', async () => {
    const collected = new Promise((resolve, reject) => {
      const call = stub.Collect((error, reply) => (error === null ? resolve(reply) : reject(error)))
      for (const part of ['a', 'b', 'c']) call.write(part)
      call.end()
    })
    assert.equal(await collected, 'a+b+c')
    const poured = await read(stub.Pour('200'))
    assert.deepEqual([poured.parts.length, poured.parts.at(-1), poured.status.code], [200, 'drop 200', 0])
    const chat = stub.Chat()
    const said = () => new Promise(resolve => chat.once('data', resolve))
    for (const part of ['one', 'two']) {
      const answer = said()
      chat.write(part)
      assert.equal(await answer, `you said ${part}`)
    }
    chat.end()
    await new Promise(done => chat.once('end', done).resume())
  })

  test('the status of the server and its message come through, and are counted', async () => {
    const error = await new Promise<grpc.ServiceError>(resolve => stub.Refuse('x', error => resolve(error!)))
    assert.deepEqual([error.code, error.details], [grpc.status.FAILED_PRECONDITION, 'not täday'])
    for (const side of [pair.inside, pair.outside]) {
      assert.equal(counted(side, 'weft_requests_total', /protocol="grpc".*code="200",grpc_status="9",reason=""/), 1)
      assert.ok(counted(side, 'weft_requests_total', /protocol="grpc".*grpc_status="0"/) >= 5)
    }
  })

  test('the deadline of the caller is kept by the proxy, also for a caller that does not keep it itself', async () => {
    const session = http2.connect(`http://127.0.0.1:${pair.port}`)
    const ask = (path: string) => {
      const stream = session.request({
        ':method': 'POST',
        ':path': `/test.Echo/${path}`,
        'content-type': 'application/grpc',
        te: 'trailers',
        'grpc-timeout': '150m',
      })
      const message = Buffer.from('x')
      stream.end(Buffer.concat([Buffer.from([0, 0, 0, 0, message.length]), message]))
      return stream
    }
    cancelled.length = 0
    const never = ask('Never').resume()
    const head = await new Promise<http2.IncomingHttpHeaders>(resolve => never.once('response', resolve))
    assert.deepEqual([head[':status'], head['grpc-status'], head['x-weft-error']], [200, '4', 'upstream-timeout'])
    assert.match(String(head['grpc-message']), /grpc-timeout of 150 ms/)
    await until(() => cancelled.includes('Never'), 'the server to hear of it')
    // An answer that has begun ends with the status in its trailers.
    const half = ask('Half').resume()
    const trailers = await new Promise<http2.IncomingHttpHeaders>(resolve => half.once('trailers', resolve))
    assert.deepEqual([trailers['grpc-status'], trailers['x-weft-error'], half.rstCode], ['4', 'upstream-timeout', 0])
    await until(() => cancelled.includes('Half'), 'the server to hear of it')
    await until(() => counted(pair.outside, 'weft_requests_total', /grpc_status="4",reason="upstream-timeout"/) === 2, 'both to be counted')
    session.close()
    await closed(session)
  })

  test('a deadline that grpc-js keeps ends the call at the server', async () => {
    cancelled.length = 0
    const { status } = await read(stub.Never('x', { deadline: Date.now() + 200 }))
    assert.equal(status.code, grpc.status.DEADLINE_EXCEEDED)
    await until(() => cancelled.includes('Never'), 'the server to hear of it')
  })

  test('a cancelled call is cancelled at the server and counted as such', async () => {
    cancelled.length = 0
    const chat = stub.Chat()
    chat.on('error', () => {})
    chat.write('a')
    await new Promise(resolve => chat.once('data', resolve))
    chat.cancel()
    await until(() => cancelled.includes('Chat'), 'the server to hear of it')
    await until(() => counted(pair.inside, 'weft_requests_total', /grpc_status="1",reason="caller-gone"/) > 0, 'it to be counted')
  })

  test('what the mesh answers itself is a gRPC status with the reason', async () => {
    const backend = Object.keys(remote('web', [1]).backends)[0]!
    pair.outside.swap({ routes: { out: table('out', []) } })
    await assert.rejects(unary('a'), { code: grpc.status.UNIMPLEMENTED, details: /no route/ })
    pair.outside.swap({ routes: { out: table('out', [forwardTo(backend)]) }, endpoints: {} })
    await assert.rejects(unary('a'), { code: grpc.status.UNAVAILABLE, details: /no ready endpoint/ })
    pair.outside.swap(remote('web', [pair.inside.port], { protocol: 'http2' }))
    assert.equal((await unary('a')).reply, 'A')
    assert.ok(counted(pair.outside, 'weft_requests_total', /code="200",grpc_status="14",reason="no-endpoint"/) === 1)
  })

  test('a timeout of the route is DEADLINE_EXCEEDED too, and the shorter one counts', async () => {
    const backend = Object.keys(remote('web', [1]).backends)[0]!
    pair.outside.swap({ routes: { out: table('out', [{ ...forwardTo(backend), timeouts: { requestMs: 100 } }]) } })
    const { status } = await read(stub.Never('x', { deadline: Date.now() + 20_000 }))
    assert.equal(status.code, grpc.status.DEADLINE_EXCEEDED)
    assert.match(status.details, /timeouts.request of 100 ms/)
    pair.outside.swap({ routes: { out: table('out', [forwardTo(backend)]) } })
  })

  test('gRPC-Web is passed on as any other request', async () => {
    const app = http2.createServer((ask, reply) => {
      reply.setHeader('content-type', 'application/grpc-web+proto')
      reply.end(`${ask.headers['content-type']} ${ask.headers['grpc-timeout']}`)
    })
    await new Promise<void>(done => app.listen(0, '127.0.0.1', done))
    const other = await pairTo((app.address() as AddressInfo).port, 'http2')
    const answer = await fetch(`http://127.0.0.1:${other.port}/test.Echo/Unary`, {
      method: 'POST',
      body: 'x',
      headers: { 'content-type': 'application/grpc-web+proto', 'grpc-timeout': '1n' },
    })
    assert.equal(await answer.text(), 'application/grpc-web+proto 1n')
    await other[Symbol.asyncDispose]()
    app.close()
  })

  test('a server that goes away ends what it has not answered with a status; once it is back calls succeed again', async () => {
    const call = stub.Half('x')
    const pending = read(call)
    await new Promise(done => call.once('data', done))
    server.forceShutdown()
    const { parts, status } = await pending
    assert.deepEqual(parts, ['half'])
    assert.notEqual(status.code, 0)
    await assert.rejects(unary('a'), { code: grpc.status.UNAVAILABLE })
    await startServer(appPort)
    assert.equal((await unary('back')).reply, 'BACK')
  })
})
