import assert from 'node:assert/strict'
import http from 'node:http'
import http2 from 'node:http2'
import type { AddressInfo } from 'node:net'
import { after, before, describe, test } from 'node:test'
import { forwardTo, inboundSide, materials, type OutboundSide, outboundSide, remote, type Side, table } from '../../../test/harness/pair.ts'
import type { OutlierDetection } from '../../model/endpoint-health.ts'
import type { AdaptiveConcurrency } from '../../model/listener.ts'
import type { View } from '../../model/view.ts'

type Reply = { readonly status: number; readonly headers?: http.OutgoingHttpHeaders; readonly afterMs?: number }
/** number: of the request at this server, from 1. */
type Behave = (number: number) => Reply

const base: OutlierDetection = {
  consecutive5xx: 0,
  consecutiveGatewayErrors: 0,
  consecutiveLocalOriginFailures: 0,
  splitsLocalOrigin: false,
  intervalMs: 900,
  baseEjectionMs: 60_000,
  maxEjectionMs: 60_000,
  maxEjectionPercent: 50,
}
const well: Behave = () => ({ status: 200 })
const until = async (what: string, holds: () => boolean) => {
  for (let left = 500; !holds(); left--) {
    assert.ok(left > 0, what)
    await new Promise(resolve => setTimeout(resolve, 10))
  }
}

