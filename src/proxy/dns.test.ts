/** Mesh DNS as programs meet it: dig, kdig and Node's resolver ask over real sockets; servers of the machine are played by real sockets too. */

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import dgram from 'node:dgram'
import { Resolver } from 'node:dns/promises'
import net from 'node:net'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test, type TestContext } from 'node:test'
import { promisify } from 'node:util'
import { listenDns } from '#io/dns-server'
import { hostResolver, machineServers } from '#io/resolver'
import { portName } from '#model/port'
import { emptyView, type View } from '#model/view'
import { dnsTypes, encodeAnswer, encodeQuery, framed, parseQuery, parseReply, type Query } from '#wire/dns'
import { meshAnswer } from './dns/zone.ts'
import { MeshDns, OutsideNames } from './dns.ts'

const run = promisify(execFile)
const has = async (tool: string): Promise<string | false> =>
  run(tool, [tool === 'dig' ? '-v' : '--version']).then(
    () => false,
    () => `${tool} is not installed`,
  )

const listenerAt = (port: number, protocol: 'http' | 'tcp' | 'udp') => ({
  name: `outbound/default/catalog:${portName(port, protocol)}`,
  direction: 'outbound' as const,
  host: '240.77.1.2',
  port,
  protocol,
  service: 'catalog.default',
})
const view: View = {
  ...emptyView,
  listeners: { a: listenerAt(8080, 'http'), b: listenerAt(5432, 'tcp'), c: listenerAt(8080, 'udp') },
  dns: ['catalog', 'catalog.default', 'catalog.default.svc', 'catalog.default.svc.cluster.local'].map(name => ({
    name,
    addresses: ['240.77.1.2'],
  })),
}

/** A server of the machine: answers by `reply`, counts what it is asked. */
async function server(t: TestContext, reply: (query: Query, from: 'udp' | 'tcp') => Uint8Array | undefined) {
  const asked: { name: string; type: number; from: 'udp' | 'tcp'; id: number; port: number; edns: number | undefined }[] = []
  const tcp = net.createServer(socket => {
    socket.on('error', () => {})
    socket.on('data', (bytes: Buffer) => {
      const answer = take(bytes.subarray(2), 'tcp', socket.remotePort!)
      if (answer !== undefined) socket.write(framed(answer))
    })
  })
  await new Promise<void>(done => tcp.listen(0, '127.0.0.1', done))
  const { port } = tcp.address() as net.AddressInfo
  const udp = dgram.createSocket('udp4')
  udp.on('message', (bytes, from) => {
    const answer = take(bytes, 'udp', from.port)
    if (answer !== undefined) udp.send(answer, from.port, from.address)
  })
  await new Promise<void>(done => udp.bind(port, '127.0.0.1', done))
  t.after(() => {
    udp.close()
    tcp.close()
  })
  return { place: `127.0.0.1:${port}`, asked }

  function take(bytes: Uint8Array, from: 'udp' | 'tcp', port: number): Uint8Array | undefined {
    const incoming = parseQuery(bytes)
    if (incoming.type !== 'query') return undefined
    const { query } = incoming
    asked.push({ name: query.question.name, type: query.question.type, from, id: query.id, port, edns: query.edns?.udpBytes })
    return reply(query, from)
  }
}

type Given = { servers?: readonly string[]; virtual?: boolean; patienceMs?: number }
async function open(t: TestContext, { servers = [], virtual = false, patienceMs = 300 }: Given = {}) {
  let now = 0
  const outside = new OutsideNames({ virtual })
  const ask = hostResolver({ servers: () => servers, patienceMs })
  const dns = new MeshDns({ view: () => view, ready: async () => {}, ask, outside, now: () => now })
  const listening = await listenDns('127.0.0.1', 0, (query, from) => dns.answer(query, from))
  t.after(() => listening[Symbol.asyncDispose]())
  const dig = async (...args: string[]) =>
    (await run('dig', ['@127.0.0.1', '-p', String(listening.port), '+tries=1', '+time=5', ...args])).stdout
  return { dns, outside, port: listening.port, dig, pass: (ms: number) => (now += ms) }
}

const soa = { zone: 'test', primary: 'ns.test', mailbox: 'h.test', serial: 1, ttlSeconds: 100, minimumSeconds: 30 }
const usual = (query: Query): Uint8Array =>
  query.question.name.toLowerCase().endsWith('absent.test')
    ? encodeAnswer(query, { code: 'no-such-name', soa })
    : encodeAnswer(
        query,
        query.question.type === dnsTypes.A ? { code: 'ok', addresses: ['192.0.2.7'], ttlSeconds: 60 } : { code: 'ok', soa },
      )

