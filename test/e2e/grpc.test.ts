/** gRPC between a server and clients of ours, over real TLS on loopback. */

import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { test } from 'node:test'
import { connect as tlsConnect } from 'node:tls'
import * as grpc from '@grpc/grpc-js'
import type { Log } from '../../src/base/log.ts'
import { silent } from '../../src/base/log.ts'
import type { MessageCodec, Rpc } from '../../src/base/rpc.ts'
import { createIntermediate, createRoot, issueLeaf, type Signer } from '../../src/identity/issue.ts'
import { newKey } from '../../src/identity/key.ts'
import { type SpiffeId, workloadId } from '../../src/identity/spiffe.ts'
import { rootSha256 } from '../../src/identity/token.ts'
import { readIdentity, verifyPeer } from '../../src/identity/verify.ts'
import {
  type ConnectGrpcOptions,
  connectGrpc,
  type GrpcStream,
  type KeyAndChain,
  RpcError,
  type RpcStatus,
  rpcCodes,
  type Service,
  serveGrpc,
  type StreamEvents,
  stream,
  unary,
} from '../../src/io/grpc.ts'

const text: MessageCodec<string> = { encode: message => Buffer.from(message), decode: bytes => Buffer.from(bytes).toString() }
const raw: MessageCodec<Uint8Array> = { encode: bytes => bytes, decode: bytes => bytes }
const whoami: Rpc<string, string> = { path: '/test.Test/Whoami', kind: 'unary', request: text, reply: text }
const open: Rpc<string, string> = { path: '/test.Test/Open', kind: 'unary', request: text, reply: text }
const echo: Rpc<string, string> = { path: '/test.Test/Echo', kind: 'stream', request: text, reply: text }
const pour: Rpc<string, Uint8Array> = { path: '/test.Test/Pour', kind: 'stream', request: text, reply: raw }

const td = 'test.mesh'
const control = workloadId(td, { namespace: 'weft-system', serviceAccount: 'control' })
const orders = workloadId(td, { namespace: 'default', serviceAccount: 'orders' })
const hour = 3_600_000

async function authority(trustDomain = td): Promise<Signer> {
  return createIntermediate(createRoot(trustDomain, await newKey(), Date.now()), await newKey(), Date.now())
}

async function certificate(
  signer: Signer,
  id: SpiffeId,
  at = Date.now(),
  lifeMs = hour,
): Promise<KeyAndChain & { readonly serial: string }> {
  const key = await newKey()
  const issued = issueLeaf(signer, key.public, id, at, { lifeMs })
  return { key: key.pem, cert: issued.chain.join(''), serial: issued.serial }
}

const standard: readonly Service[] = [
  unary(whoami, (_request, call) => `${call.peer} ${call.metadata['x-note'] ?? ''}`),
  unary(open, (_request, call) => call.peer ?? `nobody with ${call.metadata.authorization}`, { open: true }),
  stream(echo, (replies): StreamEvents<string> => ({ message: message => void replies.send(`${message}!`), end: () => replies.end() })),
]

async function serve(signer: Signer, services = standard, own: () => KeyAndChain = () => assert.fail(), log: Log = silent) {
  const roots = [new X509Certificate(signer.root)]
  return serveGrpc({
    host: '127.0.0.1',
    port: 0,
    certificate: own,
    clientRoots: () => [signer.root],
    identify: certificates => verifyPeer(certificates, { roots, trustDomain: td, role: 'client' }, Date.now()),
    services,
    log,
  })
}

function client(
  port: number,
  tls: Omit<ConnectGrpcOptions, 'host' | 'port' | 'certificate' | 'expectedServer'> & Partial<ConnectGrpcOptions>,
) {
  const expectedServer = (leaf: Uint8Array): string | undefined => {
    const judged = readIdentity(new X509Certificate(leaf), { trustDomain: td, role: 'server', ids: [control] })
    return 'refused' in judged ? judged.refused : undefined
  }
  return connectGrpc({ host: '127.0.0.1', port, certificate: () => undefined, expectedServer, ...tls })
}

