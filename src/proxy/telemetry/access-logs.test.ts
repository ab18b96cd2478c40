import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { logFields, partsOf } from '#base/log-fields'
import { Failure } from '#base/failure'
import type { Log } from '#base/log'
import type { Listener } from '#model/listener'
import type { AccessLog } from '#model/telemetry'
import { emptyView, type View } from '#model/view'
import { Registry } from '../registry.ts'
import { Exchange } from '../requests/exchange.ts'
import type { Caller } from '../requests/ends.ts'
import { AccessLogs } from './access-logs.ts'
import { Denied } from './denial.ts'
import { type Entry, partyOf } from './entry.ts'

const self = { service: 'api', namespace: 'default', workload: 'api-1', version: '', identity: 'spiffe://weft.local/ns/default/sa/api' }
const peer = 'spiffe://weft.local/ns/default/sa/web'
const said: string[] = []
const silent: Log = { debug() {}, info() {}, error() {}, warn: text => void said.push(text), with: () => silent }
const nobody: Caller = { respond() {}, informational() {}, data() {}, end() {}, flush: () => true, readBody() {}, abort() {} }

let folder: string
before(() => (folder = mkdtempSync(join(tmpdir(), 'weft-access-log-'))))
after(() => rmSync(folder, { recursive: true, force: true }))

/** The lines of what is told in between, by this log. */
async function linesBy(log: Omit<AccessLog, 'path'>, tell: (logs: AccessLogs, entry: Entry) => void, random?: () => number) {
  const path = join(folder, `${Math.random()}.log`)
  const listener: Listener = {
    name: 'inbound/80',
    direction: 'inbound',
    host: '127.0.0.1',
    port: 1,
    protocol: 'http',
    service: 'api.default',
    telemetry: { accessLog: { path, ...log } },
  }
  const view: View = { ...emptyView, listeners: { [listener.name]: listener } }
  const ends = () => ({ source: { host: '10.0.0.9', port: 4711 }, destination: { host: '10.0.0.1', port: 80 } })
  const entry: Entry = { listener, view: () => view, peer, source: partyOf(peer, {}), own: self.identity, ends }
  const logs = new AccessLogs({
    view: () => view,
    self: () => self,
    registry: new Registry(),
    log: silent,
    pools: undefined as never,
    clock: undefined as never,
    ...(random && { random }),
  })
  logs.follow(view)
  assert.equal(logs.isOn, true)
  tell(logs, entry)
  await logs.flush(10_000)
  try {
    return readFileSync(path, 'utf8').split('\n').slice(0, -1)
  } catch {
    return []
  }
}

function asked(entry: Entry, target: string, fields: readonly string[] = [], method = 'GET'): Exchange {
  const head = { method, target, minor: 1 as const, fields: ['Host', 'api', ...fields] }
  const exchange = new Exchange(head, 0, undefined, false, entry, nobody, performance.now())
  exchange.id = 1
  return exchange
}

const json = { format: { type: 'json', fields: logFields } } as const
const trace = '0af7651916cd43dd8448eb211c80319c'

