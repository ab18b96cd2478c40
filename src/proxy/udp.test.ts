import assert from 'node:assert/strict'
import dgram from 'node:dgram'
import { once } from 'node:events'
import http2 from 'node:http2'
import net from 'node:net'
import { after, before, test } from 'node:test'
import { identityOf, inboundSide, materials, outboundSide, remote } from '../../test/harness/pair.ts'
import type { TlsMaterial } from '../io/net.ts'
import type { Listener } from '../model/listener.ts'
import type { Core } from './core.ts'

let known: Record<string, TlsMaterial>
before(async () => {
  known = await materials('web', 'dns', 'eve')
})

/** A real program that answers each datagram with what it makes of it. */
async function program(answer: (bytes: Buffer, from: dgram.RemoteInfo) => Buffer | undefined) {
  const socket = dgram.createSocket('udp4')
  socket.on('message', (bytes, from) => {
    const told = answer(bytes, from)
    if (told !== undefined) socket.send(told, from.port, from.address)
  })
  socket.bind(0, '127.0.0.1')
  await once(socket, 'listening')
  after(() => void (closed.has(socket) || socket.close()))
  socket.once('close', () => closed.add(socket))
  return { socket, port: socket.address().port }
}
const closed = new WeakSet<dgram.Socket>()

async function asker(port: number) {
  const socket = dgram.createSocket('udp4')
  socket.connect(port, '127.0.0.1')
  await once(socket, 'connect')
  after(() => void (closed.has(socket) || socket.close()))
  socket.once('close', () => closed.add(socket))
  const heard: string[] = []
  socket.on('message', bytes => heard.push(String(bytes)))
  socket.on('error', () => {})
  return { socket, heard, send: (text: string | Buffer) => socket.send(text) }
}

async function until(holds: () => boolean, what: string): Promise<void> {
  const end = performance.now() + 5000
  while (!holds()) {
    if (performance.now() > end) throw new Error(`never: ${what}`)
    await new Promise(done => setTimeout(done, 10))
  }
}

/** The sum of a metric's samples whose line has all of these. */
function counted(core: Core, name: string, ...parts: readonly string[]): number {
  const lines = core.meter.registry.text().split('\n')
  return lines
    .filter(line => line.startsWith(`${name}{`) && parts.every(part => line.includes(part)))
    .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0)
}

type Options = { readonly idleMs?: number; readonly identities?: readonly string[]; readonly ports?: readonly number[] }

/** A caller's proxy that takes datagrams on a socket of its own, in front of the proxy of a program on `appPort`. */
async function pair(appPort: number, { idleMs, identities, ports }: Options = {}) {
  const inside = await inboundSide('dns', appPort, 'udp', known['dns']!, undefined, 'udp')
  const parts = remote('dns', ports ?? [inside.port], { protocol: 'udp', ...(identities === undefined ? {} : { identities }) })
  const listener: Listener = {
    name: 'out/udp',
    direction: 'outbound',
    host: '127.0.0.1',
    port: 53,
    protocol: 'udp',
    service: 'dns.default',
    backends: [{ backend: Object.keys(parts.backends)[0]!, weight: 1 }],
    ...(idleMs === undefined ? {} : { idleMs }),
  }
  const outside = await outboundSide('web', known['web']!, 'tcp', { ...parts, listeners: { 'out/udp': listener } })
  const opened = await outside.core.openDatagrams('out/udp', '127.0.0.1', 0)
  after(async () => {
    await outside[Symbol.asyncDispose]()
    await inside.core[Symbol.asyncDispose]()
  })
  return { inside: inside.core, outside: outside.core, swap: outside.swap, port: opened.port, meshPort: inside.port, parts }
}

test('a datagram reaches the program behind the other proxy, and its answer the one who asked', async () => {
  const app = await program(bytes => Buffer.from(`${bytes}!`))
  const { port, outside, inside } = await pair(app.port)
  const one = await asker(port)
  one.send('hello')
  await until(() => one.heard.length === 1, 'the answer')
  assert.deepEqual(one.heard, ['hello!'])
  assert.equal(counted(outside, 'weft_udp_datagrams_total', 'flow="sent"'), 1)
  assert.equal(counted(outside, 'weft_udp_datagrams_total', 'flow="received"'), 1)
  assert.equal(counted(inside, 'weft_upstream_streams'), 0)
})

