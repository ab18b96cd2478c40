/** Hot restarts, new certificates, crashes of workers and the drain deadline, with two proxies by files and mutual TLS between them. `RESTARTS=20 RATE=1000` repeats the first two. */

import assert from 'node:assert/strict'
import http from 'node:http'
import net from 'node:net'
import { after, before, suite, test } from 'node:test'
import { certificateFolder, type FileProxyProcess, startHalf } from '../harness/file-proxy.ts'
import { type Backend, type Client, grpcBackend, grpcClient, http1Client, http2Client, httpBackend, Steady } from '../harness/steady.ts'

const restarts = Number(process.env['RESTARTS'] ?? 4)
/** Requests a second, beside other tests; a client of gRPC costs twice the others. */
const asked = process.env['RATE']
const rateOf = (kind: string): number => Number(asked ?? (kind === 'gRPC' ? 300 : 600))

const pause = (ms: number) => new Promise(resolve => setTimeout(resolve, ms))

type Pair = AsyncDisposable & { readonly outer: FileProxyProcess; readonly inner: FileProxyProcess }

async function startPair(to: number, certs: string, flags: readonly string[]): Promise<Pair> {
  const inner = await startHalf('in', to, certs, { flags })
  try {
    const outer = await startHalf('out', inner.port, certs, { flags })
    return { outer, inner, [Symbol.asyncDispose]: async () => void (await Promise.all([outer.stop(), inner.stop()])) }
  } catch (thrown) {
    await inner.stop()
    throw thrown
  }
}

const metrics = async ({ admin }: FileProxyProcess): Promise<string> => (await fetch(`${admin}/metrics`)).text()

/** Sum of all samples of a metric whose labels hold that text. */
const sum = (text: string, name: string, label = ''): number =>
  text
    .split('\n')
    .filter(line => line.startsWith(`${name}{`) && line.includes(label))
    .reduce((total, line) => total + Number(line.slice(line.lastIndexOf(' ') + 1)), 0)

type Workers = { readonly workers: readonly { readonly pid: number; readonly state: string }[] }
const workersOf = async ({ admin }: FileProxyProcess): Promise<Workers['workers']> =>
  ((await (await fetch(`${admin}/workers`)).json()) as Workers).workers

async function restart({ admin }: FileProxyProcess): Promise<void> {
  const answer = await fetch(`${admin}/restart`, { method: 'POST' })
  assert.equal(answer.status, 200, await answer.text())
}

const kinds: readonly (readonly [string, () => Promise<Backend>, (port: number) => Client])[] = [
  ['HTTP/1.1', () => httpBackend(1), port => http1Client(port)],
  ['HTTP/2', () => httpBackend(2), port => http2Client(port)],
  ['gRPC', grpcBackend, grpcClient],
]

suite('new certificates', () => {
  const serialOf = async ({ admin }: FileProxyProcess): Promise<string> =>
    ((await (await fetch(`${admin}/status`)).json()) as { readonly certificate: { readonly serial: string } }).certificate.serial

  for (const [name, openBackend, openClient] of kinds)
    test(`no request of ${rateOf(name)} a second of ${name} fails while both proxies get new ones ${restarts} times`, async context => {
      using certs = await certificateFolder()
      await using backend = await openBackend()
      await using pair = await startPair(backend.port, certs.path, [])
      await using load = new Steady(openClient(pair.outer.port), rateOf(name))
      await pause(300)
      for (let nth = 0; nth < restarts; nth++) {
        const old = await Promise.all([serialOf(pair.outer), serialOf(pair.inner)])
        await certs.renew()
        for (const [at, proxy] of [pair.outer, pair.inner].entries()) while ((await serialOf(proxy)) === old[at]) await pause(20)
        await pause(200)
      }
      const outcome = await load.stop()
      context.diagnostic(JSON.stringify(outcome))
      assert.match(
        await metrics(pair.inner),
        new RegExp(`weft_certificate_expiry_seconds\\{serial="${await serialOf(pair.inner)}"\\} [1-9]`),
      )
      assert.deepEqual(outcome.failed, {})
      assert.ok(outcome.ok > rateOf(name) / 2, `only ${outcome.ok}`)
    })
})