describe('dig asks the mesh', { skip: await has('dig') }, () => {
  for (const name of ['catalog', 'catalog.default', 'catalog.default.svc.cluster.local', 'catalog.default.mesh', 'CaTaLoG.default'])
    test(`${name} has its virtual address, over UDP and over TCP`, async t => {
      const { dig } = await open(t)
      assert.equal(await dig('+short', name), '240.77.1.2\n')
      assert.equal(await dig('+short', '+tcp', name), '240.77.1.2\n')
    })

  test('a mesh name has no IPv6 address, which is not the same as that there is no such name', async t => {
    const { dig } = await open(t)
    const said = await dig('catalog.default', 'AAAA')
    assert.match(said, /status: NOERROR/)
    assert.match(said, /ANSWER: 0, AUTHORITY: 1/)
    assert.match(await dig('nobody.default.svc.cluster.local'), /status: NXDOMAIN/)
  })

  test('SRV tells ports by protocol, by number, and all of them', async t => {
    const { dig } = await open(t)
    const target = 'catalog.default.svc.cluster.local.'
    assert.equal(await dig('+short', '_http._tcp.catalog.default', 'SRV'), `0 100 8080 ${target}\n`)
    assert.equal(await dig('+short', '_5432._tcp.catalog.default.svc.cluster.local', 'SRV'), `0 100 5432 ${target}\n`)
    assert.equal(await dig('+short', '_8080._tcp.catalog.default', 'SRV'), `0 100 8080 ${target}\n`)
    assert.equal(await dig('+short', '_8080._udp.catalog.default', 'SRV'), `0 100 8080 ${target}\n`)
    assert.deepEqual((await dig('+short', 'catalog', 'SRV')).trim().split('\n').sort(), [`0 100 5432 ${target}`, `0 100 8080 ${target}`])
    assert.match(await dig('_5432._udp.catalog.default', 'SRV'), /status: NXDOMAIN/)
    assert.match(await dig('_ldap._tcp.catalog.default', 'SRV'), /status: NXDOMAIN/)
  })

  test('the name of a virtual address is found backwards', async t => {
    const { dig } = await open(t)
    assert.equal(await dig('+short', '-x', '240.77.1.2'), 'catalog.default.svc.cluster.local.\n')
    assert.match(await dig('-x', '240.77.9.9'), /status: NXDOMAIN/)
  })

  test('other names are asked of the machine, each question from a port and with an id of its own', async t => {
    const { place, asked } = await server(t, usual)
    const { dig } = await open(t, { servers: [place] })
    for (let count = 0; count < 6; count++) assert.equal(await dig('+short', `host${count}.test`), '192.0.2.7\n')
    assert.ok(new Set(asked.map(({ id }) => id)).size > 4)
    assert.ok(new Set(asked.map(({ port }) => port)).size > 4)
    assert.ok(asked.every(({ edns }) => edns === 1232))
  })

  test('an answer is kept as long as it may be, its time to live running down', async t => {
    const { place, asked } = await server(t, usual)
    const { dig, pass } = await open(t, { servers: [place] })
    await dig('host.test')
    pass(20_000)
    assert.match(await dig('HOST.test'), /^HOST\.test\.\s+40\s+IN\s+A\s+192\.0\.2\.7$/m)
    assert.equal(asked.length, 1)
    pass(41_000)
    await dig('host.test')
    assert.equal(asked.length, 2)
  })

  test('that there is no such name is remembered as long as the SOA of its zone says (RFC 2308)', async t => {
    const { place, asked } = await server(t, usual)
    const { dig, pass } = await open(t, { servers: [place] })
    assert.match(await dig('absent.test'), /status: NXDOMAIN/)
    pass(29_000)
    assert.match(await dig('absent.test'), /status: NXDOMAIN/)
    assert.equal(asked.length, 1)
    pass(2_000)
    await dig('absent.test')
    assert.equal(asked.length, 2)
  })

  test('a long answer comes over TCP to us, and is truncated for who asks over UDP without EDNS', async t => {
    const many = Array.from({ length: 100 }, (_, index) => `192.0.2.${index}`)
    const { place, asked } = await server(t, (query, from) =>
      encodeAnswer(query, { code: 'ok', addresses: many, ttlSeconds: 60 }, from === 'tcp' ? 65_535 : undefined),
    )
    const { dig } = await open(t, { servers: [place] })
    assert.match(await dig('+noedns', '+ignore', 'many.test'), /flags: qr tc/)
    assert.deepEqual(
      asked.map(({ from }) => from),
      ['udp', 'tcp'],
    )
    assert.equal((await dig('+short', '+noedns', 'many.test')).trim().split('\n').length, 100) // dig comes back over TCP
    assert.equal((await dig('+short', '+bufsize=1232', 'many.test')).trim().split('\n').length, 100)
    assert.equal(asked.length, 2)
  })

  test('a server that fails is passed over, one that is silent too, and none at all is SERVFAIL', async t => {
    const failing = await server(t, query => encodeAnswer(query, { code: 'server-failure' }))
    const silent = await server(t, () => undefined)
    const good = await server(t, usual)
    const some = await open(t, { servers: [failing.place, silent.place, good.place] })
    assert.equal(await some.dig('+short', 'host.test'), '192.0.2.7\n')
    const none = await open(t, { servers: [silent.place], patienceMs: 50 })
    assert.match(await none.dig('host.test'), /status: SERVFAIL/)
  })

  test('with virtual addresses, two hosts outside on one address are told apart', async t => {
    const { place } = await server(t, usual)
    const { dig, outside } = await open(t, { servers: [place], virtual: true })
    const [one, other] = [(await dig('+short', 'one.test')).trim(), (await dig('+short', 'other.test')).trim()]
    assert.match(one, /^240\.78\./)
    assert.notEqual(one, other)
    assert.deepEqual([outside.hostOf(one), outside.hostOf(other)], ['one.test', 'other.test'])
    assert.equal((await dig('+short', 'ONE.test')).trim(), one)
    assert.equal(await dig('+short', '-x', one), 'one.test.\n')
    assert.match(await dig('absent.test'), /status: NXDOMAIN/)
  })
})