const failure = async (call: Promise<unknown>): Promise<RpcError> => {
  try {
    await call
  } catch (thrown) {
    assert.ok(thrown instanceof RpcError, String(thrown))
    return thrown
  }
  assert.fail('the call succeeded')
}

async function until(holds: () => boolean): Promise<void> {
  for (let tries = 0; tries < 1000; tries++) {
    if (holds()) return
    await new Promise(resolve => setTimeout(resolve, 10))
  }
  assert.fail('it did not come to pass in ten seconds')
}

/** Everything that one client stream is told, and a way to wait for it. */
function listen<T>() {
  const messages: T[] = []
  let wake = (): void => {}
  let status: RpcStatus | undefined
  const until = async (holds: () => boolean): Promise<void> => {
    while (!holds()) await new Promise<void>(resolve => (wake = resolve))
  }
  const events: StreamEvents<T> = {
    message: message => {
      messages.push(message)
      wake()
    },
    end: ended => {
      status = ended
      wake()
    },
  }
  return { messages, events, until, status: () => status }
}

test('a certificate is optional on the port, demanded by the service, and proves who calls', async () => {
  const signer = await authority()
  const own = await certificate(signer, control)
  await using server = await serve(signer, standard, () => own)
  const trust = () => ({ roots: [signer.root] })
  const nobody = client(server.port, { trust })
  const mine = await certificate(signer, orders)
  const known = client(server.port, { trust, certificate: () => mine })

  assert.equal(await nobody.unary(open, '', { metadata: { authorization: 'Bearer x' } }), 'nobody with Bearer x')
  const refused = await failure(nobody.unary(whoami, ''))
  assert.equal(refused.code, rpcCodes.unauthenticated)
  assert.match(refused.message, /needs a client certificate/)
  assert.equal(await known.unary(whoami, '', { metadata: { 'x-note': 'hello' } }), `${orders} hello`)
  assert.equal(await known.unary(open, ''), orders)
  nobody.close()
  known.close()
})

test('a client certificate that is expired, of another root or of another trust domain is refused with its reason, in open services too', async () => {
  const signer = await authority()
  const stranger = await authority()
  const foreign = await authority('other.mesh')
  const own = await certificate(signer, control)
  await using server = await serve(signer, standard, () => own)
  const trust = () => ({ roots: [signer.root] })
  const cases = [
    [await certificate(signer, orders, Date.now() - 2 * hour, hour), /expired at/],
    [await certificate(stranger, orders), /not signed by a root/],
    [await certificate(foreign, workloadId('other.mesh', { namespace: 'a', serviceAccount: 'b' })), /not signed by a root/],
    [
      await certificate(signer, workloadId('other.mesh', { namespace: 'a', serviceAccount: 'b' })),
      /trust domain other\.mesh, not test\.mesh/,
    ],
  ] as const
  for (const [shown, reason] of cases) {
    for (const rpc of [whoami, open]) {
      const channel = client(server.port, { trust, certificate: () => shown })
      const refused = await failure(channel.unary(rpc, ''))
      channel.close()
      assert.equal(refused.code, rpcCodes.unauthenticated)
      assert.match(refused.message, reason)
    }
  }
})

test('a client refuses a server of another root, of another identity, and one whose certificate has expired', async () => {
  const signer = await authority()
  const stranger = await authority()
  const cases = [
    [await certificate(stranger, control), /self-signed certificate|issuer/],
    [await certificate(signer, orders), /expected spiffe:\/\/test\.mesh\/ns\/weft-system\/sa\/control/],
    [await certificate(signer, control, Date.now() - 2 * hour, hour), /expired/],
  ] as const
  for (const [shown, reason] of cases) {
    await using server = await serve(signer, standard, () => shown)
    const channel = client(server.port, { trust: () => ({ roots: [signer.root] }) })
    const refused = await failure(channel.unary(open, ''))
    channel.close()
    assert.equal(refused.code, rpcCodes.unavailable)
    assert.match(refused.message, reason)
  }
})

