/** Who comes back reaches the endpoint that it had: by header, cookie, query and source address, over HTTP/1.1, HTTP/2, gRPC, TCP and UDP, in the mesh and at a Gateway. */

import assert from 'node:assert/strict'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { request } from 'node:http'
import { connect as connectHttp2 } from 'node:http2'
import { connect, createServer } from 'node:net'
import { join } from 'node:path'
import process from 'node:process'
import { after, before, describe, test } from 'node:test'
import type { KindPath } from '../../src/api/client.ts'
import { canCapture } from '../../src/io/namespace.ts'
import type { Resource } from '../../src/resources/kind.ts'
import { active } from '../harness/front.ts'
import { kinds, Mesh, type Shell } from '../harness/mesh.ts'

const verdict = await canCapture()
const group = 'gateway.networking.k8s.io'
const paths: Readonly<Record<string, KindPath>> = {
  BackendPolicy: { group: 'weft.dev', version: 'v1alpha1', plural: 'backendpolicies', namespaced: true },
  Gateway: { ...kinds.httpRoute, plural: 'gateways' },
  HTTPRoute: kinds.httpRoute,
  GRPCRoute: { ...kinds.httpRoute, plural: 'grpcroutes' },
  TCPRoute: { ...kinds.httpRoute, plural: 'tcproutes' },
  UDPRoute: { ...kinds.httpRoute, plural: 'udproutes' },
}
const script = (name: string): string => join(import.meta.dirname, 'balancing', name)
const names = ['one', 'two', 'three'] as const

type Kind = 'http' | 'http2' | 'grpc' | 'tcp' | 'udp'
type Call = { readonly path?: string; readonly headers?: Readonly<Record<string, string>> }
type Answer = { readonly by: string; readonly cookies: readonly string[]; readonly session?: string }

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  server.close()
  await once(server, 'close')
  return port
}

