/**
 * What a request costs through a proxy with 1, 100 and 10,000 routes, through Weft and through Envoy by the same file: plain HTTP on both sides,
 * and the request takes the last route. `node bench/route-tables.ts [ROUNDS [SECONDS]]`.
 */

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import { type JsonObject, toJson } from '@bufbuild/protobuf'
import type { Route } from '../src/model/route.ts'
import { encodeRouteTable } from '../src/xds/encode/route.ts'
import { registry } from '../src/xds/file/registry.ts'
import { RouteConfigurationSchema } from '../src/xds/gen/envoy/config/route/v3/route_pb.ts'
import { load, makeGenerator, startApplication } from './load.ts'
import { presentEnvoy } from './peers/envoy-binary.ts'
import { cores, cpuSeconds, freePort, Processes } from './processes.ts'

const counts = [1, 100, 10_000]

const route = (name: string, match: Route['match']): Route => ({
  name,
  origin: name,
  match,
  filters: [],
  action: { type: 'forward', backends: [{ backend: 'app', weight: 1 }] },
})

const type = (name: string) => ({ '@type': `type.googleapis.com/envoy.${name}` })
const at = (port: number) => ({ address: { socket_address: { address: '127.0.0.1', port_value: port } } })

function listener(count: number, port: number): JsonObject {
  const routes = Array.from({ length: count - 1 }, (_, nth) =>
    route(`r${nth}`, { path: { type: 'prefix', value: `/api/v1/item-${nth}` }, method: 'GET' }),
  )
  const table = encodeRouteTable({ name: `all-${count}`, hosts: [{ name: 'all', domains: ['*'], routes: [...routes, route('last', {})] }] })
  return {
    name: `front-${count}`,
    ...at(port),
    filter_chains: [
      {
        filters: [
          {
            name: 'envoy.filters.network.http_connection_manager',
            typed_config: {
              ...type('extensions.filters.network.http_connection_manager.v3.HttpConnectionManager'),
              stat_prefix: 'front',
              route_config: toJson(RouteConfigurationSchema, table, { registry }),
              http_filters: [{ name: 'envoy.filters.http.router', typed_config: type('extensions.filters.http.router.v3.Router') }],
            },
          },
        ],
      },
    ],
  }
}

const fileFor = (ports: readonly number[], to: number): JsonObject => ({
  static_resources: {
    listeners: counts.map((count, nth) => listener(count, ports[nth]!)),
    clusters: [
      {
        name: 'app',
        connect_timeout: '5s',
        load_assignment: { cluster_name: 'app', endpoints: [{ lb_endpoints: [{ endpoint: at(to) }] }] },
      },
    ],
  },
})

/** A table in Markdown. */
export async function routeTablesTable(rounds = 5, seconds = 0.5): Promise<readonly string[]> {
  const folder = mkdtempSync(join(tmpdir(), 'weft-route-tables-'))
  await using processes = new Processes(folder)
  try {
    const generator = makeGenerator(folder)
    const { http } = await startApplication(generator, processes)
    const envoy = presentEnvoy()
    const peers = [
      { name: 'Weft', command: (file: string) => [fileURLToPath(new URL('../weft', import.meta.url)), 'proxy', '--from', file] },
      ...(envoy === undefined
        ? []
        : [
            { name: 'Envoy', command: (file: string) => [envoy, '-c', file, '--concurrency', '1', '--disable-hot-restart', '-l', 'error'] },
          ]),
    ]
    const rows: string[] = []
    for (const { name, command } of peers) {
      const ports = await Promise.all(counts.map(() => freePort()))
      mkdirSync(join(folder, name))
      const file = join(folder, name, 'proxy.json')
      writeFileSync(file, JSON.stringify(fileFor(ports, http)))
      const proxy = await processes.start(cores.proxies, command(file), ports.at(-1)!)
      const cost = async (port: number): Promise<number> => {
        const before = cpuSeconds([proxy])
        const { good } = await load(generator, port, { connections: 64, size: 1024, seconds })
        return ((cpuSeconds([proxy]) - before) * 1e6) / good
      }
      for (const port of ports) await cost(port)
      const seen = ports.map((): number[] => [])
      for (let round = 1; round <= rounds; round++)
        for (const [nth, port] of ports.entries()) {
          console.error(`… route-tables ${name} ${round}/${rounds} ${counts[nth]}`)
          seen[nth]!.push(await cost(port))
        }
      await processes.stop(proxy)
      rows.push(`| ${name} | ${seen.map(each => Math.min(...each).toFixed(1)).join(' | ')} |`)
    }
    return [
      `One hop of plain HTTP/1.1, 1 KB answers, 64 connections, a table of so many routes of which the request takes the last: microseconds of CPU for each request, the least of ${rounds} rounds.${envoy === undefined ? ' Envoy is not here.' : ''}`,
      '',
      `| routes | ${counts.map(count => count.toLocaleString('en')).join(' | ')} |`,
      `|---|${counts.map(() => '---:|').join('')}`,
      ...rows,
    ]
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

if (import.meta.main) console.log((await routeTablesTable(Number(process.argv[2] ?? 5), Number(process.argv[3] ?? 0.5))).join('\n'))
