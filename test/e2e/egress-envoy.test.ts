/** Envoy takes what the control plane writes of the way out of the mesh, and keeps its rules: by host, path and server name, with names that it looks up itself. */

import assert from 'node:assert/strict'
import { execFile, spawnSync } from 'node:child_process'
import { existsSync, globSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { homedir, tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import { after, before, describe, test } from 'node:test'
import { createRegistry, type DescFile, type DescMessage, type MessageShape, toJson } from '@bufbuild/protobuf'
import { fetchEnvoy } from '../../bench/peers/envoy-binary.ts'
import { program } from '../../bench/peer.ts'
import { compile, viewFor } from '../../src/compiler.ts'
import type { View } from '../../src/model/view.ts'
import type { ProxyNode } from '../../src/model/workload.ts'
import type { Resource } from '../../src/resources/kind.ts'
import { encodeBackend, encodeEndpoints } from '../../src/xds/encode/cluster.ts'
import { encodeListener } from '../../src/xds/encode/listener.ts'
import { encodeRouteTable } from '../../src/xds/encode/route.ts'
import { ClusterSchema } from '../../src/xds/gen/envoy/config/cluster/v3/cluster_pb.ts'
import { ClusterLoadAssignmentSchema } from '../../src/xds/gen/envoy/config/endpoint/v3/endpoint_pb.ts'
import { ListenerSchema } from '../../src/xds/gen/envoy/config/listener/v3/listener_pb.ts'
import { RouteConfigurationSchema } from '../../src/xds/gen/envoy/config/route/v3/route_pb.ts'
import { type EnvoyProcess, startEnvoy } from '../harness/envoy-process.ts'
import { type Authority, Outside } from './egress/outside.ts'

const cached = existsSync(join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'weft', 'bench', 'envoy-1.40.0'))
const mayFetch = process.env['WEFT_TEST_FETCH'] === '1'
const found =
  program('envoy') !== undefined || cached || mayFetch ? await fetchEnvoy() : { missing: 'Envoy is not here: WEFT_TEST_FETCH=1 fetches it' }
const absent = ['curl', 'openssl'].find(name => spawnSync(name, ['-h']).error !== undefined)
const skip = 'missing' in found ? found.missing : absent === undefined ? false : `${absent} is not installed`

/** Of all messages that there are: listeners have sleeping filters of every feature. */
const generated = join(import.meta.dirname, '../../src/xds/gen')
const files = await Promise.all(globSync('**/*_pb.ts', { cwd: generated }).map(file => import(join(generated, file)) as Promise<object>))
const registry = createRegistry(
  ...files.flatMap(each => Object.entries(each).flatMap(([name, value]) => (name.startsWith('file_') ? [value as DescFile] : []))),
)

type Json = { [name: string]: Json } | Json[] | string | number | boolean | null

describe('the way out of the mesh, by Envoy', { skip, timeout: 120_000 }, () => {
  let folder: string
  let outside: Outside
  let trusted: Authority
  let plain: number
  let secure: number
  let known: number
  let envoy: EnvoyProcess

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'weft-egress-'))
    outside = new Outside(folder)
    trusted = outside.authority('trusted')
    // The one name that every machine has. Envoy listens at another address on the same ports, as if those had been called.
    plain = await outside.http('local', '127.0.0.1')
    known = await outside.http('local', '127.0.0.1')
    secure = await outside.tls('local', '127.0.0.1', trusted.issue('localhost', 'localhost.localdomain'))
    const file = join(folder, 'envoy.json')
    writeFileSync(file, JSON.stringify(bootstrap(viewOf())))
    envoy = await startEnvoy((found as { binary: string }).binary, file, [plain, secure, known], '127.0.0.2')
  })
  after(async () => {
    await envoy?.stop()
    await outside?.[Symbol.asyncDispose]()
    if (folder !== undefined) rmSync(folder, { recursive: true, force: true })
  })

  /** What the control plane would tell a proxy. */
  function viewOf(): View {
    const of = (kind: string, name: string, spec: object, whole: object = { spec }): Resource =>
      ({
        apiVersion: kind === 'ConfigMap' ? 'v1' : 'weft.dev/v1alpha1',
        kind,
        metadata: { name, namespace: 'default' },
        ...whole,
      }) as Resource
    const external = (name: string, spec: object) => of('ExternalService', name, { resolution: 'DNS', ...spec })
    const tls = { mode: 'Originate', caCertificateRef: { name: 'roots' } }
    const { mesh, statuses } = compile(
      [
        of('ConfigMap', 'roots', {}, { data: { 'ca.crt': trusted.pem } }),
        external('one', {
          hosts: ['one.example'],
          ports: [
            { name: 'http', port: 80, protocol: 'HTTP' },
            { name: 'tcp', port: 5432, protocol: 'TCP' },
          ],
        }),
        external('known', {
          hosts: ['known.example'],
          ports: [{ port: known, protocol: 'HTTP' }],
          endpoints: [{ address: 'localhost', weight: 1 }],
        }),
        external('two', { hosts: ['two.example'], ports: [{ port: 443, protocol: 'HTTP2', tls: { ...tls, serverName: 'x.example' } }] }),
        external('many', {
          hosts: ['many.example'],
          ports: [{ port: 80 }],
          endpoints: [
            { address: 'a.example', weight: 1 },
            { address: 'b.example', weight: 2 },
          ],
        }),
        external('machines', { hosts: ['machines.example'], ports: [{ port: 443, protocol: 'HTTP', tls: { mode: 'Originate' } }] }),
        external('wide', {
          hosts: ['*.localdomain'],
          ports: [
            { name: 'tls', port: secure, protocol: 'TLS' },
            { name: 'http', port: plain, targetPort: secure, protocol: 'HTTP', tls },
          ],
        }),
        of('EgressPolicy', 'strict', {
          targetRefs: [{ kind: 'Namespace' }],
          default: 'Deny',
          rules: [
            {
              action: 'Allow',
              to: [{ hosts: ['localhost'], ports: [plain], methods: ['GET'], paths: [{ type: 'Prefix', value: '/open' }] }],
            },
            {
              action: 'Allow',
              to: [
                { hosts: ['localhost'], ports: [secure] },
                { ipBlocks: ['10.0.0.0/8', 'fd00::/8'], ports: [5432] },
              ],
            },
            {
              action: 'Deny',
              to: [{ hosts: ['known.example'], paths: [{ type: 'Exact', value: '/secret' }] }, { ipBlocks: ['169.254.0.0/16'] }],
            },
          ],
        }),
      ],
      { workloads: [] },
      { trustDomain: 'weft.local', roots: [] },
    )
    for (const { conditions = [], name } of statuses)
      for (const { type, status, message } of conditions) assert.equal(`${type}=${status}`, 'Accepted=True', `${name}: ${message}`)
    const node: ProxyNode = {
      id: 'w.default',
      workload: 'w',
      namespace: 'default',
      service: 'w',
      labels: { app: 'w' },
      ports: [],
      probe: { type: 'none' },
      version: '',
    }
    return viewFor(mesh, node)
  }

  function bootstrap(view: View): Json {
    const json = <Desc extends DescMessage>(schema: Desc, message: MessageShape<Desc>): Json =>
      toJson(schema, message, { registry }) as Json
    const inline = (value: Json): Json => {
      if (Array.isArray(value)) return value.map(inline)
      if (value === null || typeof value !== 'object') return value
      const { rds, ...rest } = value as Record<string, Json>
      const entries = Object.entries(rest).map(([name, each]) => [name, inline(each)] as const)
      if (rds === undefined) return Object.fromEntries(entries)
      const { routeConfigName } = rds as { routeConfigName: string }
      return {
        ...Object.fromEntries(entries),
        routeConfig: json(RouteConfigurationSchema, encodeRouteTable(view.routes[routeConfigName]!)),
      }
    }
    const listeners = Object.values(view.listeners).map(listener => {
      const { useOriginalDst: _, ...rest } = inline(json(ListenerSchema, encodeListener(listener))) as Record<string, Json>
      const isAsked = [plain, secure, known].includes(listener.port)
      return isAsked
        ? { ...rest, bindToPort: true, address: { socketAddress: { address: '127.0.0.2', portValue: listener.port } } }
        : { ...rest, bindToPort: false }
    })
    const clusters = Object.values(view.backends).map(backend => {
      const { edsClusterConfig, ...rest } = json(ClusterSchema, encodeBackend(backend)) as Record<string, Json>
      if (edsClusterConfig === undefined) return rest
      return { ...rest, type: 'STATIC', loadAssignment: json(ClusterLoadAssignmentSchema, encodeEndpoints(view.endpoints[backend.name]!)) }
    })
    return { staticResources: { listeners, clusters } }
  }

  const curl = (...args: readonly string[]): Promise<string> =>
    new Promise(resolve => {
      execFile(
        'curl',
        ['-sS', '--max-time', '20', '-w', ' %{http_code}', '--cacert', join(folder, 'trusted.pem'), ...args],
        (error, stdout) => resolve(error === null ? stdout.replaceAll('\n', '').trim() : `curl ${error.code}`),
      )
    })
  const at = (host: string, port: number): readonly string[] => ['--resolve', `${host}:${port}:127.0.0.2`]

  test('requests go where their host is, as far as the rules let them', async () => {
    const ask = (host: string, path: string, ...more: readonly string[]) =>
      curl(...at(host, plain), ...more, `http://${host}:${plain}${path}`)
    assert.equal(await ask('localhost', '/open/a'), `local GET /open/a localhost:${plain} 200`, envoy.said())
    assert.match(await ask('localhost', '/shut'), / 403$/)
    assert.match(await ask('localhost', '/open', '-X', 'POST'), / 403$/)
    assert.match(await ask('one.bad.example', '/open'), / 403$/)
    // Envoy goes to the port that the host names: none but those of the rule.
    assert.match(await ask('localhost', '/open/a', '-H', 'Host: localhost:1'), / 403$/)
  })

  test('an ExternalService is called, but for what is denied of it', async () => {
    const ask = (path: string) => curl(...at('known.example', known), `http://known.example:${known}${path}`)
    assert.equal(await ask('/open'), `local GET /open known.example:${known} 200`, envoy.said())
    assert.match(await ask('/secret'), / 403$/)
  })

  test('no tunnel is made to the outside, neither where rules name its host nor where they name no method', async () => {
    for (const [host, port] of [
      ['localhost', plain],
      ['known.example', known],
    ] as const) {
      const proxy = ['--proxytunnel', '-x', `http://127.0.0.2:${port}`, '-o', '/dev/null', '-w', '%{http_connect}']
      assert.match(await curl(...proxy, `http://${host}:${port}/secret`), /^curl 56$/)
    }
  })

  test('TLS goes where its server name is, and no further', async () => {
    assert.equal(await curl(...at('localhost', secure), `https://localhost:${secure}/`), 'local localhost 200', envoy.said())
    assert.equal(await curl(...at('one.bad.example', secure), '-k', `https://one.bad.example:${secure}/`), 'curl 35')
  })
})
