/** Envoy carries out what the control plane sends of resilience: endpoints that stand out, a fallback, a second try beside the first, a limit that is found out. */

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import http from 'node:http'
import net, { type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { type JsonObject, toJson } from '@bufbuild/protobuf'
import { presentEnvoy } from '../../bench/peers/envoy-binary.ts'
import type { Backend } from '../../src/model/backend.ts'
import type { OutlierDetection } from '../../src/model/endpoint-health.ts'
import type { AdaptiveConcurrency } from '../../src/model/listener.ts'
import type { Route } from '../../src/model/route.ts'
import { encodeBackend } from '../../src/xds/encode/cluster.ts'
import { encodeChain, encodeOwn } from '../../src/xds/encode/fallback.ts'
import { encodeListener } from '../../src/xds/encode/listener.ts'
import { encodeRouteTable } from '../../src/xds/encode/route.ts'
import { registry } from '../../src/xds/file/registry.ts'
import { type Cluster, ClusterSchema } from '../../src/xds/gen/envoy/config/cluster/v3/cluster_pb.ts'
import { ListenerSchema } from '../../src/xds/gen/envoy/config/listener/v3/listener_pb.ts'
import { RouteConfigurationSchema } from '../../src/xds/gen/envoy/config/route/v3/route_pb.ts'

const envoy = presentEnvoy()
const outlierDetection: OutlierDetection = {
  consecutive5xx: 0,
  consecutiveGatewayErrors: 0,
  consecutiveLocalOriginFailures: 0,
  splitsLocalOrigin: false,
  intervalMs: 500,
  baseEjectionMs: 60_000,
  maxEjectionMs: 60_000,
  maxEjectionPercent: 50,
  failurePercentage: { percent: 25, minimumHosts: 3, requestVolume: 10 },
}
const concurrency: AdaptiveConcurrency = {
  percentile: 50,
  intervalMs: 100,
  mostLimit: 100,
  roundTrip: { intervalMs: 60_000, requests: 20, jitterPercent: 10, limit: 3, bufferPercent: 25 },
}

describe('Envoy and resilience', { skip: envoy === undefined && 'Envoy is not here' }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'weft-envoy-'))
  const servers: http.Server[] = []
  const seen = new Map<string, number>()
  let stop: () => Promise<void>
  let ports: readonly [number, number]

  const serve = async (name: string, status: (count: number) => number, afterMs = 0): Promise<number> => {
    const server = http.createServer((_request, response) => {
      const count = (seen.get(name) ?? 0) + 1
      seen.set(name, count)
      setTimeout(() => response.writeHead(status(count), { 'x-by': name }).end(name), afterMs)
    })
    servers.push(server)
    await new Promise<void>(done => server.listen(0, '127.0.0.1', done))
    return (server.address() as AddressInfo).port
  }
  const free = async (): Promise<number> => {
    const server = net.createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    server.close()
    return port
  }

  before(async () => {
    const backend = (name: string, more: Partial<Backend> = {}): Backend => ({
      name,
      service: 'x.d',
      type: 'endpoints',
      port: 80,
      protocol: 'http1',
      balance: 'round-robin',
      connectTimeoutMs: 1000,
      identities: [],
      ...more,
    })
    /** With its endpoints in it, so that no control plane is needed. */
    const fixed = (cluster: Cluster, at: readonly number[]): JsonObject => {
      const { edsClusterConfig: _, ...json } = toJson(ClusterSchema, cluster, { registry }) as JsonObject
      const lbEndpoints = at.map(portValue => ({ endpoint: { address: { socketAddress: { address: '127.0.0.1', portValue } } } }))
      return {
        ...json,
        type: 'STATIC',
        loadAssignment: { clusterName: cluster.name, endpoints: lbEndpoints.length === 0 ? [] : [{ lbEndpoints }] },
      }
    }
    const well = () => 200
    const three = [await serve('one', well), await serve('two', count => (count % 10 < 4 ? 503 : 200)), await serve('three', well)]
    const slow = [await serve('slow', well, 1500), await serve('quick', well)]
    const judged = backend('judged', { outlierDetection })
    const helped = backend('helped', { fallback: 'spare' })
    const all = { helped, spare: backend('spare') }
    const clusters = [
      fixed(encodeBackend(judged), three),
      fixed(encodeOwn(helped), []),
      toJson(ClusterSchema, encodeChain(helped, all), { registry }),
      fixed(encodeBackend(all.spare), [await serve('spare', well)]),
      fixed(encodeBackend(backend('hedged')), slow),
      fixed(encodeBackend(backend('queue')), [await serve('queue', well, 40)]),
    ]
    const route = (path: string, to: string, more: Partial<Route> = {}): Route => ({
      name: path,
      origin: path,
      match: { path: { type: 'prefix', value: path } },
      filters: [],
      action: { type: 'forward', backends: [{ backend: to, weight: 1 }] },
      ...more,
    })
    const routes = [
      route('/judged', 'judged'),
      route('/helped', 'helped'),
      route('/hedged', 'hedged', { hedge: { afterMs: 100, attempts: 1 } }),
      route('/queue', 'queue'),
    ]
    const table = toJson(RouteConfigurationSchema, encodeRouteTable({ name: 't', hosts: [{ name: '*', domains: ['*'], routes }] }), {
      registry,
    })
    ports = [await free(), await free()]
    const listener = (port: number, direction: 'outbound' | 'inbound', more: object): JsonObject => {
      const encoded = encodeListener({
        name: direction,
        direction,
        host: '127.0.0.1',
        port,
        service: 'x.d',
        protocol: 'http',
        routes: 't',
        ...more,
      })
      const json = toJson(ListenerSchema, encoded, { registry }) as JsonObject
      const whole = JSON.parse(JSON.stringify(json)) as { bindToPort?: boolean; filterChains: { filters: { typedConfig: JsonObject }[] }[] }
      delete whole.bindToPort
      const manager = whole.filterChains[0]!.filters[0]!.typedConfig
      delete manager['rds']
      manager['routeConfig'] = table
      return whole as unknown as JsonObject
    }
    const listeners = [listener(ports[0], 'outbound', {}), listener(ports[1], 'inbound', { concurrency })]
    const file = join(folder, 'envoy.json')
    writeFileSync(file, JSON.stringify({ node: { id: 'a', cluster: 'b' }, staticResources: { clusters, listeners } }))
    const child = spawn(envoy!, ['-c', file, '--use-dynamic-base-id', '--concurrency', '1', '-l', 'warn'], {
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    let said = ''
    child.stderr.setEncoding('utf8').on('data', (text: string) => (said += text))
    stop = async () => {
      if (child.exitCode === null) {
        child.kill('SIGKILL')
        await once(child, 'exit')
      }
    }
    for (let left = 200; ; left--) {
      assert.ok(left > 0 && child.exitCode === null, said)
      const isUp = await ask('/helped').then(
        () => true,
        () => false,
      )
      if (isUp) break
      await new Promise(resolve => setTimeout(resolve, 100))
    }
  })
  after(async () => {
    await stop?.()
    for (const server of servers) {
      server.closeAllConnections()
      server.close()
    }
    rmSync(folder, { recursive: true, force: true })
  })

  const ask = (path: string, port = ports[0]): Promise<string> =>
    new Promise((resolve, reject) => {
      http
        .get({ host: '127.0.0.1', port, path, agent: false }, answer => {
          answer.resume().on('end', () => resolve(`${answer.statusCode} ${answer.headers['x-by'] ?? ''}`.trim()))
        })
        .on('error', reject)
    })
  const many = async (path: string, count: number, port?: number): Promise<Readonly<Record<string, number>>> => {
    const tally: Record<string, number> = {}
    for (const told of await Promise.all(Array.from({ length: count }, () => ask(path, port)))) tally[told] = (tally[told] ?? 0) + 1
    return tally
  }

  test('of three endpoints the one of whose answers too many fail is left out after an interval', async () => {
    let tally: Readonly<Record<string, number>> = {}
    for (let round = 0; round < 30; round++) {
      tally = await many('/judged', 60)
      if (tally['200 two'] === undefined && tally['503 two'] === undefined) break
      await new Promise(resolve => setTimeout(resolve, 100))
    }
    assert.deepEqual(Object.keys(tally).sort(), ['200 one', '200 three'], JSON.stringify(tally))
  })

  test('an aggregate of its own endpoints, of which there are none, and those of a fallback leads to the fallback', async () => {
    assert.deepEqual(await many('/helped', 10), { '200 spare': 10 })
  })

  test('a second try is sent beside the first, and the quick one is passed on', async () => {
    const began = performance.now()
    const tally = await many('/hedged', 4)
    assert.deepEqual(tally, { '200 quick': 4 })
    assert.ok(performance.now() - began < 1400)
    assert.ok((seen.get('slow') ?? 0) >= 1, 'the slow one was asked first, by some')
  })

  test('while it measures, more requests at once than the lowest limit are refused, and a few are not', async () => {
    const tally = await many('/queue', 12, ports[1])
    assert.equal(tally['200 queue'], 3, JSON.stringify(tally))
    assert.equal(tally['503'], 9)
  })
})