test('many sessions at once are kept apart: each hears its own answers, in order, and the program sees one source for each', async () => {
  const sources = new Map<string, Set<number>>()
  const app = await program((bytes, from) => {
    const who = String(bytes).split(' ')[0]!
    const seen = sources.get(who) ?? new Set()
    sources.set(who, seen.add(from.port))
    return Buffer.from(`to ${bytes}`)
  })
  const { port } = await pair(app.port)
  const all = await Promise.all(Array.from({ length: 100 }, () => asker(port)))
  for (const [at, each] of all.entries()) each.send(`c${at} 0`)
  await until(() => all.every(({ heard }) => heard.length === 1), 'the first answers')
  for (let turn = 1; turn < 5; turn++) for (const [at, each] of all.entries()) each.send(`c${at} ${turn}`)
  await until(() => all.every(({ heard }) => heard.length === 5), 'all answers')
  for (const [at, { heard }] of all.entries())
    assert.deepEqual(
      heard,
      [0, 1, 2, 3, 4].map(turn => `to c${at} ${turn}`),
    )
  assert.ok([...sources.values()].every(seen => seen.size === 1))
  assert.equal(new Set([...sources.values()].map(seen => [...seen][0])).size, 100)
})

test('datagrams of every size pass whole, from none to what IPv4 carries', async () => {
  const app = await program(bytes => Buffer.from(`${bytes.length} ${bytes.every(byte => byte === 7)}`))
  const { port } = await pair(app.port)
  const one = await asker(port)
  for (const size of [0, 1, 62, 63, 1472, 9000, 16_383, 65_507]) {
    one.heard.length = 0
    one.send(Buffer.alloc(size, 7))
    await until(() => one.heard.length === 1, `the answer to ${size}`)
    assert.deepEqual(one.heard, [`${size} true`])
  }
})

test('a session ends when nothing passed for its idle time, at both proxies, and the next datagram begins another', async () => {
  const app = await program((_, from) => Buffer.from(String(from.port)))
  const { port, inside, outside } = await pair(app.port, { idleMs: 150 })
  const one = await asker(port)
  one.send('a')
  await until(() => one.heard.length === 1, 'the first answer')
  const closedOnes = (core: Core, direction: string) =>
    counted(core, 'weft_tcp_connections_closed_total', `direction="${direction}"`, 'protocol="udp"')
  await until(() => closedOnes(outside, 'outbound') === 1 && closedOnes(inside, 'inbound') === 1, 'the end of the session')
  assert.equal(counted(inside, 'weft_tcp_connections_closed_total', 'reason=""', identityOf('web')), 1)
  assert.equal(counted(outside, 'weft_upstream_streams'), 0)
  one.send('b')
  await until(() => one.heard.length === 2, 'the second answer')
  assert.equal(counted(outside, 'weft_udp_sessions_total', 'outcome="relayed"'), 2)
})

test('where nobody takes datagrams the session is refused, and a new one is tried with the next datagram', async () => {
  const app = await program(bytes => bytes)
  app.socket.close()
  const { port, outside } = await pair(app.port)
  const one = await asker(port)
  one.send('a')
  await until(() => counted(outside, 'weft_udp_sessions_total', 'outcome="refused"') === 1, 'the refusal')
  one.send('b')
  await until(() => counted(outside, 'weft_udp_sessions_total', 'outcome="refused"') === 2, 'the second refusal')
})

test('a peer that proves another identity than that of the service gets no datagram', async () => {
  const heard: string[] = []
  const app = await program(bytes => void heard.push(String(bytes)))
  const { port, outside } = await pair(app.port, { identities: [identityOf('eve')] })
  const one = await asker(port)
  one.send('secret')
  await until(() => counted(outside, 'weft_udp_sessions_total', 'outcome="refused"') === 1, 'the refusal')
  assert.equal(counted(outside, 'weft_tcp_connections_closed_total', 'reason="identity-mismatch"'), 1)
  assert.deepEqual(heard, [])
})