suite('hot restart', () => {
  let certs: Awaited<ReturnType<typeof certificateFolder>>
  before(async () => {
    certs = await certificateFolder()
  })
  after(() => certs[Symbol.dispose]())

  for (const [name, openBackend, openClient] of kinds) {
    const rate = rateOf(name)
    for (const flags of name === 'HTTP/1.1' ? [[], ['--workers', '2']] : [['--workers', '1']])
      test(`no request of ${rate} a second of ${name} fails while both proxies are restarted in turn ${flags.join(' ')}`, async context => {
        await using backend = await openBackend()
        await using pair = await startPair(backend.port, certs.path, ['--drain', '10s', ...flags])
        await using load = new Steady(openClient(pair.outer.port), rate)
        await pause(500)
        for (let nth = 0; nth < restarts; nth++) {
          await restart(nth % 2 === 0 ? pair.outer : pair.inner)
          await pause(300)
        }
        await pause(500)
        const outcome = await load.stop()
        context.diagnostic(JSON.stringify(outcome))
        assert.deepEqual(outcome.failed, {})
        assert.ok(outcome.ok > rate / 2, `only ${outcome.ok}`)
        // What the old processes counted is not lost with them.
        for (const proxy of [pair.outer, pair.inner]) assert.equal(sum(await metrics(proxy), 'weft_requests_total'), outcome.ok)
      })
  }

  test('a worker that is killed is replaced, and what waited in the accept queue meanwhile is served', async () => {
    await using backend = await httpBackend(1)
    await using proxy = await startHalf('hop', backend.port, certs.path, { flags: ['--workers', '1'] })
    const { port } = proxy
    const get = () =>
      new Promise<number>((resolve, reject) => http.get({ port, agent: false }, answer => resolve(answer.statusCode!)).on('error', reject))
    assert.equal(await get(), 200)
    await metrics(proxy)
    const [killed] = await workersOf(proxy)
    process.kill(killed!.pid, 'SIGKILL')
    while ((await workersOf(proxy)).some(({ pid }) => pid === killed!.pid)) await pause(5)
    assert.equal(await get(), 200)
    const [next] = await workersOf(proxy)
    assert.notEqual(next!.pid, killed!.pid)
    const text = await metrics(proxy)
    assert.equal(sum(text, 'weft_requests_total'), 2)
    assert.equal(sum(text, 'weft_workers_ended_total', 'crashed'), 1)
  })

  test('an opaque connection goes on after a restart up to the drain deadline, and is counted when that ends it', async () => {
    const echo = net.createServer(socket => socket.on('error', () => {}).pipe(socket))
    await new Promise<void>(done => echo.listen(0, '127.0.0.1', done))
    await using proxy = await startHalf('tcp', (echo.address() as net.AddressInfo).port, certs.path, { flags: ['--drain', '1500ms'] })
    const socket = net.connect(proxy.port, '127.0.0.1').on('error', () => {})
    const closed = new Promise<number>(resolve => socket.once('close', () => resolve(performance.now())))
    const echoed = (text: string) =>
      new Promise<string>(resolve => (socket.once('data', bytes => resolve(String(bytes))), socket.write(text)))
    assert.equal(await echoed('before'), 'before')
    await restart(proxy)
    const at = performance.now()
    assert.equal(await echoed('after'), 'after')
    assert.ok((await closed) - at > 1000, 'ended before its deadline')
    await pause(200)
    assert.equal(sum(await metrics(proxy), 'weft_tcp_connections_closed_total', 'reason="drain-deadline"'), 1)
    assert.equal(sum(await metrics(proxy), 'weft_connections_active'), 0)
    echo.close()
  })

  test('a restart that cannot serve is refused with the reason, and what ran before goes on', async () => {
    await using backend = await httpBackend(1)
    await using proxy = await startHalf('hop', backend.port, certs.path, { flags: ['--workers', '1'] })
    const { writeFileSync, readFileSync } = await import('node:fs')
    const file = `${certs.path}/hop-${backend.port}.json`
    const good = readFileSync(file, 'utf8')
    writeFileSync(file, '{ "static_resources": { "listeners": 7 } }')
    const answer = await fetch(`${proxy.admin}/restart`, { method: 'POST' })
    assert.equal(answer.status, 500)
    assert.match(await answer.text(), /not restarted, what ran before goes on: .*listeners/s)
    assert.equal((await fetch(`http://127.0.0.1:${proxy.port}/`)).status, 200)
    writeFileSync(file, good)
    await restart(proxy)
    assert.equal((await fetch(`http://127.0.0.1:${proxy.port}/`)).status, 200)
  })
})