test('first contact needs only the hash of the root, and another root does not pass', async () => {
  const signer = await authority()
  const stranger = await authority()
  const own = await certificate(signer, control)
  await using server = await serve(signer, standard, () => own)
  const right = client(server.port, { trust: () => ({ rootSha256: rootSha256(signer.root) }) })
  assert.equal(await right.unary(open, ''), 'nobody with undefined')
  right.close()
  const wrong = client(server.port, { trust: () => ({ rootSha256: rootSha256(stranger.root) }) })
  const refused = await failure(wrong.unary(open, ''))
  wrong.close()
  assert.match(refused.message, /does not belong to the root certificate that the join token names/)
})

test('an impostor who shows the pinned root beside a chain of its own is refused', async () => {
  const signer = await authority()
  const stranger = await authority()
  const fake = await certificate(stranger, control)
  const shown = { key: fake.key, cert: fake.cert + signer.root }
  await using server = await serve(stranger, standard, () => shown)
  const channel = client(server.port, { trust: () => ({ rootSha256: rootSha256(signer.root) }) })
  const refused = await failure(channel.unary(open, ''))
  channel.close()
  assert.equal(refused.code, rpcCodes.unavailable)
})

test('both certificates rotate under an open stream, which goes on; later calls use the new ones', async () => {
  const signer = await authority()
  let own = await certificate(signer, control)
  let mine = await certificate(signer, orders)
  const seen: string[] = []
  const services = [...standard.slice(1), unary(whoami, () => 'me')]
  const roots = [new X509Certificate(signer.root)]
  await using server = await serveGrpc({
    host: '127.0.0.1',
    port: 0,
    certificate: () => own,
    clientRoots: () => [signer.root],
    identify: certificates => {
      const judged = verifyPeer(certificates, { roots, trustDomain: td, role: 'client' }, Date.now())
      if ('peer' in judged) seen.push(judged.serial)
      return judged
    },
    services,
    log: silent,
  })
  const servers: string[] = []
  const channel = client(server.port, {
    trust: () => ({ roots: [signer.root] }),
    certificate: () => mine,
    expectedServer: leaf => void servers.push(new X509Certificate(leaf).serialNumber.toLowerCase()),
  })
  const told = listen<string>()
  const talk = channel.stream(echo, told.events)
  talk.send('before')
  await told.until(() => told.messages.length === 1)

  const olds = { own: own.serial, mine: mine.serial }
  own = await certificate(signer, control)
  mine = await certificate(signer, orders)
  server.setCertificate()
  channel.renew()
  assert.equal(await channel.unary(whoami, ''), 'me')
  talk.send('after')
  await told.until(() => told.messages.length === 2)
  talk.end()
  await told.until(() => told.status() !== undefined)

  assert.deepEqual(told.messages, ['before!', 'after!'])
  assert.equal(told.status()?.code, rpcCodes.ok)
  assert.deepEqual(seen, [olds.mine, mine.serial])
  assert.deepEqual(servers, [olds.own, own.serial])
  await until(() => server.connections === 1) // the old connection went with its last stream
  channel.close()
})

test('2,000 streams live on ten connections, and 200 opened at once on one are all served', async () => {
  const signer = await authority()
  const own = await certificate(signer, control)
  const mine = await certificate(signer, orders)
  await using server = await serve(signer, standard, () => own)
  const channels = Array.from({ length: 10 }, () =>
    client(server.port, { trust: () => ({ roots: [signer.root] }), certificate: () => mine }),
  )
  const all = channels.flatMap(channel =>
    Array.from({ length: 200 }, (_, at) => {
      const told = listen<string>()
      const talk = channel.stream(echo, told.events)
      talk.send(String(at))
      return { told, talk }
    }),
  )
  for (const [at, { told }] of all.entries()) {
    await told.until(() => told.messages.length === 1 || told.status() !== undefined)
    assert.deepEqual([told.messages[0], told.status()], [`${at % 200}!`, undefined])
  }
  assert.equal(server.connections, 10)
  for (const { talk } of all) talk.end()
  for (const { told } of all) {
    await told.until(() => told.status() !== undefined)
    assert.equal(told.status()?.code, rpcCodes.ok)
  }
  for (const channel of channels) channel.close()
})