test('kdig asks over TCP without waiting for one answer before the next question', { skip: await has('kdig') }, async t => {
  const { port } = await open(t)
  const { stdout } = await run('kdig', ['@127.0.0.1', '-p', String(port), '+tcp', '+keepopen', '+short', 'catalog', 'catalog.default'])
  assert.equal(stdout, '240.77.1.2\n240.77.1.2\n')
})

test("Node's resolver, which is c-ares, finds addresses, services and names", async t => {
  const { port } = await open(t)
  const resolver = new Resolver()
  resolver.setServers([`127.0.0.1:${port}`])
  assert.deepEqual(await resolver.resolve4('catalog.default'), ['240.77.1.2'])
  await assert.rejects(resolver.resolve6('catalog.default'), { code: 'ENODATA' })
  assert.equal((await resolver.resolveSrv('_http._tcp.catalog.default'))[0]?.port, 8080)
  assert.deepEqual(await resolver.reverse('240.77.1.2'), ['catalog.default.svc.cluster.local'])
})

test('a reply to another question, or with another id, is as if it had not come', async t => {
  const liar = await server(t, query =>
    encodeAnswer(
      { ...query, question: { ...query.question, name: 'evil.test' } },
      { code: 'ok', addresses: ['192.0.2.66'], ttlSeconds: 60 },
    ),
  )
  const guesser = await server(t, query => encodeAnswer({ ...query, id: query.id ^ 1 }, { code: 'ok', addresses: ['192.0.2.66'] }))
  const ask = hostResolver({ servers: () => [liar.place, guesser.place], patienceMs: 50 })
  assert.equal(await ask({ name: 'bank.test', type: dnsTypes.A, class: 1 }), undefined)
})

test('a server that does not know EDNS is asked without it', async t => {
  const { place, asked } = await server(t, query =>
    query.edns ? encodeAnswer({ ...query, edns: undefined }, { code: 'format-error' }) : usual(query),
  )
  const reply = await hostResolver({ servers: () => [place] })({ name: 'old.test', type: dnsTypes.A, class: 1 })
  assert.equal(parseReply(reply!)?.answers[0]?.address, '192.0.2.7')
  assert.deepEqual(
    asked.map(({ edns }) => edns),
    [1232, undefined],
  )
})

test('a name that many ask for at once is asked of the machine once', async t => {
  const { place, asked } = await server(t, usual)
  const { dns } = await open(t, { servers: [place] })
  const question = { name: 'host.test', type: dnsTypes.A, class: 1 }
  const queries = Array.from({ length: 20 }, (_, id) => encodeQuery({ id, isRecursionDesired: true, question, edns: undefined }))
  const replies = await Promise.all(queries.map(query => dns.answer(query, 'udp')))
  assert.deepEqual(
    replies.map(reply => parseReply(reply!)?.id),
    queries.map((_, id) => id),
  )
  assert.equal(asked.length, 1)
})