describe('affinity', { skip: verdict.ok ? false : `${verdict.why}: ${verdict.remedy}` }, () => {
  let mesh: Mesh
  let callers: readonly Shell[]

  before(async () => {
    mesh = await Mesh.start()
    const ports = ['8080/http', '8083/grpc', '8081/tcp', '8082/udp'].flatMap(port => ['--port', port])
    for (const name of names)
      mesh.run(`web-${name}`, [process.execPath, script('server.mjs')], {
        flags: ['--service', 'web', '--ready', 'tcp', ...ports],
        env: { NAME: name },
      })
    await mesh.healthy('web', names.length)
    callers = ['first', 'second'].map(name => mesh.shell(name))
    await Promise.all(callers.map(each => each.says('true')))
  })
  after(async () => {
    await Promise.all((callers ?? []).map(each => each[Symbol.asyncDispose]()))
    await mesh?.[Symbol.asyncDispose]()
  })

  const apply = async (document: object): Promise<void> => {
    const { kind } = document as Resource
    const { resource } = await mesh.client.apply(paths[kind]!, document as Resource, { force: true })
    await active(mesh, Number(resource.metadata.resourceVersion))
  }
  const policy = (spec: object): Promise<void> =>
    apply({
      apiVersion: 'weft.dev/v1alpha1',
      kind: 'BackendPolicy',
      metadata: { name: 'web', namespace: 'default' },
      spec: { targetRefs: [{ name: 'web' }], ...spec },
    })
  const ask = async (kind: Kind, calls: readonly Call[], by = callers[0]!): Promise<readonly Answer[]> =>
    JSON.parse(
      await by.says(`${process.execPath} ${script('caller.mjs')} '${JSON.stringify({ kind, host: 'web', calls, atOnce: 4 })}'`),
    ) as readonly Answer[]
  const who = (answers: readonly Answer[]): readonly string[] => answers.map(({ by }) => by)
  const users = (of: (user: number) => Call): Call[] => Array.from({ length: 40 }, (_, user) => of(user))

  for (const [what, hash, callOf] of [
    ['header', { header: 'X-User' }, (user: number): Call => ({ headers: { 'x-user': `user-${user}` } })],
    ['cookie', { cookie: { name: 'user' } }, (user: number): Call => ({ headers: { cookie: `a=b; user=user-${user}` } })],
    ['query', { query: 'user' }, (user: number): Call => ({ path: `/shop.Cart/Get?a=b&user=user-${user}` })],
  ] as const)
    test(`the same ${what} leads to the same endpoint, whoever calls, over HTTP/1.1, HTTP/2 and gRPC`, async () => {
      for (const balance of ['RingHash', 'Maglev']) {
        await policy({ balance, hash: [hash] })
        for (const kind of ['http', 'http2', 'grpc'] as const) {
          const first = who(await ask(kind, users(callOf)))
          assert.equal(new Set(first).size, names.length, `${kind}: all are used`)
          assert.deepEqual(who(await ask(kind, users(callOf), callers[1])), first, kind)
        }
      }
    })

  test('a session by cookie and by header stays where it began, over HTTP/1.1, HTTP/2 and gRPC', async () => {
    await policy({ balance: 'RoundRobin' })
    const sessions = {
      cookie: { type: 'Cookie', cookie: { name: 'at' } },
      header: { type: 'Header', header: { name: 'X-Session' } },
    } as const
    for (const [what, sessionPersistence] of Object.entries(sessions)) {
      for (const [kind, port] of [
        ['HTTPRoute', 8080],
        ['GRPCRoute', 8083],
      ] as const)
        await apply({
          apiVersion: `${group}/v1`,
          kind,
          metadata: { name: 'web', namespace: 'default' },
          spec: {
            parentRefs: [{ group: '', kind: 'Service', name: 'web', port }],
            rules: [{ sessionPersistence, backendRefs: [{ name: 'web', port }] }],
          },
        })
      for (const kind of ['http', 'http2', 'grpc'] as const) {
        const first = await ask(
          kind,
          Array.from({ length: 9 }, () => ({})),
        )
        assert.equal(new Set(who(first)).size, names.length)
        const back = first.map(
          ({ cookies, session }): Call => ({
            headers: what === 'cookie' ? { cookie: cookies[0]!.split(';')[0]! } : { 'x-session': session! },
          }),
        )
        assert.deepEqual(who(await ask(kind, back, callers[1])), who(first), `${kind} by ${what}`)
      }
    }
    for (const kind of ['HTTPRoute', 'GRPCRoute']) await mesh.client.delete(paths[kind]!, 'web', { namespace: 'default' })
  })

  test('one caller of the mesh stays at one endpoint by its source address, in all protocols', async () => {
    await policy({ balance: 'Maglev', hash: [{ sourceIP: true }] })
    for (const kind of ['http', 'http2', 'grpc', 'tcp', 'udp'] as const)
      for (const caller of callers) {
        const found = who(
          await ask(
            kind,
            Array.from({ length: 6 }, () => ({})),
            caller,
          ),
        )
        assert.equal(new Set(found).size, 1, `${kind}: ${found.join()}`)
      }
  })

  test('at a Gateway callers are told apart by their addresses, over HTTP/1.1, HTTP/2, gRPC, TCP and UDP', async () => {
    const [http, grpc, tcp, udp] = [await freePort(), await freePort(), await freePort(), await freePort()]
    await policy({ balance: 'RingHash', hash: [{ sourceIP: true }] })
    const listeners = [
      { name: 'http', port: http, protocol: 'HTTP' },
      { name: 'grpc', port: grpc, protocol: 'HTTP' },
      { name: 'tcp', port: tcp, protocol: 'TCP' },
      { name: 'udp', port: udp, protocol: 'UDP' },
    ]
    await apply({
      apiVersion: `${group}/v1`,
      kind: 'Gateway',
      metadata: { name: 'edge', namespace: 'default' },
      spec: { gatewayClassName: 'weft', addresses: [{ value: '127.0.0.1' }], listeners },
    })
    for (const [kind, sectionName, port, version] of [
      ['HTTPRoute', 'http', 8080, 'v1'],
      ['GRPCRoute', 'grpc', 8083, 'v1'],
      ['TCPRoute', 'tcp', 8081, 'v1'],
      ['UDPRoute', 'udp', 8082, 'v1'],
    ] as const)
      await apply({
        apiVersion: `${group}/${version}`,
        kind,
        metadata: { name: 'outside', namespace: 'default' },
        spec: { parentRefs: [{ name: 'edge', sectionName }], rules: [{ backendRefs: [{ name: 'web', port }] }] },
      })
    mesh.gateway('edge')
    const from = Array.from({ length: 30 }, (_, at) => `127.0.3.${at + 1}`)
    const ways: Readonly<Record<string, (localAddress: string) => Promise<string>>> = {
      http: localAddress =>
        new Promise((resolve, reject) => {
          const asked = request({ host: '127.0.0.1', port: http, localAddress, agent: false }, response => {
            let by = ''
            response.setEncoding('utf8').on('data', text => (by += text))
            response.on('end', () => resolve(by))
          })
          asked.on('error', reject).end()
        }),
      http2: localAddress => call(localAddress, http, { ':path': '/' }, 0),
      grpc: localAddress =>
        call(localAddress, grpc, { ':method': 'POST', ':path': '/shop.Cart/Get', 'content-type': 'application/grpc', te: 'trailers' }, 5),
      tcp: localAddress =>
        new Promise((resolve, reject) => {
          const socket = connect({ host: '127.0.0.1', port: tcp, localAddress }, () => socket.write('who?'))
          socket.once('data', bytes => {
            resolve(String(bytes))
            socket.destroy()
          })
          socket.on('error', reject)
        }),
      udp: localAddress =>
        new Promise((resolve, reject) => {
          const socket = createSocket('udp4')
          const again = setInterval(() => socket.send('who?', udp, '127.0.0.1'), 1000)
          socket.once('message', bytes => {
            clearInterval(again)
            socket.close()
            resolve(String(bytes))
          })
          socket.on('error', reject).bind(0, localAddress, () => socket.send('who?', udp, '127.0.0.1'))
        }),
    }
    const isOpen = (port: number): Promise<boolean> =>
      new Promise(resolve => {
        const socket = connect({ host: '127.0.0.1', port }, () => resolve(true)).on('error', () => resolve(false))
        socket.once('connect', () => socket.destroy())
      })
    for (const port of [http, grpc, tcp]) await mesh.until(`port ${port} of the Gateway`, () => isOpen(port))
    for (const [kind, way] of Object.entries(ways)) {
      const first: string[] = []
      for (const address of from) first.push(await way(address))
      assert.deepEqual(new Set(first), new Set(names), kind)
      for (const [at, address] of from.entries()) assert.equal(await way(address), first[at], `${kind} from ${address}`)
    }
  })
})

/** One exchange on an HTTP/2 connection of its own; skip: so many bytes of the answer in front of the name. */
function call(localAddress: string, port: number, headers: Readonly<Record<string, string>>, skip: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const session = connectHttp2(`http://127.0.0.1:${port}`, { createConnection: () => connect({ host: '127.0.0.1', port, localAddress }) })
    session.on('error', reject)
    const stream = session.request(headers)
    const parts: Buffer[] = []
    stream.on('data', (bytes: Buffer) => parts.push(bytes))
    stream.on('error', reject).on('end', () => {
      session.close()
      resolve(String(Buffer.concat(parts).subarray(skip)))
    })
    if (skip > 0) stream.end(Buffer.of(0, 0, 0, 0, 0))
    else stream.end()
  })
}