test('200 clients that connect at the same moment are all served', async () => {
  const signer = await authority()
  const own = await certificate(signer, control)
  const mine = await certificate(signer, orders)
  await using server = await serve(signer, standard, () => own)
  const channels = Array.from({ length: 200 }, () =>
    client(server.port, { trust: () => ({ roots: [signer.root] }), certificate: () => mine }),
  )
  const answers = await Promise.all(channels.map(channel => channel.unary(whoami, '', { timeoutMs: 60_000 })))
  assert.deepEqual(new Set(answers), new Set([`${orders} `]))
  for (const channel of channels) channel.close()
})

test('a reader that pauses holds the writer back, and gets every byte of a large push in order when it goes on', async () => {
  const signer = await authority()
  const own = await certificate(signer, control)
  const mine = await certificate(signer, orders)
  const block = new Uint8Array(1024 * 1024)
  let sent = 0
  let heldBack = false
  const total = 60
  const pouring = stream(pour, (replies): StreamEvents<string> => {
    const go = (): void => {
      while (sent < total) {
        block[0] = sent++
        if (!replies.send(Uint8Array.from(block))) {
          heldBack = true
          return
        }
      }
      replies.end()
    }
    return { message: go, drain: () => go(), end() {} }
  })
  await using server = await serve(signer, [pouring], () => own)
  const channel = client(server.port, { trust: () => ({ roots: [signer.root] }), certificate: () => mine })
  const told = listen<Uint8Array>()
  const talk = channel.stream(pour, told.events)
  talk.pause()
  talk.send('go')
  await new Promise(resolve => setTimeout(resolve, 300))
  assert.equal(heldBack, true)
  assert.ok(sent < total, `${sent} of ${total} blocks were taken while nobody read`)
  talk.resume()
  await told.until(() => told.status() !== undefined)
  assert.equal(told.status()?.code, rpcCodes.ok)
  assert.deepEqual(
    told.messages.map(bytes => bytes[0]),
    Array.from({ length: total }, (_, at) => at),
  )
  assert.ok(told.messages.every(bytes => bytes.length === block.length))
  channel.close()
})

test('a message of 20 MB passes', async () => {
  const signer = await authority()
  const own = await certificate(signer, control)
  await using server = await serve(
    signer,
    [unary({ ...open, reply: raw } as Rpc<string, Uint8Array>, () => new Uint8Array(20_000_000), { open: true })],
    () => own,
  )
  const channel = client(server.port, { trust: () => ({ roots: [signer.root] }) })
  const reply = await channel.unary({ ...open, reply: raw } as Rpc<string, Uint8Array>, '')
  assert.equal(reply.length, 20_000_000)
  channel.close()
})

test('a handler chooses its status; a bug in it is answered without its words and logged', async () => {
  const signer = await authority()
  const own = await certificate(signer, control)
  const errors: string[] = []
  const log: Log = { ...silent, error: says => void errors.push(says) }
  const services = [
    unary(
      open,
      request => {
        throw request === 'no' ? new RpcError(rpcCodes.permissionDenied, 'not you') : new Error('secret path')
      },
      { open: true },
    ),
    stream(
      echo,
      () => ({
        message() {
          throw new Error('secret path')
        },
        end() {},
      }),
      { open: true },
    ),
  ]
  await using server = await serve(signer, services, () => own, log)
  const channel = client(server.port, { trust: () => ({ roots: [signer.root] }) })
  const chosen = await failure(channel.unary(open, 'no'))
  assert.deepEqual([chosen.code, chosen.message], [rpcCodes.permissionDenied, 'not you'])
  const bug = await failure(channel.unary(open, 'bug'))
  assert.equal(bug.code, rpcCodes.internal)
  assert.doesNotMatch(bug.message, /secret/)
  const told = listen<string>()
  channel.stream(echo, told.events).send('x')
  await told.until(() => told.status() !== undefined)
  assert.equal(told.status()?.code, rpcCodes.internal)
  assert.equal(errors.length, 2)
  channel.close()
})

