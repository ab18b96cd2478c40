/** GRPCRoutes between a gRPC client and gRPC servers that know nothing of the mesh, through two proxies with mutual TLS between them. */

import assert from 'node:assert/strict'
import { join } from 'node:path'
import readline from 'node:readline'
import { after, before, describe, test } from 'node:test'
import { canCapture } from '../../src/io/namespace.ts'
import type { Resource } from '../../src/resources/kind.ts'
import { active } from '../harness/front.ts'
import { kinds, Mesh, type Running } from '../harness/mesh.ts'
import type { Call, Reply } from './grpc-route/client.ts'

const verdict = await canCapture()
const grpcRoutes = { ...kinds.httpRoute, plural: 'grpcroutes' }
const statusCodes = { ok: 0, unimplemented: 12, unavailable: 14 } as const

const program = (name: string): readonly string[] => [
  process.execPath,
  '--disable-warning=ExperimentalWarning',
  join(import.meta.dirname, 'grpc-route', `${name}.ts`),
]

type Rule = Readonly<Record<string, unknown>>
const routeOf = (kind: 'GRPCRoute' | 'HTTPRoute', name: string, rules: readonly Rule[]): Resource =>
  ({
    apiVersion: 'gateway.networking.k8s.io/v1',
    kind,
    metadata: { name, namespace: 'default' },
    spec: { parentRefs: [{ group: '', kind: 'Service', name: 'cart', port: 7070 }], rules },
  }) as Resource
const to = (version: string, weight = 1): object => ({ name: `cart-${version}`, port: 7070, weight })
const calls = (service: string | undefined, method?: string, type = 'Exact'): object => ({
  method: { type, ...(service === undefined ? {} : { service }), ...(method === undefined ? {} : { method }) },
})
type Conditions = { parents: readonly { conditions: readonly { type: string; status: string; reason: string; message: string }[] }[] }

