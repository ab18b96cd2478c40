/**
 * What each policy costs a request: the proxy's own code between two ends in memory, without kernel and TLS, so that a microsecond is seen. The load
 * goes to a listener with the policy and to one without in turn, in slices of some milliseconds; the quietest slices are compared.
 * `node bench/policies.ts [ROUNDS [WORD]]`; WORD: only those in whose name it is.
 */

import { rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import { Duplex } from 'node:stream'
import { silent } from '../src/base/log.ts'
import { logFields, partsOf } from '../src/base/log-fields.ts'
import type { Socket } from '../src/io/net.ts'
import type { Access, AccessRule } from '../src/model/access-rule.ts'
import type { Authorizer } from '../src/model/authorizer.ts'
import type { Backend } from '../src/model/backend.ts'
import type { Listener } from '../src/model/listener.ts'
import type { Route, RouteTable } from '../src/model/route.ts'
import type { AccessLog } from '../src/model/telemetry.ts'
import type { View } from '../src/model/view.ts'
import { Core } from '../src/proxy/core.ts'

/** What differs from a listener with one route and nothing else. */
type Case = {
  readonly route?: Partial<Route>
  readonly backend?: Partial<Backend>
  readonly before?: readonly Route[]
  readonly authorizer?: Authorizer
  readonly accessLog?: Omit<AccessLog, 'path'>
}

const plain: Route = {
  name: 'all',
  origin: 'HTTPRoute app/all rule 0',
  match: {},
  filters: [],
  action: { type: 'forward', backends: [{ backend: 'app', weight: 1 }] },
}
const million = 1_000_000
const named = (name: string, value: string) => ({ name, value })

const rules = (count: number): Access => ({
  deny: [],
  allow: Array.from(
    { length: count },
    (_, nth): AccessRule => ({
      name: `app/open-${nth}#0`,
      from: [],
      to: [
        [
          { on: 'method', any: [{ type: 'exact', value: nth === count - 1 ? 'GET' : 'PUT' }] },
          { on: 'path', any: [{ type: 'prefix', value: nth === count - 1 ? '/' : `/api/v${nth}/` }] },
        ],
      ],
    }),
  ),
})
const others = (count: number): readonly Route[] =>
  Array.from({ length: count - 1 }, (_, nth) => ({
    ...plain,
    name: `r${nth}`,
    match: { path: { type: 'prefix' as const, value: `/api/v${nth}` }, method: 'GET' },
  }))

/** Asked by HTTP, which is what the workload in memory speaks. */
const authorizer: Authorizer = {
  name: 'app/asked',
  backend: 'app',
  timeoutMs: 10_000,
  failsOpen: false,
  ask: { type: 'http', prefix: '', headers: [], toBackend: [], toCaller: [] },
}
const elsewhere: AccessRule = { name: 'app/asked#0', from: [], to: [[{ on: 'path', any: [{ type: 'prefix', value: '/admin/' }] }]] }

const cases: Readonly<Record<string, Case>> = {
  'nothing (the same once more)': {},
  '100 routes': { before: others(100) },
  '10,000 routes': { before: others(10_000) },
  'timeouts of request and try': { route: { timeouts: { requestMs: 30_000, tryMs: 10_000 } } },
  'retry that is not needed': {
    route: { retry: { attempts: 2, codes: [502, 503], on: ['reset'], backoff: { baseMs: 25, maxMs: 250 } } },
    backend: { retryConstraint: { percent: 20, intervalMs: 10_000, least: { count: 10, intervalMs: 1000 } } },
  },
  'limits of the backend': { backend: { limits: { connections: 1000, pendingRequests: 1000, requests: 10_000, retries: 10 } } },
  'outlier detection': {
    backend: {
      outlierDetection: {
        consecutive5xx: 5,
        consecutiveGatewayErrors: 5,
        consecutiveLocalOriginFailures: 5,
        splitsLocalOrigin: true,
        intervalMs: 10_000,
        baseEjectionMs: 30_000,
        maxEjectionMs: 300_000,
        maxEjectionPercent: 50,
      },
    },
  },
  'faults for none of them': {
    route: { fault: { policy: 'app/f', delay: { ms: 1000, share: 0 }, abort: { type: 'http', status: 503, share: 0 } } },
  },
  'rate limit': { route: { rateLimit: { name: 'app/l', requests: million, intervalMs: 1000, burst: million } } },
  'rate limit by a header': {
    route: {
      rateLimit: { name: 'app/h', requests: million, intervalMs: 1000, burst: million, by: [{ type: 'header', name: 'user-agent' }] },
    },
  },
  CORS: {
    route: {
      cors: {
        origins: [{ type: 'exact', value: 'https://shop.example' }],
        credentials: true,
        methods: ['GET'],
        headers: [],
        expose: [],
        maxAgeS: 600,
      },
    },
  },
  'headers changed both ways': {
    route: {
      filters: [
        { type: 'request-headers', change: { set: [named('x-a', '1')], add: [named('x-b', '2')], remove: ['x-c'] } },
        { type: 'response-headers', change: { set: [named('x-d', '3')], add: [], remove: ['x-e'] } },
      ],
    },
  },
  'path and host rewritten': { route: { filters: [{ type: 'rewrite', host: 'app.example', path: { type: 'prefix', value: '/v2' } }] } },
  'ten access rules': { route: { access: rules(10) } },
  'a thousand access rules': { route: { access: rules(1000) } },
  'a service that is asked about other paths': {
    route: { authorize: ['app/asked'] },
    authorizer: { ...authorizer, when: [elsewhere] },
  },
  'a service that is asked by HTTP, with that call': { route: { authorize: ['app/asked'] }, authorizer },
  'two backends by weight': {
    route: {
      action: {
        type: 'forward',
        backends: [
          { backend: 'app', weight: 9 },
          { backend: 'app', weight: 1 },
        ],
      },
    },
  },
  'a copy of every request': { route: { mirrors: [{ backend: 'app', share: million }] } },
  'an access log of failures, of which there are none': {
    accessLog: { format: { type: 'json', fields: logFields }, when: [{ outcome: 'failed' }] },
  },
  'an access log, JSON with all fields': { accessLog: { format: { type: 'json', fields: logFields } } },
  'an access log, text with ten fields': {
    accessLog: {
      format: {
        type: 'text',
        parts: partsOf('{time} {source} -> {destination} "{method} {path} {protocol}" {status} {duration}ms {bytesSent} "{userAgent}"'),
      },
    },
  },
}

/** Made and taken away by the run. */
const logFile = join(tmpdir(), `weft-bench-${process.pid}.log`)

/** One end of a connection in memory. */
class End extends Duplex {
  peer: End | undefined
  readonly remoteAddress = '127.0.0.1'
  readonly remotePort = 40_000
  readonly localAddress = '127.0.0.1'
  readonly localPort = 80
  constructor() {
    super({ allowHalfOpen: true })
  }
  override _read(): void {}
  override _write(bytes: Buffer, _encoding: string, done: () => void): void {
    // In a later turn, as from the kernel: else an answer would be read while it is written.
    setImmediate(() => this.peer!.push(bytes))
    done()
  }
  override _final(done: () => void): void {
    setImmediate(() => this.peer!.push(null))
    done()
  }
  setNoDelay(): this {
    return this
  }
  setKeepAlive(): this {
    return this
  }
  setTimeout(): this {
    return this
  }
}

function ends(): readonly [End, End] {
  const [one, other] = [new End(), new End()]
  one.peer = other
  other.peer = one
  return [one, other]
}

const asked = Buffer.from('GET / HTTP/1.1\r\nhost: app\r\nuser-agent: bench/1\r\naccept: */*\r\n\r\n')
const last = 126 // ~
const answered = Buffer.from(`HTTP/1.1 200 OK\r\ncontent-length: 1024\r\ncontent-type: text/plain\r\n\r\n${'x'.repeat(1023)}~`)

/** The workload: an answer of 1 KB for each head that ends. */
function workload(): Socket {
  const [near, far] = ends()
  far.on('data', (bytes: Buffer) => {
    for (let at = bytes.indexOf('\r\n\r\n'); at >= 0; at = bytes.indexOf('\r\n\r\n', at + 4)) far.write(answered)
  })
  return near as unknown as Socket
}

class Caller {
  readonly #end: End
  #left = 0
  #done: () => void = () => {}
  constructor(core: Core, nth: number) {
    const [near, far] = ends()
    this.#end = near
    near.on('data', (bytes: Buffer) => {
      if (bytes.at(-1) !== last) return
      if (bytes.subarray(0, 4).toString() === 'HTTP' && bytes[9] !== 50) throw new Error(bytes.subarray(0, 200).toString())
      if (--this.#left > 0) near.write(asked)
      else this.#done()
    })
    core.outbound(far as unknown as Socket, placeOf(nth))
  }
  ask(times: number): Promise<void> {
    this.#left = times
    return new Promise(done => {
      this.#done = done
      this.#end.write(asked)
    })
  }
}

const placeOf = (nth: number) => ({ host: `240.77.0.${nth + 1}`, port: 80 })

function viewOf(all: readonly Case[]): View {
  const listeners: Record<string, Listener> = {}
  const routes: Record<string, RouteTable> = {}
  const backends: Record<string, Backend> = {}
  for (const [nth, { route = {}, backend = {}, before = [], authorizer, accessLog }] of all.entries()) {
    const name = `app/${nth}:80`
    const renamed = <T>(value: T): T => JSON.parse(JSON.stringify(value).replaceAll('"backend":"app"', `"backend":"${name}"`)) as T
    const table = renamed([...before, { ...plain, ...route }])
    const authorizers = authorizer === undefined ? {} : { authorizers: [renamed(authorizer)] }
    listeners[name] = {
      name,
      direction: 'outbound',
      ...placeOf(nth),
      protocol: 'http',
      routes: name,
      service: 'app.default',
      ...authorizers,
      ...(accessLog === undefined ? {} : { telemetry: { accessLog: { path: logFile, ...accessLog } } }),
    }
    routes[name] = { name, hosts: [{ name: '*', domains: ['*'], routes: table }] }
    backends[name] = {
      name,
      service: 'app.default',
      type: 'local',
      port: 80,
      protocol: 'http1',
      balance: 'round-robin',
      connectTimeoutMs: 5000,
      identities: [],
      ...backend,
    }
  }
  return { listeners, routes, backends, endpoints: {}, dns: [], trust: { domain: '', roots: [] } }
}

const callersEach = 16
const requestsEach = 30

/** A table in Markdown. */
export async function policiesTable(rounds = 60, word = ''): Promise<readonly string[]> {
  const names = Object.keys(cases).filter(name => name.includes(word))
  const all: readonly Case[] = [{}, ...names.map(name => cases[name]!)]
  const core = new Core({
    needsCertificate: false,
    self: () => ({ service: 'web', namespace: 'default', workload: 'web-1', version: '', identity: '' }),
    dialLocal: () => Promise.resolve(workload()),
    patienceMs: 1000,
    log: silent,
  })
  core.swap(viewOf(all))
  const callers = all.map((_, nth) => Array.from({ length: callersEach }, () => new Caller(core, nth)))
  const cost = async (nth: number): Promise<number> => {
    const before = process.cpuUsage()
    await Promise.all(callers[nth]!.map(caller => caller.ask(requestsEach)))
    const { user, system } = process.cpuUsage(before)
    return (user + system) / (callersEach * requestsEach)
  }
  for (let round = 0; round < 20; round++) for (const nth of all.keys()) await cost(nth)
  const seen = names.map(() => ({ own: [] as number[], base: [] as number[] }))
  for (let round = 0; round < rounds; round++)
    for (const [nth, { own, base }] of seen.entries()) {
      base.push(await cost(0))
      own.push(await cost(nth + 1))
    }
  await core[Symbol.asyncDispose]()
  rmSync(logFile, { force: true })
  const alone = middle(seen.map(({ base }) => quiet(base)))
  return [
    `The proxy's own code for a request of HTTP/1.1 with 1 KB of answer, between ends in memory: microseconds of CPU, and what that is more than the ${alone.toFixed(1)} without any policy. What is within the first row is noise. How an endpoint is chosen is in the row balance.`,
    '',
    '| with | µs | more |',
    '|---|---:|---:|',
    ...seen.map(({ own, base }, nth) => `| ${names[nth]} | ${quiet(own).toFixed(1)} | ${(quiet(own) - quiet(base)).toFixed(2)} |`),
  ]
}

const middle = (all: readonly number[]): number => all.toSorted((one, other) => one - other)[all.length >> 1] ?? Number.NaN
/** Other work on the machine only adds: the middle of the quietest quarter. */
const quiet = (all: readonly number[]): number => all.toSorted((one, other) => one - other)[all.length >> 3] ?? Number.NaN

if (import.meta.main) console.log((await policiesTable(Number(process.argv[2] ?? 60), process.argv[3])).join('\n'))