test('the server is told when a caller goes away, and a caller when the server closes', async () => {
  const signer = await authority()
  const own = await certificate(signer, control)
  const ended: RpcStatus[] = []
  let opened: GrpcStream<string> | undefined
  const services = [
    stream(
      echo,
      (replies): StreamEvents<string> => {
        opened = replies
        return { message: message => void replies.send(message), end: status => void ended.push(status) }
      },
      { open: true },
    ),
  ]
  const server = await serve(signer, services, () => own)
  const channel = client(server.port, { trust: () => ({ roots: [signer.root] }) })
  const first = listen<string>()
  const talk = channel.stream(echo, first.events)
  talk.send('a')
  await first.until(() => first.messages.length === 1)
  talk.cancel()
  await first.until(() => first.status() !== undefined)
  assert.equal(first.status()?.code, rpcCodes.cancelled)
  for (let tries = 0; ended.length === 0 && tries < 200; tries++) await new Promise(resolve => setTimeout(resolve, 10))
  assert.deepEqual(
    ended.map(status => status.code),
    [rpcCodes.cancelled],
  )
  assert.equal(opened?.send('into the void'), true)

  const second = listen<string>()
  channel.stream(echo, second.events).send('b')
  await second.until(() => second.messages.length === 1)
  await server.close(50)
  await second.until(() => second.status() !== undefined)
  assert.notEqual(second.status()?.code, rpcCodes.ok)
  channel.close()
})

test('what is not TLS 1.3 gets nowhere and does not disturb the server', async () => {
  const signer = await authority()
  const own = await certificate(signer, control)
  await using server = await serve(signer, standard, () => own)
  const old = await new Promise<string>(resolve => {
    const socket = tlsConnect(
      { host: '127.0.0.1', port: server.port, maxVersion: 'TLSv1.2', rejectUnauthorized: false, ALPNProtocols: ['h2'] },
      () => resolve('connected'),
    )
    socket.on('error', error => resolve(error.message))
  })
  assert.match(old, /alert|version/)
  await new Promise<void>(resolve => {
    const socket = connect(server.port, '127.0.0.1', () => socket.write('GET / HTTP/1.1\r\n\r\n'))
    socket.on('error', () => {})
    socket.on('close', () => resolve())
    socket.resume()
  })
  const channel = client(server.port, { trust: () => ({ roots: [signer.root] }) })
  assert.equal(await channel.unary(open, ''), 'nobody with undefined')
  channel.close()
})

test('a server that freezes is noticed, and the stream ends as unavailable', async () => {
  const signer = await authority()
  const own = await certificate(signer, control)
  const mine = await certificate(signer, orders)
  await using server = await serve(signer, standard, () => own)
  const sockets: Socket[] = []
  const relay = createServer(near => {
    const far = connect(server.port, '127.0.0.1')
    sockets.push(near, far)
    near.pipe(far).pipe(near)
    for (const socket of [near, far]) socket.on('error', () => {})
  })
  await new Promise<void>(resolve => relay.listen(0, '127.0.0.1', resolve))
  const channel = client((relay.address() as AddressInfo).port, {
    trust: () => ({ roots: [signer.root] }),
    certificate: () => mine,
    frozenMs: 300,
  })
  const told = listen<string>()
  const talk = channel.stream(echo, told.events)
  talk.send('alive')
  await told.until(() => told.messages.length === 1)
  await new Promise(resolve => setTimeout(resolve, 900))
  assert.equal(told.status(), undefined) // silence alone is no reason: pings are answered
  for (const socket of sockets) socket.unpipe().pause()
  await until(() => told.status() !== undefined)
  assert.equal(told.status()?.code, rpcCodes.unavailable)
  channel.close()
  for (const socket of sockets) socket.destroy()
  relay.close()
})

