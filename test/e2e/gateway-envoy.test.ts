/** What the control plane makes of a Gateway is carried out by Envoy as by Weft: hosts, TLS by server name, 404 and 421. */

import assert from 'node:assert/strict'
import { execFile, execFileSync, spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer as createHttp } from 'node:http'
import { createServer as createHttps } from 'node:https'
import net, { type AddressInfo } from 'node:net'
import { homedir, tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import { test } from 'node:test'
import { type JsonObject, type JsonValue, toJson } from '@bufbuild/protobuf'
import { fetchEnvoy } from '../../bench/peers/envoy-binary.ts'
import { program } from '../../bench/peer.ts'
import { compile } from '../../src/compiler.ts'
import type { Resource } from '../../src/resources/kind.ts'
import { admit } from '../../src/resources/validate.ts'
import { encodeListener } from '../../src/xds/encode/listener.ts'
import { encodeRouteTable } from '../../src/xds/encode/route.ts'
import { registry } from '../../src/xds/file/registry.ts'
import { ListenerSchema } from '../../src/xds/gen/envoy/config/listener/v3/listener_pb.ts'
import { RouteConfigurationSchema } from '../../src/xds/gen/envoy/config/route/v3/route_pb.ts'
import { certify } from '../harness/certify.ts'

const cached = existsSync(join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'weft', 'bench', 'envoy-1.40.0'))
const mayFetch = process.env['WEFT_TEST_FETCH'] === '1'
const found =
  program('envoy') !== undefined || cached || mayFetch ? await fetchEnvoy() : { missing: 'Envoy is not here: WEFT_TEST_FETCH=1 fetches it' }
const missing = ['curl', 'openssl'].find(each => program(each) === undefined)
const skip = 'missing' in found ? found.missing : missing === undefined ? false : `${missing} is not on this machine`

const group = 'gateway.networking.k8s.io/v1'
const named = (apiVersion: string, kind: string, name: string, spec: object): Resource =>
  admit({ apiVersion, kind, metadata: { name, namespace: 'default' }, ...spec } as Resource)

const freePort = (): Promise<number> =>
  new Promise(resolve => {
    const server = net.createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo
      server.close(() => resolve(port))
    })
  })

/** Static configuration has its tables inside. */
function withTables(value: JsonValue, tables: Readonly<Record<string, JsonValue>>): JsonValue {
  if (Array.isArray(value)) return value.map(each => withTables(each, tables))
  if (value === null || typeof value !== 'object') return value
  const { rds, ...rest } = value
  const inner = Object.fromEntries(Object.entries(rest).map(([name, each]) => [name, withTables(each!, tables)]))
  return rds === undefined ? inner : { ...inner, routeConfig: tables[String((rds as JsonObject)['routeConfigName'])]! }
}