test('an endpoint that cannot be reached is passed over: the first datagram goes to another, once', async () => {
  const heard: string[] = []
  const app = await program(bytes => {
    heard.push(String(bytes))
    return bytes
  })
  const gone = net.createServer().listen(0, '127.0.0.1')
  await once(gone, 'listening')
  const { port: dead } = gone.address() as net.AddressInfo
  gone.close()
  const inside = await inboundSide('dns', app.port, 'udp', known['dns']!, undefined, 'udp')
  after(() => inside.core[Symbol.asyncDispose]())
  const { port } = await pair(app.port, { ports: [dead, inside.port] })
  const all = await Promise.all([asker(port), asker(port)])
  for (const [at, each] of all.entries()) {
    each.send(`q${at}`)
    each.send(`r${at}`)
  }
  await until(() => all.every(each => each.heard.length === 2), 'the answers')
  assert.deepEqual(heard.toSorted(), ['q0', 'q1', 'r0', 'r1'])
})

test('sessions are shared out by weight, and each stays where it began', async () => {
  const one = await program(() => Buffer.from('one'))
  const two = await program(() => Buffer.from('two'))
  const first = await pair(one.port)
  const second = await inboundSide('dns', two.port, 'udp', known['dns']!, undefined, 'udp')
  after(() => second.core[Symbol.asyncDispose]())
  const other = remote('dns', [second.port], { protocol: 'udp' })
  const [name] = Object.keys(first.parts.backends)
  const renamed = { ...other.backends[name!]!, name: 'other' }
  first.swap({
    backends: { ...first.parts.backends, other: renamed },
    endpoints: { ...first.parts.endpoints, other: { backend: 'other', endpoints: other.endpoints[name!]!.endpoints } },
    listeners: {
      'out/udp': {
        name: 'out/udp',
        direction: 'outbound',
        host: '127.0.0.1',
        port: 53,
        protocol: 'udp',
        service: 'dns.default',
        backends: [
          { backend: name, weight: 1 },
          { backend: 'other', weight: 3 },
        ],
      },
    },
  })
  const all = await Promise.all(Array.from({ length: 200 }, () => asker(first.port)))
  for (let turn = 1; turn <= 2; turn++) {
    for (const each of all) each.send('who?')
    await until(() => all.every(({ heard }) => heard.length === turn), 'the answers')
  }
  assert.ok(all.every(({ heard }) => heard[0] === heard[1]))
  const share = all.filter(({ heard }) => heard[0] === 'two').length
  assert.ok(share > 110 && share < 185, `${share} of 200 went to the backend with three quarters of the weight`)
})

test('the proxy in front of the program may go away: the next datagram begins a session with one that is there', async () => {
  const app = await program(bytes => bytes)
  const { port, inside, outside, swap, parts } = await pair(app.port)
  const one = await asker(port)
  one.send('a')
  await until(() => one.heard.length === 1, 'the first answer')
  await inside.drain(0)
  const fresh = await inboundSide('dns', app.port, 'udp', known['dns']!, undefined, 'udp')
  after(() => fresh.core[Symbol.asyncDispose]())
  swap({ endpoints: remote('dns', [fresh.port], { protocol: 'udp' }).endpoints, backends: parts.backends })
  await until(() => counted(outside, 'weft_tcp_connections_closed_total', 'direction="outbound"') === 1, 'the end of the session')
  one.send('b')
  await until(() => one.heard.length === 2, 'the second answer')
})

test('a proxy that ends answers what was just asked, takes no new session, and leaves no socket behind', async () => {
  const app = await program(bytes => Buffer.from(`${bytes}!`))
  const { port, outside } = await pair(app.port)
  const one = await asker(port)
  one.send('a')
  await until(() => one.heard.length === 1, 'the first answer')
  const drained = outside.drain(10_000)
  one.send('b')
  await until(() => one.heard.length === 2, 'the second answer')
  const late = await asker(port)
  late.send('c')
  await drained
  assert.deepEqual(late.heard, [])
  assert.equal(counted(outside, 'weft_tcp_connections_closed_total', 'direction="outbound"', 'reason="draining"'), 1)
  const again = dgram.createSocket('udp4')
  again.bind(port, '127.0.0.1')
  await once(again, 'listening')
  again.close()
})

test('a flood that the other end does not take is dropped and counted, and other sessions go on', async () => {
  const app = await program(bytes => (bytes.length < 100 ? bytes : undefined))
  const { port, outside } = await pair(app.port)
  const flood = await asker(port)
  const one = await asker(port)
  one.send('before')
  flood.send('first')
  await until(() => one.heard.length === 1 && flood.heard.length === 1, 'both sessions')
  const full = Buffer.alloc(60_000)
  for (let at = 0; at < 400; at++) flood.send(full)
  await until(() => counted(outside, 'weft_udp_datagrams_total', 'flow="dropped"') > 0, 'dropped datagrams')
  one.send('after')
  await until(() => one.heard.length === 2, 'the answer to the other session')
})