describe('a line', () => {
  test('of a request tells who asked what of whom, and how it went', async () => {
    const [line = ''] = await linesBy(json, (logs, entry) => {
      const fields = ['X-Request-Id', 'r-1', 'traceparent', `00-${trace}-b7ad6b7169203331-01`, 'User-Agent', 'curl/8']
      const exchange = asked(entry, '/orders?token=secret', ['Authorization', 'Bearer secret', 'Cookie', 'a=secret', ...fields])
      exchange.isLogged = true
      exchange.answeredBy(200)
      Object.assign(exchange, { backend: 'local/80', tries: 1, receivedBytes: 3, sentBytes: 5 })
      logs.request(exchange, exchange.startedAt + 12.34)
    })
    const { time, firstByte, ...told } = JSON.parse(line) as Record<string, unknown>
    assert.match(String(time), /^\d{4}-\d\d-\d\dT[\d:.]+Z$/)
    assert.equal(typeof firstByte, 'number')
    assert.deepEqual(told, {
      direction: 'inbound',
      listener: 'inbound/80',
      protocol: 'HTTP/1.1',
      method: 'GET',
      host: 'api',
      path: '/orders',
      status: 200,
      source: 'web.default',
      sourceIdentity: peer,
      sourceAddress: '10.0.0.9:4711',
      destination: 'api.default',
      destinationIdentity: self.identity,
      backend: 'local/80',
      workload: 'api-1.default',
      bytesReceived: 3,
      bytesSent: 5,
      duration: 12.3,
      attempts: 1,
      requestId: 'r-1',
      traceId: trace,
      userAgent: 'curl/8',
    })
    assert.doesNotMatch(line, /secret/)
  })

  test('of a refused connection tells which decision, policy, rule and condition it was', async () => {
    const denial = { decision: 'x-1', policy: 'default/web', rule: '0', condition: () => 'identity is not under web' }
    const [line = ''] = await linesBy(json, (logs, entry) =>
      logs.refused(
        entry,
        new Denied('access-denied', 'decision x-1', denial),
        { service: 'api.default', workload: '', identity: undefined },
        performance.now(),
      ),
    )
    const { reason, decision, policy, rule, condition, protocol, sourceIdentity } = JSON.parse(line) as Record<string, unknown>
    assert.deepEqual(
      [reason, decision, policy, rule, condition, protocol, sourceIdentity],
      ['access-denied', 'x-1', 'default/web', '0', 'identity is not under web', 'TCP', peer],
    )
  })

  test('of what was not understood says no more than what was answered', async () => {
    const [line = ''] = await linesBy(
      { format: { type: 'json', fields: ['method', 'path', 'host', 'status', 'reason'] } },
      (logs, entry) => {
        const exchange = asked(entry, '/')
        Object.assign(exchange, { id: 0, status: 400, reason: 'bad-request' })
        logs.request(exchange, performance.now())
      },
    )
    assert.deepEqual(JSON.parse(line), { status: 400, reason: 'bad-request' })
  })

  test('cannot be forged by what a caller says, in JSON or in text', async () => {
    const hostile = 'a"b\\c\r\n{"status":200}\u0000\u001b[2J\u009b\u2028\ud800'
    const tell = (logs: AccessLogs, entry: Entry): void => {
      logs.request(asked(entry, '/x', ['User-Agent', hostile], 'G\nET'), performance.now())
    }
    const lines = await linesBy(json, tell)
    assert.equal(lines.length, 1)
    assert.equal((JSON.parse(lines[0]!) as { userAgent: string }).userAgent, hostile)
    const text = await linesBy({ format: { type: 'text', parts: partsOf('"{userAgent}" {method} {status}') } }, tell)
    assert.deepEqual(text, ['"a\\"b\\\\c\\r\\n{\\"status\\":200}\\u0000\\u001b[2J\\u009b\\u2028\\ud800" G\\nET -'])
    // eslint-disable-next-line no-control-regex
    for (const line of [...lines, ...text]) assert.doesNotMatch(line, /[\x00-\x1f\x7f-\x9f\u2028\u2029]/)
  })

  test('keeps a bound, whatever a caller sends', async () => {
    const [line = ''] = await linesBy(json, (logs, entry) => logs.request(asked(entry, `/${'x'.repeat(50_000)}`), performance.now()))
    assert.ok(line.length < 6000, String(line.length))
  })
})

describe('of all that passes', () => {
  const told = (logs: AccessLogs, entry: Entry): void => {
    for (const [path, status, reason, ms] of [
      ['/ok', 200, '', 1],
      ['/slow', 200, '', 2000],
      ['/bad', 500, '', 1],
      ['/denied', 403, 'access-denied', 1],
      ['/token', 401, 'token-missing', 1],
      ['/limited', 429, 'rate-limited', 1],
      ['/away', 0, 'caller-gone', 1],
    ] as const) {
      const exchange = asked(entry, path)
      if (reason !== '') exchange.reason = new Failure(reason).code
      exchange.status = status
      logs.request(exchange, exchange.startedAt + ms)
    }
  }
  const paths = { format: { type: 'text', parts: partsOf('{path}') } } as const
  for (const [says, when, expected] of [
    ['what has a status from 429 on', [{ statusAtLeast: 429 }], ['/bad', '/limited']],
    ['one of some statuses', [{ statuses: [200, 500] }], ['/ok', '/slow', '/bad']],
    ['what a policy kept out', [{ outcome: 'denied' }], ['/denied', '/token']],
    ['what failed, which is not what was denied', [{ outcome: 'failed' }], ['/bad', '/limited', '/away']],
    ['what took long', [{ slowerThanMs: 1000 }], ['/slow']],
    ['all of one condition, any of several', [{ statusAtLeast: 500, slowerThanMs: 1000 }, { outcome: 'denied' }], ['/denied', '/token']],
  ] as const)
    test(`only ${says} is told where that is asked for`, async () => {
      assert.deepEqual(await linesBy({ ...paths, when }, told), expected)
    })
  test('a part is told where that is asked for', async () => {
    let draw = 0
    const random = () => draw++ / 7
    assert.deepEqual(await linesBy({ ...paths, share: 500_000 }, told, random), ['/ok', '/slow', '/bad', '/denied'])
  })
})