test('a stock gRPC client with a certificate is served as well, by host name, on TLS 1.3 with a post-quantum key exchange', async () => {
  const signer = await authority()
  const key = await newKey()
  const issued = issueLeaf(signer, key.public, control, Date.now(), { dns: ['localhost'], ips: ['127.0.0.1'] })
  await using server = await serve(signer, standard, () => ({ key: key.pem, cert: issued.chain.join('') }))
  const mine = await certificate(signer, orders)
  const credentials = grpc.credentials.createSsl(Buffer.from(signer.root), Buffer.from(mine.key), Buffer.from(mine.cert))
  const stock = new grpc.Client(`localhost:${server.port}`, credentials)
  const answer = await new Promise<string>((resolve, reject) => {
    const done = (error: grpc.ServiceError | null, reply?: string): void => (error ? reject(error) : resolve(reply ?? ''))
    stock.makeUnaryRequest(whoami.path, (message: string) => Buffer.from(message), String, '', done)
  })
  stock.close()
  assert.equal(answer, `${orders} `)

  const session = await new Promise<{ protocol: string | null; group: string | undefined }>((resolve, reject) => {
    const socket = tlsConnect({ host: '127.0.0.1', port: server.port, ca: [signer.root], ALPNProtocols: ['h2'] }, () => {
      resolve({ protocol: socket.getProtocol(), group: (socket.getEphemeralKeyInfo() as { name?: string }).name })
      socket.destroy()
    })
    socket.on('error', reject)
  })
  assert.deepEqual(session, { protocol: 'TLSv1.3', group: 'X25519MLKEM768' })
})

test('two services of one path are refused', async () => {
  const signer = await authority()
  const own = await certificate(signer, control)
  await assert.rejects(
    serve(signer, [...standard, standard[0]!], () => own),
    /two services have the path \/test\.Test\/Whoami/,
  )
})

test('a port that is taken is named with what to do', async () => {
  const signer = await authority()
  const own = await certificate(signer, control)
  await using server = await serve(signer, standard, () => own)
  const again = serveGrpc({
    host: '127.0.0.1',
    port: server.port,
    certificate: () => own,
    clientRoots: () => [],
    identify: () => ({ refused: '' }),
    services: [],
    log: silent,
  })
  await assert.rejects(again, /port \d+ on 127\.0\.0\.1 is in use by another program: stop it, or choose another port/)
})

test('a paused stream is told its end only after the messages that came before it', async () => {
  const signer = await authority()
  const own = await certificate(signer, control)
  const burst = stream(
    echo,
    (replies): StreamEvents<string> => ({ message() {}, end: () => (['a', 'b', 'c'].map(replies.send), replies.end()) }),
    { open: true },
  )
  await using server = await serve(signer, [burst], () => own)
  const channel = client(server.port, { trust: () => ({ roots: [signer.root] }) })
  const told = listen<string>()
  const talk = channel.stream(echo, told.events)
  talk.pause()
  talk.end()
  await new Promise(resolve => setTimeout(resolve, 200))
  assert.deepEqual([told.messages, told.status()], [[], undefined])
  talk.resume()
  await told.until(() => told.status() !== undefined)
  assert.deepEqual([told.messages, told.status()?.code], [['a', 'b', 'c'], rpcCodes.ok])
  channel.close()
})

test('a connection whose certificate has expired since opens no new calls, and renew mends it', async () => {
  const signer = await authority()
  const own = await certificate(signer, control)
  let mine = await certificate(signer, orders, Date.now(), 2_500)
  await using server = await serve(signer, standard, () => own)
  const channel = client(server.port, { trust: () => ({ roots: [signer.root] }), certificate: () => mine })
  assert.equal(await channel.unary(whoami, ''), `${orders} `)
  await new Promise(resolve => setTimeout(resolve, 2_600))
  const refused = await failure(channel.unary(whoami, ''))
  assert.equal(refused.code, rpcCodes.unauthenticated)
  assert.match(refused.message, /of this connection expired at .*; connect again with a newer one/)
  mine = await certificate(signer, orders)
  channel.renew()
  assert.equal(await channel.unary(whoami, ''), `${orders} `)
  channel.close()
})
