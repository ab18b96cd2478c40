/** What dies, freezes or is replaced under a steady load: whoever is left serves on, and is told what is gone. Whole, because it is one list of faults. */

import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { after, before, describe, test } from 'node:test'
import { connect as connectTls } from 'node:tls'
import { canCapture } from '../../src/io/namespace.ts'
import type { Resource } from '../../src/resources/kind.ts'
import { AdsClient, becomeMember, types } from '../harness/ads-client.ts'
import { active, apply, route, split, startFront } from '../harness/front.ts'
import { Load, type Report, startServer, tell } from '../harness/load.ts'
import { kinds, Mesh, type Running } from '../harness/mesh.ts'

const rate = 200
/** So that requests are under way at any moment. */
const delayMs = 20

// Without capture an ordinary client would have to be told of the proxy.
const verdict = await canCapture()

describe('faults under load', { skip: verdict.ok ? false : `${verdict.why}: ${verdict.remedy}` }, () => {
  let mesh: Mesh
  let load: Load
  /** The instances of front that run, oldest first. */
  let fronts: Running[] = []

  before(async () => {
    mesh = await Mesh.start()
    fronts = ['v1', 'v2'].map(version => startFront(mesh, version, { delayMs }))
    await mesh.healthy('front', 2)
    load = new Load(mesh, { to: 'http://front:8080', rate })
    await load.answers(rate)
  })
  after(() => mesh[Symbol.asyncDispose]())

  /** What failed between two reports. */
  function harm(from: Report, to: Report): { readonly failed: Record<string, number>; readonly gets: number; readonly posts: number } {
    const failed = Object.fromEntries(
      Object.entries(to.failed).flatMap(([reason, count]) => {
        const more = count - (from.failed[reason] ?? 0)
        return more > 0 ? [[reason, more]] : []
      }),
    )
    const posts = to.failedPosts - from.failedPosts
    return { failed, posts, gets: Object.values(failed).reduce((sum, more) => sum + more, 0) - posts }
  }

  /** No request of the load fails while this is done, and a second of load after it. */
  async function unharmed(act: () => Promise<void>): Promise<void> {
    const from = await load.report()
    await act()
    await load.answers(rate)
    const to = await load.report()
    assert.deepEqual(harm(from, to).failed, {}, tell(to))
  }

  /** The proxies of these services are connected and have what they should. */
  const inSync = (...services: readonly string[]): Promise<void> =>
    mesh.until(`${services.join(', ')} in sync`, async () => {
      const synced = (await mesh.client.proxies()).filter(({ state }) => state === 'synced')
      return services.every(service => synced.some(proxy => proxy.service === service))
    })

  const isAlive = (pid: number): boolean => {
    try {
      return readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.[0] !== 'Z'
    } catch {
      return false
    }
  }

  /** The process of the plain server that calls itself so, not its proxy. */
  function serverOf(instance: string): number {
    for (const name of readdirSync('/proc')) {
      if (!/^\d+$/.test(name)) continue
      try {
        const command = readFileSync(`/proc/${name}/cmdline`, 'utf8')
        if (!command.endsWith('load/server.ts\0') || command.includes('weft.ts') || command.includes('main.js')) continue
        const env = readFileSync(`/proc/${name}/environ`, 'utf8').split('\0')
        if (env.includes(`NAME=${instance}`) && env.includes(`HOME=${mesh.folder}/home`)) return Number(name)
      } catch {
        // it ended meanwhile
      }
    }
    throw new Error(`no server calls itself ${instance}`)
  }

  test('the control plane is killed and started again: requests and open connections go on, then changes arrive again', async () => {
    await using held = new Load(mesh, { name: 'held', to: 'http://front:8080', rate: 0, ticks: 2 })
    await mesh.until('answers that never end', async () => (await held.report()).ticks >= 2)
    await inSync('front', 'load', 'held')
    await unharmed(async () => {
      const well = await mesh.weft('status')
      assert.equal(well.code, 0, well.stdout)
      await mesh.control.stop('SIGKILL')
      const { ticks } = await held.report()
      await load.answers(2 * rate)
      const { ticks: later, cut } = await held.report()
      assert.deepEqual(cut, [])
      assert.ok(later > ticks)
      const status = await mesh.weft('status')
      assert.notEqual(status.code, 0)
      assert.match(status.stdout, /control plane\s+down: .*connection refused/)
      assert.match(status.stdout, /front-v1-\w+\.default\s+serving/)
      await mesh.startControl()
      await inSync('front', 'load', 'held')
      await active(mesh, await apply(mesh, route('split', split(0, 1))))
      assert.deepEqual(await load.ask({ times: 50 }), { v2: 50 })
      await mesh.client.delete(kinds.httpRoute, 'split')
      assert.deepEqual((await held.report()).cut, [])
    })
  })

  test('the control plane freezes: requests go on, and what was changed meanwhile arrives when it thaws', async () => {
    await unharmed(async () => {
      mesh.control.child.kill('SIGSTOP')
      try {
        const applied = apply(mesh, route('split', split(1, 0)))
        await load.answers(2 * rate)
        mesh.control.child.kill('SIGCONT')
        await active(mesh, await applied)
      } finally {
        mesh.control.child.kill('SIGCONT')
      }
      assert.deepEqual(await load.ask({ times: 50 }), { v1: 50 })
      await mesh.client.delete(kinds.httpRoute, 'split')
    })
  })

  test('both instances are replaced one after the other by TERM: no request is lost', async () => {
    await unharmed(async () => {
      for (const version of ['v1', 'v2']) {
        const fresh = startFront(mesh, version, { instance: `${version}-new`, delayMs })
        await mesh.healthy('front', 3)
        const [old, ...rest] = fronts
        await old!.stop('SIGTERM')
        fronts = [...rest, fresh]
        await mesh.healthy('front', 2)
      }
    })
    assert.deepEqual(Object.keys(await load.ask({ times: 50 })).toSorted(), ['v1-new', 'v2-new'])
  })

  test('a proxy is killed: its application ends with it, no GET is lost, weft status names what is gone', async t => {
    const from = await load.report()
    const [doomed, ...rest] = fronts
    const pid = serverOf('v1-new')
    await doomed!.stop('SIGKILL')
    await mesh.until('its application is gone', () => !isAlive(pid))
    await load.answers(2 * rate)
    const { failed, gets, posts } = harm(from, await load.report())
    t.diagnostic(`${posts} POST failed: ${JSON.stringify(failed)}`)
    assert.equal(gets, 0, JSON.stringify(failed))
    // What was under way at that moment may have been carried out: a POST is not sent twice.
    assert.ok(posts <= 10, JSON.stringify(failed))
    const status = await mesh.weft('status')
    assert.notEqual(status.code, 0)
    assert.match(status.stdout, /front-v1-\w+\.default is disconnected/)
    fronts = [...rest, startFront(mesh, 'v1', { delayMs })]
    await mesh.until('two healthy', async () => (await mesh.healthOf('front')).filter(health => health === 'healthy').length === 2)
  })

  test('an application is killed: its proxy ends with the same fate and says good-bye, no GET is lost', async t => {
    const from = await load.report()
    const proxy = fronts[1]!
    process.kill(serverOf('v1'), 'SIGKILL')
    assert.equal((await proxy.exited).code, 128 + 9)
    await load.answers(2 * rate)
    const { failed, gets, posts } = harm(from, await load.report())
    t.diagnostic(`${posts} POST failed: ${JSON.stringify(failed)}`)
    assert.equal(gets, 0, JSON.stringify(failed))
    assert.ok(posts <= 10, JSON.stringify(failed))
    assert.deepEqual(Object.keys(await load.ask({ times: 20 })), ['v2-new'])
    fronts = [fronts[0]!, startFront(mesh, 'v1', { delayMs })]
    await mesh.until('two healthy', async () => (await mesh.healthOf('front')).filter(health => health === 'healthy').length === 2)
  })

  test('proxies that start while the control plane is gone serve from what they keep, and are found where they were', async () => {
    const early = new Load(mesh, { name: 'late', to: 'http://front:8080', rate: 0 })
    const server = startServer(mesh, 'alone', { instance: 'first' })
    await mesh.healthy('alone', 1)
    await using caller = new Load(mesh, { name: 'caller', to: 'http://alone:8080', rate: 0 })
    assert.deepEqual(await caller.ask({ times: 5 }), { first: 5 })
    assert.equal(
      Object.values(await early.ask({ times: 5 })).reduce((sum, count) => sum + count),
      5,
    )
    await early.stop()
    await inSync('caller', 'alone')
    await unharmed(async () => {
      await mesh.control.stop('SIGKILL')
      await server.stop('SIGKILL')
      startServer(mesh, 'alone', { instance: 'second' })
      await using late = new Load(mesh, { name: 'late', to: 'http://front:8080', rate: 0 })
      assert.deepEqual(Object.keys(await late.ask({ times: 50 })).toSorted(), Object.keys(await load.ask({ times: 50 })).toSorted())
      await mesh.until('the restarted server answers', async () => (await caller.ask({}))['second'] === 1)
      await mesh.startControl()
      await inSync('late', 'alone', 'caller', 'front')
      assert.deepEqual(await caller.ask({ times: 20 }), { second: 20 })
    })
  })

  test("a join token that is no token, is another mesh's, or has expired is refused in one line", async () => {
    const { token: expired } = await mesh.client.createToken({ namespace: 'default', serviceAccount: 'stranger', ttlSeconds: 1 })
    const { token } = await mesh.client.createToken({ namespace: 'default', serviceAccount: 'stranger' })
    const [head, claims, signature = ''] = token.split('.')
    const forged = [head, claims, (signature[0] === 'A' ? 'B' : 'A') + signature.slice(1)].join('.')
    await new Promise(resolve => setTimeout(resolve, 1200))
    const refused = async (given: string, why: RegExp) => {
      const { code, stderr } = await mesh.job('stranger', ['/bin/true'], { flags: ['--token', given] })
      assert.notEqual(code, 0)
      const lines = stderr
        .trim()
        .split('\n')
        .filter(line => line.startsWith('weft: '))
      assert.equal(lines.length, 1, stderr)
      assert.match(lines[0]!, why)
    }
    await Promise.all([
      refused('nonsense', /^weft: the join token is malformed/),
      refused(expired, /expired/),
      refused(forged, /the join token is not signed by this control plane/),
    ])
    await assert.rejects(becomeMember(mesh, 'stranger', forged), /not signed by this control plane/)
  })

  test('a stock gRPC client gets listeners and clusters by state-of-the-world ADS, and an update after a change', async () => {
    const membership = await becomeMember(mesh, 'stock')
    using stock = new AdsClient(membership, 'stock')
    for (const typeUrl of [types.cluster, types.listener]) stock.subscribe(typeUrl)
    const names = (typeUrl: string): readonly string[] => stock.got.get(typeUrl)?.names ?? []
    await mesh.until(
      'clusters and listeners',
      () => names(types.cluster).includes('default/front:8080') && names(types.listener).some(name => name.includes('front')),
    )
    await mesh.until(
      'what it acknowledged is known',
      async () => (await mesh.client.proxies()).find(({ id }) => id === stock.id)?.state === 'synced',
    )
    const service = {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 'later', namespace: 'default' },
      spec: { selector: { app: 'front' }, ports: [{ name: 'http', port: 80, targetPort: 8080, appProtocol: 'http' }] },
    } as Resource
    const version = stock.got.get(types.cluster)!.version
    await mesh.client.create(kinds.service, service)
    await mesh.until(
      'the new Service',
      () => names(types.cluster).includes('default/later:80') && names(types.listener).some(name => name.includes('later')),
    )
    assert.notEqual(stock.got.get(types.cluster)!.version, version)
    assert.ok(names(types.cluster).includes('default/front:8080'), 'the whole state comes each time')
    await mesh.client.delete(kinds.service, 'later')
    await mesh.until('the Service is gone', () => !names(types.cluster).includes('default/later:80'))
    assert.equal(stock.ended, undefined)

    using impostor = new AdsClient(membership, 'front')
    impostor.subscribe(types.cluster)
    await mesh.until('an impostor is refused', () => impostor.ended !== undefined)
    assert.match(impostor.ended!, /may not speak for service "front"/)
  })

  test('certificates of three seconds: connections that never end are not cut, new ones use the new certificate', async t => {
    await load.stop()
    await using short = await Mesh.start({ control: ['--leaf-life', '3s'] })
    startFront(short, 'v1', { tcp: true })
    await short.healthy('front', 1)
    await using steady = new Load(short, { to: 'http://front:8080', rate: 100, ticks: 2, tcp: 'tcp://front:7000' })
    await steady.answers(50)
    const first = await shownBy(short, 'front')
    const serials = new Set([first])
    const end = Date.now() + 9000
    while (Date.now() < end) {
      await steady.answers(100)
      serials.add(await shownBy(short, 'front'))
      // More than are kept: new connections between the proxies, when the first certificates are long over.
      const tally = await steady.ask({ times: 64, atOnce: 64 })
      assert.deepEqual(tally, { v1: 64 })
    }
    const report = await steady.stop()
    t.diagnostic(`${serials.size} certificates seen; ${tell(report)}`)
    assert.ok(serials.size >= 3, `only ${serials.size} certificates in nine seconds`)
    assert.deepEqual(report.cut, [])
    assert.deepEqual(report.failed, {}, tell(report))
    assert.ok(report.ticks > 80 && report.echoes > 40, tell(report))
    const { proxies } = await short.client.status()
    assert.deepEqual(
      proxies.filter(({ service }) => service === 'front').map(({ state }) => state),
      ['synced'],
    )
  })

  /** The serial number of the certificate that the proxy of a service shows to a new caller. */
  async function shownBy(of: Mesh, service: string): Promise<string> {
    const { key, cert, roots } = await becomeMember(of, 'visitor')
    const { items } = await of.client.list(kinds.workload, { labelSelector: `app=${service}` })
    const { ports } = items[0]!.spec as { ports: readonly { bind: { host: string; port: number } }[] }
    return new Promise((resolve, reject) => {
      const socket = connectTls(
        { ...ports[0]!.bind, key, cert, ca: [...roots], servername: '', checkServerIdentity: () => undefined },
        () => {
          resolve(socket.getPeerCertificate().serialNumber)
          socket.destroy()
        },
      )
      socket.on('error', reject)
    })
  }
})