/** Three workloads behind proxies of their own, called through a fourth, over HTTP/1.1, HTTP/2 and as gRPC. */
for (const spoken of ['HTTP/1.1', 'HTTP/2', 'gRPC'] as const)
  describe(`endpoints that stand out, over ${spoken}`, () => {
    const sides: Side[] = []
    const servers: (http2.Http2Server | http.Server)[] = []
    const sessions = new Set<http2.ServerHttp2Session>()
    const seen = [0, 0, 0]
    const behave: Behave[] = [well, well, well]
    const agent = new http.Agent({ keepAlive: true, maxSockets: 20 })
    let outside: OutboundSide & AsyncDisposable
    let session: http2.ClientHttp2Session | undefined
    const isHttp1 = spoken === 'HTTP/1.1'
    const isGrpc = spoken === 'gRPC'

    before(async () => {
      const certificates = await materials('web', 'shop')
      for (const at of [0, 1, 2]) {
        const serve = (reply: (status: number, headers: http.OutgoingHttpHeaders) => void) => {
          const { status, headers = {}, afterMs = 0 } = behave[at]!(++seen[at]!)
          setTimeout(() => reply(status, { ...headers, 'x-by': String(at) }), afterMs)
        }
        const server = isHttp1
          ? http.createServer(
              (request, response) =>
                void request.resume().on('end', () => serve((status, headers) => response.writeHead(status, headers).end())),
            )
          : http2.createServer().on('stream', (stream: http2.ServerHttp2Stream) => {
              stream.on('error', () => {})
              stream.resume().on('end', () =>
                serve((status, headers) => {
                  if (stream.destroyed) return
                  const grpc = isGrpc
                    ? { 'content-type': 'application/grpc', 'grpc-status': status === 200 ? '0' : status === 429 ? '8' : '14' }
                    : {}
                  stream.respond({ ...headers, ':status': isGrpc ? 200 : status, ...grpc } as http2.OutgoingHttpHeaders, {
                    endStream: true,
                  })
                }),
              )
            })
        if (!isHttp1) (server as http2.Http2Server).on('session', each => sessions.add(each))
        await new Promise<void>(done => server.listen(0, '127.0.0.1', done))
        servers.push(server)
        sides.push(
          await inboundSide(
            'web',
            (server.address() as AddressInfo).port,
            'http',
            certificates.web!,
            undefined,
            isHttp1 ? 'http1' : 'http2',
          ),
        )
      }
      outside = await outboundSide('shop', certificates.shop!, 'http', {})
      if (!isHttp1) session = http2.connect(`http://127.0.0.1:${outside.port}`)
    })
    after(async () => {
      session?.destroy()
      agent.destroy()
      for (const each of sessions) each.destroy()
      for (const server of servers) {
        if (isHttp1) (server as http.Server).closeAllConnections()
        server.close()
      }
      await outside[Symbol.asyncDispose]()
      for (const { core } of sides) await core[Symbol.asyncDispose]()
    })

    const use = (outlierDetection: OutlierDetection, count = 3) => {
      const parts = remote(
        'web',
        sides.slice(0, count).map(side => side.port),
        { protocol: 'downstream' },
      )
      const [[name, backend] = []] = Object.entries(parts.backends)
      outside.swap({
        backends: { [name!]: { ...backend!, outlierDetection } },
        endpoints: parts.endpoints,
        routes: { out: table('out', [forwardTo(name!)]) },
      })
    }
    /** Which answered, and with what: `0 200`. */
    const ask = (): Promise<string> =>
      new Promise((resolve, reject) => {
        if (session === undefined) {
          http
            .get({ port: outside.port, host: '127.0.0.1', agent }, answer => {
              answer.resume().on('end', () => resolve(`${answer.headers['x-by']} ${answer.statusCode}`))
            })
            .on('error', reject)
          return
        }
        const stream = session.request(
          isGrpc ? { ':method': 'POST', ':path': '/a.B/C', 'content-type': 'application/grpc' } : { ':path': '/' },
        )
        let told = ''
        stream.on('response', headers => {
          const grpc = { '0': '200', '8': '429', '14': '503' }[String(headers['grpc-status'])]
          told = `${headers['x-by']} ${isGrpc ? grpc : headers[':status']}`
        })
        stream
          .resume()
          .on('error', reject)
          .on('close', () => resolve(told))
        stream.end(isGrpc ? Buffer.from([0, 0, 0, 0, 0]) : undefined)
      })
    const many = async (count: number): Promise<Readonly<Record<string, number>>> => {
      const tally: Record<string, number> = {}
      for (let left = count; left > 0; left -= 10)
        for (const told of await Promise.all(Array.from({ length: Math.min(10, left) }, ask))) tally[told] = (tally[told] ?? 0) + 1
      return tally
    }
    const absent = () => outside.core.leftOut.flatMap(each => each.absent)

    test('one that fails three of ten is left out at the end of the interval, by the percentage', async () => {
      behave[1] = number => ({ status: number % 10 < 3 ? 503 : 200 })
      use({ ...base, failurePercentage: { percent: 25, minimumHosts: 3, requestVolume: 20 } })
      const before = await many(120)
      // Round robin: forty each, three of ten of those failed.
      assert.ok(Math.abs((before['1 503'] ?? 0) - 12) <= 3, JSON.stringify(before))
      await until('it was not left out', () => absent().length === 1)
      assert.deepEqual(
        absent().map(({ cause, workload }) => [cause, workload]),
        [['failurePercentage', 'web-2.default']],
      )
      const after = await many(60)
      assert.deepEqual(Object.keys(after).sort(), ['0 200', '2 200'], JSON.stringify(after))
      assert.ok(Math.abs((after['0 200'] ?? 0) - 30) <= 2, 'the others share what it got')
    })

    test('the same one is left out by its success rate, compared with the others', async () => {
      use({ ...base, intervalMs: 901, successRate: { minimumHosts: 3, requestVolume: 20, stdevThousandths: 1000 } })
      await many(120)
      await until('it was not left out', () => absent().some(({ cause }) => cause === 'successRate'))
      assert.deepEqual(
        absent().map(({ workload }) => workload),
        ['web-2.default'],
      )
      const { families } = outside.core.meter.registry
      outside.core.meter.registry.text()
      const ends = [...families.find(({ name }) => name === 'weft_ejection_end_seconds')!.samples.values()].filter(({ value }) => value > 0)
      assert.equal(ends.length, 1)
      assert.ok(Math.abs(ends[0]!.value - (Date.now() / 1000 + 60)) < 10)
      behave[1] = well
    })

    test('where all fail alike nobody is left out', async () => {
      behave[0] = behave[1] = behave[2] = number => ({ status: number % 10 < 3 ? 503 : 200 })
      use({ ...base, intervalMs: 902, successRate: { minimumHosts: 3, requestVolume: 20, stdevThousandths: 1900 } })
      await many(120)
      await new Promise(resolve => setTimeout(resolve, 1100))
      assert.deepEqual(absent(), [])
      behave[0] = behave[1] = behave[2] = well
    })

    test('one that answers 429 is spared for as long as its Retry-After asks, and then asked again', async () => {
      let isBusy = true
      behave[2] = () => (isBusy ? { status: 429, headers: { 'retry-after': '2' } } : { status: 200 })
      use({ ...base, intervalMs: 903, tooManyRequests: { pauseMs: 60_000, longestMs: 60_000 } })
      await many(6)
      assert.deepEqual(
        absent().map(({ cause, workload }) => [cause, workload]),
        [['tooManyRequests', 'web-3.default']],
      )
      const from = seen[2]!
      assert.deepEqual(Object.keys(await many(40)).sort(), ['0 200', '1 200'])
      assert.equal(seen[2], from, 'it was not asked meanwhile')
      isBusy = false
      await until('it did not come back', () => absent().length === 0)
      // The first requests may still be chosen from the two; soon it has its third again.
      let again: Record<string, number> = {}
      for (let left = 10; left > 0 && (again['2 200'] ?? 0) < 8; left--) again = await many(30)
      assert.ok((again['2 200'] ?? 0) >= 8, JSON.stringify(again))
    })

    test('without the option 429 says nothing of the endpoint', async () => {
      behave[2] = () => ({ status: 429, headers: { 'retry-after': '1' } })
      use({ ...base, intervalMs: 904, consecutive5xx: 1 })
      assert.equal((await many(30))['2 429'], 10)
      behave[2] = well
    })
  })