describe('GRPCRoutes', { skip: verdict.ok ? false : `${verdict.why}: ${verdict.remedy}` }, () => {
  let mesh: Mesh
  let client: Running
  const waiting = new Map<number, (replies: readonly Reply[]) => void>()
  let count = 0

  before(async () => {
    mesh = await Mesh.start()
    for (const version of ['v1', 'v2'])
      mesh.run(`cart-${version}`, [...program('server'), '7070'], {
        flags: ['--service', 'cart', '--app-version', version, '--port', 'grpc:7070/grpc'],
        env: { INSTANCE: version },
      })
    await mesh.healthy('cart', 2)
    client = mesh.run('teller', program('client'))
    readline.createInterface({ input: client.child.stdout! }).on('line', line => {
      const { id, replies } = JSON.parse(line) as { id: number; replies: readonly Reply[] }
      waiting.get(id)?.(replies)
    })
  })
  after(() => mesh[Symbol.asyncDispose]())

  function many(path: string, times: number, metadata: Call['metadata'] = {}): Promise<readonly Reply[]> {
    const id = (count += 1)
    return new Promise((resolve, reject) => {
      waiting.set(id, resolve)
      void client.exited.then(({ code, stderr }) => reject(new Error(`the client ended with ${code}: ${stderr}`)))
      client.child.stdin!.write(`${JSON.stringify({ id, target: 'cart:7070', path, metadata, times } satisfies Call)}\n`)
    })
  }
  const call = async (path: string, metadata: Call['metadata'] = {}): Promise<Reply> => (await many(path, 1, metadata))[0]!
  const who = async (path: string, metadata: Call['metadata'] = {}): Promise<string> => {
    const { code, details, answer } = await call(path, metadata)
    return answer?.instance ?? `${code} ${details}`
  }

  async function apply(resource: Resource): Promise<void> {
    const kind = resource.kind === 'GRPCRoute' ? grpcRoutes : kinds.httpRoute
    const { resource: written } = await mesh.client.apply(kind, resource, { force: true })
    await active(mesh, Number(written.metadata.resourceVersion))
  }
  const conditionsOf = async (kind: typeof grpcRoutes, name: string) => {
    const found = await mesh.client.get(kind, name, { namespace: 'default' })
    return (found.status as Conditions | undefined)?.parents[0]?.conditions ?? []
  }
  const told = async (kind: typeof grpcRoutes, name: string, type: string): Promise<string> => {
    const found = (await conditionsOf(kind, name)).find(each => each.type === type)
    return found === undefined ? 'nothing' : `${found.status} ${found.reason}`
  }

  test('calls go by service, method and metadata, the most specific match first whatever the order of the rules', async () => {
    await apply(
      routeOf('GRPCRoute', 'calls', [
        { matches: [calls('shop.v1.Cart')], backendRefs: [to('v1')] },
        { matches: [calls('shop.v1.Cart', 'Get')], backendRefs: [to('v2')] },
        { matches: [{ ...calls('shop.v1.Cart', 'Get'), headers: [{ name: 'X-Pin', value: 'old' }] }], backendRefs: [to('v1')] },
        { matches: [calls('shop\\.v[2-9]\\.Cart', 'Get|List', 'RegularExpression')], backendRefs: [to('v2')] },
        { matches: [calls(undefined, 'Add')], backendRefs: [to('v2')] },
        { matches: [{ headers: [{ type: 'RegularExpression', name: 'tenant', value: 'a|b' }] }], backendRefs: [to('v1')] },
      ]),
    )
    assert.equal(await who('/shop.v1.Cart/Get'), 'v2')
    assert.equal(await who('/shop.v1.Cart/Get', { 'x-pin': 'old' }), 'v1')
    assert.equal(await who('/shop.v1.Cart/List'), 'v1')
    assert.equal(await who('/shop.v1.Cart/Add'), 'v1', 'a service counts for more than a method')
    assert.equal(await who('/shop.v2.Cart/Get'), 'v2')
    assert.equal(await who('/shop.v1.Stock/Add'), 'v2')
    assert.equal(await who('/audit.Log/Get', { tenant: 'b' }), 'v1')
    assert.equal(await told(grpcRoutes, 'calls', 'Accepted'), 'True Accepted')
    assert.equal(await told(grpcRoutes, 'calls', 'ResolvedRefs'), 'True ResolvedRefs')
  })

  test('a call that no rule matches is answered UNIMPLEMENTED, and a request that is no call 404', async () => {
    for (const [path, metadata] of [
      ['/shop.v2.Cart/Add2', {}],
      ['/audit.Log/Get', { tenant: 'ab' }],
      ['/shop.v1.Cartwheel/Get', {}],
    ] as const) {
      const { code, details, trailers } = await call(path, metadata)
      assert.equal(code, statusCodes.unimplemented, path)
      assert.match(details, /no route of this service matches/)
      assert.equal(trailers['x-weft-error'], 'no-route')
    }
    await apply(routeOf('GRPCRoute', 'calls', [{ backendRefs: [to('v1')] }]))
    assert.equal(await who('/audit.Log/Get'), 'v1', 'a rule without matches takes every call')
    await using shell = mesh.shell('asker')
    const said = await shell.says(
      `node -e 'const s = require("node:http2").connect("http://cart:7070"); const r = s.request({ ":path": "/audit.Log/Get" }); r.on("response", h => { console.log(h[":status"], h["x-weft-error"]); s.destroy() })'`,
    )
    assert.equal(said.trim(), '404 no-route')
  })

  test('filters change the metadata of calls and answers', async () => {
    await apply(
      routeOf('GRPCRoute', 'calls', [
        {
          filters: [
            {
              type: 'RequestHeaderModifier',
              requestHeaderModifier: { set: [{ name: 'X-Seen', value: 'weft' }], remove: ['x-drop'] },
            },
            {
              type: 'ResponseHeaderModifier',
              responseHeaderModifier: { add: [{ name: 'x-by', value: 'route' }], remove: ['x-secret'] },
            },
          ],
          backendRefs: [to('v1')],
        },
      ]),
    )
    const { code, answer, head, trailers } = await call('/shop.v1.Cart/Get', { 'x-seen': 'me', 'x-drop': '1', 'x-kept': '2' })
    assert.equal(code, statusCodes.ok)
    assert.deepEqual([answer?.metadata['x-seen'], answer?.metadata['x-drop'], answer?.metadata['x-kept']], ['weft', undefined, '2'])
    assert.deepEqual([head['x-by'], head['x-secret'], trailers['x-trailer']], ['route', undefined, 'v1'])
  })

  test('each share gets its part, one of weight 0 nothing, and one that leads nowhere is answered UNAVAILABLE', async () => {
    await apply(routeOf('GRPCRoute', 'calls', [{ backendRefs: [to('v1', 3), to('v2', 1), { name: 'cart-none', port: 7070, weight: 0 }] }]))
    const tally = (replies: readonly Reply[]) =>
      Object.groupBy(replies, ({ code, answer }) => answer?.instance ?? String(code)) as Partial<Record<string, readonly Reply[]>>
    const split = tally(await many('/shop.v1.Cart/Get', 600))
    assert.deepEqual(Object.keys(split).sort(), ['v1', 'v2'])
    // Five standard deviations of a binomial distribution: √(600 · 0.75 · 0.25) = 10.6.
    assert.ok(Math.abs(split['v1']!.length - 450) < 53, `${split['v1']!.length} of 600`)

    await apply(routeOf('GRPCRoute', 'calls', [{ backendRefs: [to('v1'), { name: 'cart-none', port: 7070 }] }]))
    assert.equal(await told(grpcRoutes, 'calls', 'ResolvedRefs'), 'False BackendNotFound')
    const half = tally(await many('/shop.v1.Cart/Get', 200))
    assert.deepEqual(Object.keys(half).sort(), [String(statusCodes.unavailable), 'v1'])
    assert.ok(Math.abs(half['v1']!.length - 100) < 36, `${half['v1']!.length} of 200`)

    await apply(routeOf('GRPCRoute', 'calls', [{}]))
    const { code, trailers } = await call('/shop.v1.Cart/Get')
    assert.deepEqual([code, trailers['x-weft-error']], [statusCodes.unavailable, 'backend-invalid'])
  })

  test('on a port with a GRPCRoute an HTTPRoute is refused and says so, until that is gone', async () => {
    await apply(routeOf('HTTPRoute', 'requests', [{ backendRefs: [to('v2')] }]))
    await apply(routeOf('GRPCRoute', 'calls', [{ backendRefs: [to('v1')] }]))
    assert.equal(await told(kinds.httpRoute, 'requests', 'Accepted'), 'False Conflicted')
    assert.equal(await told(grpcRoutes, 'calls', 'Accepted'), 'True Accepted')
    assert.equal(await who('/shop.v1.Cart/Get'), 'v1')
    await mesh.client.delete(grpcRoutes, 'calls', { namespace: 'default' })
    await mesh.until('the HTTPRoute holds', async () => (await who('/shop.v1.Cart/Get')) === 'v2')
    await mesh.until('it says so', async () => (await told(kinds.httpRoute, 'requests', 'Accepted')) === 'True Accepted')
  })
})