/** A client of RFC 9298 made of Node's HTTP/2, as `web`. */
async function masque(port: number) {
  const { key, cert, roots } = known['web']!
  const session = http2.connect(`https://127.0.0.1:${port}`, {
    key,
    cert,
    ca: [...roots],
    checkServerIdentity: () => undefined,
    ALPNProtocols: ['h2'],
  })
  session.on('error', () => {})
  after(() => session.destroy())
  await once(session, 'remoteSettings')
  const open = async (target: string) => {
    const stream = session.request({
      ':method': 'CONNECT',
      ':protocol': 'connect-udp',
      ':scheme': 'https',
      ':authority': 'dns',
      ':path': `/.well-known/masque/udp/${target}/`,
      'capsule-protocol': '?1',
    })
    stream.on('error', () => {})
    const heard: Buffer[] = []
    stream.on('data', (bytes: Buffer) => heard.push(bytes))
    const [answer] = (await once(stream, 'response')) as [http2.IncomingHttpHeaders & http2.IncomingHttpStatusHeader]
    return { stream, answer, heard: () => Buffer.concat(heard).toString('latin1') }
  }
  return { session, open }
}

test('a client of RFC 9298 that is none of ours is served: what target it names changes nothing, and capsules that nobody knows are skipped', async () => {
  const app = await program(bytes => Buffer.from(`${bytes}!`))
  const { meshPort } = await pair(app.port)
  const { open } = await masque(meshPort)
  const { stream, answer, heard } = await open('192.0.2.1/9')
  assert.deepEqual([answer[':status'], answer['capsule-protocol']], [200, '?1'])
  stream.write(Buffer.from('\x17\x03xyz\x00\x02\x00a\x00\x03\x04zz\x00', 'latin1'))
  stream.write(Buffer.from('\x02\x00b', 'latin1'))
  await until(() => heard().length === 10, 'both answers')
  assert.equal(heard(), '\x00\x03\x00a!\x00\x03\x00b!')
  stream.end()
  await once(stream, 'close')
  assert.equal(stream.rstCode, 0)
})

test('a stream that is no capsules is reset, one that ends within a capsule too, and a lost connection ends its sessions', async () => {
  const app = await program(bytes => bytes)
  const { meshPort, inside } = await pair(app.port)
  const { session, open } = await masque(meshPort)
  for (const [wrong, isEnd] of [
    ['\x00\x00', false],
    ['\x00\x80\x02\x00\x00', false],
    ['\x00\x05\x00a', true],
  ] as const) {
    const { stream } = await open('127.0.0.1/53')
    if (isEnd) stream.end(Buffer.from(wrong, 'latin1'))
    else stream.write(Buffer.from(wrong, 'latin1'))
    await new Promise(done => stream.once('close', done)) // `once` minds the error
    assert.equal(stream.rstCode, http2.constants.NGHTTP2_PROTOCOL_ERROR)
  }
  const over = (reason: string) => counted(inside, 'weft_tcp_connections_closed_total', 'protocol="udp"', `reason="${reason}"`)
  assert.equal(over('bad-request'), 3)
  await Promise.all([open('127.0.0.1/53'), open('127.0.0.1/53')])
  session.destroy()
  await until(() => over('') === 2, 'the end of the sessions')
})

test('a port of HTTP refuses connect-udp, and a port of datagrams refuses all else', async () => {
  const web = net.createServer(socket => socket.destroy()).listen(0, '127.0.0.1')
  await once(web, 'listening')
  after(() => web.close())
  const appPort = (web.address() as net.AddressInfo).port
  const plain = await inboundSide('dns', appPort, 'http', known['dns']!, undefined, 'http2')
  after(() => plain.core[Symbol.asyncDispose]())
  const { port, outside } = await pair(appPort, { ports: [plain.port] })
  const one = await asker(port)
  one.send('a')
  await until(() => counted(outside, 'weft_udp_sessions_total', 'outcome="refused"') === 1, 'the refusal')
  assert.equal(counted(plain.core, 'weft_requests_total', 'code="501"', 'reason="not-implemented"'), 1)
})