describe('a limit of requests at once that is found out', () => {
  const settings: AdaptiveConcurrency = {
    percentile: 50,
    intervalMs: 50,
    mostLimit: 50,
    roundTrip: { intervalMs: 60_000, requests: 20, jitterPercent: 0, limit: 2, bufferPercent: 50 },
  }

  test('a server that does a few at once is spared the rest, which is answered 503 at once with the reason; and one that copes is not held back', async () => {
    const certificates = await materials('web', 'shop')
    // Four at once, each 15 ms; the others wait.
    let [running, most, isQuick] = [0, 0, false]
    const waiting: (() => void)[] = []
    const server = http.createServer((_request, response) => {
      const begin = () => {
        most = Math.max(most, ++running + waiting.length)
        setTimeout(() => {
          running--
          response.end('well')
          waiting.shift()?.()
        }, 15)
      }
      if (running < 4 || isQuick) begin()
      else waiting.push(begin)
    })
    await new Promise<void>(done => server.listen(0, '127.0.0.1', done))
    const inside = await inboundSide('web', (server.address() as AddressInfo).port, 'http', certificates.web!)
    const outside = await outboundSide('shop', certificates.shop!, 'http', remote('web', [inside.port]))
    const { view } = inside.core
    const [[name, listener] = []] = Object.entries(view.listeners)
    const withLimit: View = { ...view, listeners: { [name!]: { ...listener!, concurrency: settings } } }
    inside.core.swap(withLimit)
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1000 })
    const ask = (): Promise<string> =>
      new Promise((resolve, reject) => {
        http
          .get({ port: outside.port, host: '127.0.0.1', agent }, answer => {
            answer.resume().on('end', () => resolve(`${answer.statusCode} ${answer.headers['x-weft-error'] ?? ''}`.trim()))
          })
          .on('error', reject)
      })
    /** So many callers, each of which asks again as soon as it has its answer. */
    let least = settings.mostLimit
    const load = async (callers: number, forMs: number): Promise<Record<string, number>> => {
      const tally: Record<string, number> = {}
      const end = performance.now() + forMs
      await Promise.all(
        Array.from({ length: callers }, async () => {
          while (performance.now() < end) {
            const told = await ask()
            least = Math.min(least, inside.core.concurrency[0]?.limit ?? least)
            tally[told] = (tally[told] ?? 0) + 1
            if (!told.startsWith('200')) await new Promise(resolve => setTimeout(resolve, 5))
          }
        }),
      )
      return tally
    }
    const tally = await load(60, 2500)
    const [now] = inside.core.concurrency
    assert.ok(now !== undefined && now.roundTripMs >= 14, JSON.stringify(now))
    assert.ok(least >= 2 && least <= 30, `limit ${least}`)
    assert.deepEqual(Object.keys(tally).sort(), ['200', '503 concurrency-limit'])
    assert.ok(most <= settings.mostLimit, `${most} were at the server at once`)
    const text = inside.core.meter.registry.text()
    assert.match(text, /weft_concurrency_limit\{listener="inbound\/\d+"\} \d+/)
    assert.match(text, /weft_concurrency_least_round_trip_seconds\{listener="inbound\/\d+"\} 0\.0/)
    assert.match(text, /reason="concurrency-limit"/)
    // Now it does all at once: the limit rises to what its callers ask for.
    isQuick = true
    for (const begin of waiting.splice(0)) begin()
    await load(30, 2500)
    assert.ok((inside.core.concurrency[0]?.limit ?? 0) >= 30, JSON.stringify(inside.core.concurrency))
    inside.core.swap(view)
    assert.deepEqual(inside.core.concurrency, [])
    assert.match(inside.core.meter.registry.text(), /weft_concurrency_limit\{listener="inbound\/\d+"\} 0\n/, 'none')
    agent.destroy()
    await outside[Symbol.asyncDispose]()
    await inside.core[Symbol.asyncDispose]()
    server.closeAllConnections()
    server.close()
  })
})