test('Envoy carries out the listeners of a Gateway as they are compiled for our own proxies', { skip, timeout: 60_000 }, async () => {
  await using owned = new AsyncDisposableStack()
  const folder = mkdtempSync(join(tmpdir(), 'weft-gateway-envoy-'))
  owned.defer(() => rmSync(folder, { recursive: true, force: true }))
  const app = createHttp((_, answer) => answer.end('app')).listen(0, '127.0.0.1')
  owned.defer(() => void app.close())
  await new Promise(resolve => app.once('listening', resolve))
  const [web, secure, several, datagrams] = [await freePort(), await freePort(), await freePort(), await freePort()]
  const secrets = ['a', 'b', 'ended', 'passed'].map(name => {
    const [cert, key] = ['crt', 'key'].map(end => join(folder, `${name}.${end}`)) as [string, string]
    certify({ key, cert, subject: `/CN=${name}`, names: [`DNS:${name}.example.org`] })
    const data = { 'tls.crt': readFileSync(cert).toString('base64'), 'tls.key': readFileSync(key).toString('base64') }
    return named('v1', 'Secret', name, { type: 'kubernetes.io/tls', data })
  })
  const sealed = { key: readFileSync(join(folder, 'passed.key')), cert: readFileSync(join(folder, 'passed.crt')) }
  const vault = createHttps(sealed, (_, answer) => answer.writeHead(204).end()).listen(0, '127.0.0.1')
  owned.defer(() => void vault.close())
  await new Promise(resolve => vault.once('listening', resolve))
  const https = (name: string) => ({
    name,
    port: secure,
    protocol: 'HTTPS',
    hostname: `${name}.example.org`,
    tls: { certificateRefs: [{ name }] },
  })
  const stream = (name: string, mode: string) => ({
    name,
    port: secure,
    protocol: 'TLS',
    hostname: `${name}.example.org`,
    tls: { mode, ...(mode === 'Terminate' ? { certificateRefs: [{ name }] } : {}) },
  })
  const leads = (kind: string, name: string, to: string, port: number) =>
    named(group, kind, name, {
      spec: {
        parentRefs: [{ name: 'edge', sectionName: name }],
        rules: [{ backendRefs: [{ name: to, port }] }],
        ...(kind === 'TLSRoute' ? { hostnames: [`${name}.example.org`] } : {}),
      },
    })
  const route = (name: string, hostnames: readonly string[]) =>
    named(group, 'HTTPRoute', name, {
      spec: {
        parentRefs: [{ name: 'edge' }],
        hostnames,
        rules: [{ matches: [{ path: { value: `/${name}` } }], backendRefs: [{ name: 'app', port: 80 }] }],
      },
    })
  const resources = [
    ...secrets,
    named('v1', 'Service', 'app', { spec: { selector: { app: 'app' }, ports: [{ port: 80, appProtocol: 'http' }] } }),
    named('v1', 'Service', 'vault', { spec: { selector: { app: 'vault' }, ports: [{ port: 443, appProtocol: 'tls' }] } }),
    named('v1', 'Service', 'time', { spec: { selector: { app: 'time' }, ports: [{ port: 123, protocol: 'UDP' }] } }),
    named(group, 'Gateway', 'edge', {
      spec: {
        gatewayClassName: 'weft',
        addresses: [{ value: '127.0.0.1' }],
        listeners: [
          { name: 'web', port: web, protocol: 'HTTP' },
          https('a'),
          https('b'),
          stream('ended', 'Terminate'),
          stream('passed', 'Passthrough'),
          { name: 'several', port: several, protocol: 'HTTPS', tls: { certificateRefs: [{ name: 'a' }, { name: 'b' }] } },
          { name: 'time', port: datagrams, protocol: 'UDP' },
        ],
      },
    }),
    leads('TLSRoute', 'ended', 'app', 80),
    leads('TLSRoute', 'passed', 'vault', 443),
    leads('UDPRoute', 'time', 'time', 123),
    route('exact', ['a.example.org', 'b.example.org']),
    route('wide', ['*.example.org']),
    named(group, 'HTTPRoute', 'guarded', {
      spec: {
        parentRefs: [{ name: 'edge' }],
        hostnames: ['spelled.example.org'],
        rules: [{ matches: [{ path: { value: '/guarded' } }] }, { backendRefs: [{ name: 'app', port: 80 }] }],
      },
    }),
  ]
  const challenges = [{ gateway: 'default/edge', host: 'a.example.org', token: 'abc', answer: 'abc.key' }]
  const { mesh } = compile(resources, { workloads: [] }, { trustDomain: 'weft.test', roots: [], challenges })
  const { listeners, routes } = mesh.gateways['default/edge']!
  const tables = Object.fromEntries(
    Object.values(routes).map(table => [table.name, toJson(RouteConfigurationSchema, encodeRouteTable(table), { registry })]),
  )
  const cluster = (name: string, server: { address(): unknown }) => ({
    name,
    connect_timeout: '2s',
    load_assignment: {
      cluster_name: name,
      endpoints: [
        {
          lb_endpoints: [
            { endpoint: { address: { socket_address: { address: '127.0.0.1', port_value: (server.address() as AddressInfo).port } } } },
          ],
        },
      ],
    },
  })
  const bootstrap = {
    static_resources: {
      listeners: Object.values(listeners).map(each => withTables(toJson(ListenerSchema, encodeListener(each), { registry }), tables)),
      clusters: [cluster('default/app:80', app), cluster('default/vault:443', vault), cluster('default/time:123/udp', app)],
    },
  }
  const file = join(folder, 'envoy.json')
  writeFileSync(file, JSON.stringify(bootstrap), { mode: 0o600 })
  const flags = ['-c', file, '--concurrency', '1', '--disable-hot-restart', '-l', 'error']
  const envoy = spawn((found as { binary: string }).binary, flags, { stdio: ['ignore', 'ignore', 'pipe'] })
  let said = ''
  envoy.stderr.on('data', text => (said += String(text)))
  owned.defer(() => void envoy.kill('SIGKILL'))

  const curl = (...args: readonly string[]): Promise<string> =>
    new Promise(resolve =>
      execFile(
        'curl',
        ['-sS', '-o', '/dev/null', '--max-time', '10', '-w', '%{http_code} %{http_version}', ...args],
        (error, stdout, stderr) => resolve(error ? stderr.trim() : stdout),
      ),
    )
  const plain = (host: string, path: string) => curl('-H', `Host: ${host}`, `http://127.0.0.1:${web}${path}`)
  const tls = (name: string, host: string, path: string, port = secure) =>
    curl(
      '--cacert',
      join(folder, `${name}.crt`),
      '--resolve',
      `${name}.example.org:${port}:127.0.0.1`,
      '-H',
      `Host: ${host}`,
      `https://${name}.example.org:${port}${path}`,
    ) // prettier-ignore
  for (let tries = 0; (await plain('a.example.org', '/exact')).startsWith('curl'); tries++) {
    assert.ok(tries < 200 && envoy.exitCode === null, `Envoy does not serve: ${said}`)
    await new Promise(resolve => setTimeout(resolve, 50))
  }
  assert.equal(await plain('a.example.org', '/exact'), '200 1.1')
  assert.equal(await plain('a.example.org', '/wide'), '200 1.1', 'what the narrower host has no rule for is asked of the wider one')
  assert.equal(await plain('c.example.org', '/exact'), '404 1.1')
  const challenge = `http://127.0.0.1:${web}/.well-known/acme-challenge/abc`
  const answer = execFileSync('curl', ['-sS', '--max-time', '10', '-H', 'Host: a.example.org', challenge], { encoding: 'utf8' })
  assert.equal(answer, 'abc.key', 'what an ACME server looks for')
  assert.equal(await plain('example.com', '/wide'), '404 1.1')
  const spelled = (path: string) => curl('--path-as-is', '-H', 'Host: spelled.example.org.', `http://127.0.0.1:${web}${path}`)
  assert.equal(await spelled('/x'), '200 1.1')
  for (const path of ['/guarded', '/x/../guarded', '//guarded', '/%67uarded', '/x/%2e%2E/guarded', '/./guarded'])
    assert.equal(await spelled(path), '500 1.1', path)
  assert.equal(await tls('a', 'a.example.org', '/exact'), '200 2')
  assert.equal(await tls('b', 'b.example.org', '/wide'), '200 2')
  for (const name of ['a', 'b'])
    assert.equal(await tls(name, `${name}.example.org`, '/exact', several), '200 2', 'of several certificates that of the name')
  assert.equal(await tls('ended', 'any.test', '/'), '200 1.1', 'what is in it goes on as bytes')
  assert.equal(await tls('passed', 'any.test', '/'), '204 1.1', 'the server behind it ends TLS')
  for (const other of ['b', 'passed', 'ended']) assert.equal(await tls('a', `${other}.example.org`, '/exact'), '421 2')
  assert.equal(await tls('a', 'c.example.org', '/exact'), '404 2')
  assert.match(await curl('-k', '--resolve', `c.example.org:${secure}:127.0.0.1`, `https://c.example.org:${secure}/`), /^curl: /)
})