test('answers from outside are kept up to a bound, however many names are asked', async t => {
  const { dns } = await open(t)
  const many = new MeshDns({
    view: () => view,
    ready: async () => {},
    ask: async question => usual({ id: 1, isRecursionDesired: true, question, edns: undefined }),
    now: () => 0,
  })
  for (let id = 0; id < 3000; id++)
    await many.answer(
      encodeQuery({ id, isRecursionDesired: true, question: { name: `h${id}.test`, type: 1, class: 1 }, edns: undefined }),
      'udp',
    )
  assert.equal(many.counts.entries, 1024)
  assert.equal(dns.counts.entries, 0)
})

test('systemd-resolved is recognised, and the servers behind it are asked where its own questions would come back', t => {
  const folder = mkdtempSync(join(tmpdir(), 'weft-resolv-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const [file, upstreamFile] = [join(folder, 'resolv.conf'), join(folder, 'upstream.conf')]
  writeFileSync(file, '# stub\nnameserver 127.0.0.53\noptions edns0 trust-ad\nsearch corp.example\n')
  writeFileSync(upstreamFile, 'nameserver 192.0.2.53\nnameserver fe80::1%eth0\n')
  assert.deepEqual(machineServers({ file, upstreamFile })(), ['127.0.0.53'])
  assert.deepEqual(machineServers({ file, upstreamFile, passStub: true })(), ['192.0.2.53', 'fe80::1%eth0'])
  assert.deepEqual(machineServers({ file: join(folder, 'absent') })(), ['127.0.0.1'])
})

test('what the workload was told for an address names a connection to it, unless two names share it', () => {
  const outside = new OutsideNames({ virtual: false })
  const hear = (name: string, address: string) => {
    const question = { name, type: dnsTypes.A, class: 1 }
    outside.heard(
      question,
      encodeAnswer({ id: 1, isRecursionDesired: true, question, edns: undefined }, { code: 'ok', addresses: [address] }),
    )
  }
  hear('db.example', '192.0.2.1')
  assert.equal(outside.nameOf('192.0.2.1'), 'db.example')
  hear('other.example', '192.0.2.1')
  assert.equal(outside.nameOf('192.0.2.1'), undefined)
  assert.equal(outside.hostOf('192.0.2.1'), undefined)
})

test('behind a name of many addresses each is known by its own name: SRV tells them all, PTR the one', () => {
  const names = (name: string) => [name, `${name}.default`, `${name}.default.svc.cluster.local`]
  const of = (name: string, ...addresses: string[]) => names(name).map(each => ({ name: each, addresses }))
  const at = (host: string, port: number) => ({ ...listenerAt(port, 'http'), host, name: `${host}:${port}` })
  const many: View = {
    ...emptyView,
    listeners: { a: at('240.80.0.1', 8080), b: at('240.80.0.2', 8080), c: at('240.80.0.2', 9090) },
    dns: [...of('peers', '240.80.0.1', '240.80.0.2'), ...of('p-1.peers', '240.80.0.1'), ...of('p-2.peers', '240.80.0.2')],
  }
  const asked = (name: string, type: number) => meshAnswer(many, { name, type, class: 1 })
  assert.deepEqual(asked('_8080._tcp.peers', dnsTypes.SRV)?.services, [
    { port: 8080, target: 'p-1.peers.default.svc.cluster.local' },
    { port: 8080, target: 'p-2.peers.default.svc.cluster.local' },
  ])
  assert.deepEqual(asked('_9090._tcp.peers.default', dnsTypes.SRV)?.services, [
    { port: 9090, target: 'p-2.peers.default.svc.cluster.local' },
  ])
  assert.deepEqual(asked('2.0.80.240.in-addr.arpa', dnsTypes.PTR)?.names, ['p-2.peers.default.svc.cluster.local'])
  assert.equal(asked('9.9.80.240.in-addr.arpa', dnsTypes.PTR)?.code, 'no-such-name')
  const firsts = new Set(Array.from({ length: 100 }, () => asked('peers', dnsTypes.A)?.addresses?.join()))
  assert.deepEqual([...firsts].sort(), ['240.80.0.1,240.80.0.2', '240.80.0.2,240.80.0.1'])
})
