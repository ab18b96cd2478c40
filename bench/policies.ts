/**
 * What each policy costs a request: one proxy, plain HTTP on both sides, with a listener for each policy and one without any. The load goes to the
 * two in turn, so that what else the machine does falls on both. `node bench/policies.ts [ROUNDS [SECONDS]]`.
 */

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { type DescMessage, type JsonObject, type MessageShape, toJson } from '@bufbuild/protobuf'
import type { Access, AccessRule, Backend, Route } from '../src/model/view.ts'
import { encodeBackend, encodeEndpoints } from '../src/xds/encode/cluster.ts'
import { encodeListener } from '../src/xds/encode/listener.ts'
import { encodeRouteTable } from '../src/xds/encode/route.ts'
import { registry } from '../src/xds/file/registry.ts'
import { ClusterSchema } from '../src/xds/gen/envoy/config/cluster/v3/cluster_pb.ts'
import { ClusterLoadAssignmentSchema } from '../src/xds/gen/envoy/config/endpoint/v3/endpoint_pb.ts'
import { ListenerSchema } from '../src/xds/gen/envoy/config/listener/v3/listener_pb.ts'
import { RouteConfigurationSchema } from '../src/xds/gen/envoy/config/route/v3/route_pb.ts'
import { type Generator, load, makeGenerator, startApplication } from './load.ts'
import { cores, cpuSeconds, freePort, pinned, Processes } from './processes.ts'

/** What differs from a listener with one route and nothing else. */
type Case = { readonly route?: Partial<Route>; readonly backend?: Partial<Backend>; readonly before?: readonly Route[] }

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
  'ring hash by a header': {
    route: {
      action: { type: 'forward', backends: [{ backend: 'app', weight: 1 }], hash: [{ type: 'header', name: 'user-agent' }] },
    },
    backend: { balance: 'ring-hash' },
  },
  'peak EWMA': { backend: { balance: 'peak-ewma' } },
  'a copy of every request': { route: { mirrors: [{ backend: 'app', share: million }] } },
}

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url))
const json = <Desc extends DescMessage>(schema: Desc, message: MessageShape<Desc>): JsonObject => ({
  '@type': `type.googleapis.com/${schema.typeName}`,
  ...(toJson(schema, message, { registry }) as JsonObject),
})

/** nth: of the listener, its table and its cluster, which is called `app` in the cases. */
function resourcesOf({ route = {}, backend = {}, before = [] }: Case, nth: number, port: number, to: number): readonly JsonObject[] {
  const name = `app/${nth}:80`
  const renamed = <T>(value: T): T => JSON.parse(JSON.stringify(value).replaceAll('"backend":"app"', `"backend":"${name}"`)) as T
  return [
    json(
      ListenerSchema,
      encodeListener({
        name: `gateway/${port}`,
        direction: 'gateway',
        host: '127.0.0.1',
        port,
        protocol: 'http',
        routes: name,
        service: 'app',
      }),
    ),
    json(
      RouteConfigurationSchema,
      encodeRouteTable({ name, hosts: [{ name: 'all', domains: ['*'], routes: renamed([...before, { ...plain, ...route }]) }] }),
    ),
    json(
      ClusterSchema,
      encodeBackend({
        name,
        service: 'app.default',
        type: 'endpoints',
        port: 80,
        protocol: 'http1',
        balance: 'least-request',
        connectTimeoutMs: 5000,
        identities: [],
        ...backend,
      }),
    ),
    json(
      ClusterLoadAssignmentSchema,
      encodeEndpoints({
        backend: name,
        endpoints: [{ host: '127.0.0.1', port: to, weight: 1, health: 'healthy', mtls: false, workload: 'app-1.default' }],
      }),
    ),
  ]
}

/** A table in Markdown. */
export async function policiesTable(rounds = 8, seconds = 0.4): Promise<readonly string[]> {
  const folder = mkdtempSync(join(tmpdir(), 'weft-policies-'))
  await using processes = new Processes(folder)
  try {
    const generator = makeGenerator(folder)
    const { http } = await startApplication(generator, processes)
    const all: readonly Case[] = [{}, ...Object.values(cases)]
    const ports = await Promise.all(all.map(() => freePort()))
    const file = join(folder, 'proxy.json')
    writeFileSync(file, JSON.stringify(all.flatMap((each, nth) => resourcesOf(each, nth, ports[nth]!, http))))
    const proxy = await startProxy(file)
    try {
      return await measured(proxy, generator, ports, rounds, seconds)
    } finally {
      await processes.stop(proxy)
    }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

async function startProxy(file: string): Promise<ChildProcess> {
  const [program = '', ...args] = pinned(cores.proxies, [here('../weft'), 'proxy', '--from', file, '-o', 'json'])
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  const told = once(createInterface({ input: child.stdout }), 'line')
  await Promise.race([told, once(child, 'exit').then(() => Promise.reject(new Error('the proxy ended')))])
  return child
}

async function measured(
  proxy: ChildProcess,
  generator: Generator,
  [base = 0, ...ports]: readonly number[],
  rounds: number,
  seconds: number,
): Promise<readonly string[]> {
  const cost = async (port: number): Promise<number> => {
    const before = cpuOf(proxy)
    const { good } = await load(generator, port, { connections: 64, size: 1024, seconds })
    return ((cpuOf(proxy) - before) * 1e6) / good
  }
  for (let left = 4; left > 0; left--) await cost(base)
  for (const port of ports) await cost(port)
  const names = Object.keys(cases)
  const seen = ports.map(() => ({ own: [] as number[], base: [] as number[] }))
  for (let round = 0; round < rounds; round++)
    for (const [nth, port] of ports.entries()) {
      console.error(`… policies ${round + 1}/${rounds} ${names[nth]}`)
      seen[nth]!.base.push(await cost(base))
      seen[nth]!.own.push(await cost(port))
    }
  // Other work on the machine only adds, so the least of several rounds says most.
  const least = seen.map(({ own, base }) => ({ own: Math.min(...own), base: Math.min(...base) }))
  const alone = median(least.map(each => each.base))
  return [
    `One hop of plain HTTP/1.1, 1 KB answers, 64 connections: microseconds of CPU for each request, the least of ${rounds} rounds, and what that is more than without any policy (${alone.toFixed(1)} µs), which is measured before each. What is within the first row is noise.`,
    '',
    '| with | µs | more |',
    '|---|---:|---:|',
    ...least.map(({ own, base }, nth) => `| ${names[nth]} | ${own.toFixed(1)} | ${(own - base).toFixed(1)} |`),
  ]
}

const median = (all: readonly number[]): number => all.toSorted((one, other) => one - other)[all.length >> 1] ?? Number.NaN

/** Seconds that all threads ran, to the nanosecond where the kernel counts them (proc_pid_schedstat(5)); of user and system time else. */
function cpuOf(child: ChildProcess): number {
  const tasks = `/proc/${child.pid}/task`
  if (!existsSync(`/proc/${child.pid}/schedstat`)) return cpuSeconds([child])
  return readdirSync(tasks).reduce((sum, task) => sum + Number(readFileSync(`${tasks}/${task}/schedstat`, 'utf8').split(' ')[0]) / 1e9, 0)
}

if (import.meta.main) console.log((await policiesTable(Number(process.argv[2] ?? 8), Number(process.argv[3] ?? 0.4))).join('\n'))
