/** What `weft explain request` tells is what becomes of the same request in the mesh. */

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { canCapture } from '../../src/io/namespace.ts'
import type { Detection } from '../../src/api/mesh-api.ts'
import type { Explanation } from '../../src/model/explain.ts'
import type { Resource } from '../../src/resources/kind.ts'
import { active, apply, forHeader, route, split, startFront, to } from '../harness/front.ts'
import { type Asked, Load } from '../harness/load.ts'
import { kinds, Mesh } from '../harness/mesh.ts'

const verdict = await canCapture()

/** As the load tells it: status, code and detail of the answer. */
const failureOf = ({ failure }: Explanation): string => `${failure?.status} ${failure?.code} ${failure?.says}`

type Said = { readonly code: number; readonly explanation: Explanation; readonly protocolBy?: string; readonly seen?: readonly Detection[] }

describe('what is explained', { skip: verdict.ok ? false : `${verdict.why}: ${verdict.remedy}` }, () => {
  let mesh: Mesh
  let load: Load

  before(async () => {
    mesh = await Mesh.start()
    for (const version of ['v1', 'v2']) startFront(mesh, version, { tcp: version === 'v1' })
    const service: Resource = {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 'ghost', namespace: 'default' },
      spec: { selector: { app: 'nobody' }, ports: [{ name: 'http', port: 8080 }] },
    }
    await mesh.client.apply(kinds.service, service, { force: true })
    await mesh.healthy('front', 2)
    load = new Load(mesh, { name: 'asker', to: 'http://front:8080', rate: 0 })
    await mesh.healthy('front', 2)
    await mesh.until('the caller is there', async () => (await mesh.client.proxies()).some(({ service }) => service === 'asker'))
  })
  after(() => mesh[Symbol.asyncDispose]())

  async function explained(...args: readonly string[]): Promise<Said> {
    const { code, stdout, stderr } = await mesh.weft('explain', 'request', '--from', 'asker', ...args, '-o', 'json')
    assert.equal(stderr, '')
    return { code, ...(JSON.parse(stdout) as Omit<Said, 'code'>) }
  }
  /** What the mesh does: who answered, or how it failed, each with how often. */
  const really = async (asked: Asked): Promise<readonly string[]> => Object.keys(await load.ask({ times: 20, ...asked })).sort()
  const change = async (resource: Resource): Promise<void> => active(mesh, await apply(mesh, resource))

  test('a rule is chosen by a header, and leads where the story says', async () => {
    await change(route('story', forHeader('insider', { backendRefs: [to('v2')] }), split(1, 0)))
    for (const [headers, rule, instance] of [
      [{}, 1, 'v1'],
      [{ 'x-who': 'insider' }, 0, 'v2'],
      [{ 'x-who': 'insiders' }, 1, 'v1'],
    ] as const) {
      const flags = Object.entries(headers).flatMap(([name, value]) => ['-H', `${name}: ${value}`])
      const { code, explanation, protocolBy } = await explained('--to', 'front:8080', 'GET', '/hello', ...flags)
      assert.deepEqual([code, explanation.arrives], [0, 'always'])
      assert.equal(explanation.route?.origin, `HTTPRoute default/story rule ${rule}`)
      assert.deepEqual(
        explanation.rules!.map(each => each.outcome),
        rule === 0 ? ['taken', 'later'] : ['failed', 'taken'],
      )
      const workloads = explanation.shares.filter(({ part }) => part > 0).flatMap(({ endpoints }) => endpoints)
      assert.deepEqual(
        workloads.map(({ isUsed, way }) => [isUsed, way?.listener, way?.mtls?.mode, way?.to]),
        [[true, 'inbound/8080', 'permissive', '127.0.0.1:8080']],
      )
      assert.match(workloads[0]!.workload, new RegExp(`^front-${instance}`))
      assert.match(protocolBy ?? '', /^(the name of the port, "http"|its workloads|appProtocol)/)
      assert.deepEqual(await really({ path: '/hello', headers }), [instance])
    }
  })

  test('a request that no rule matches gets 404, and the first condition that failed is named', async () => {
    await change(route('story', { matches: [{ path: { type: 'Exact', value: '/only' }, method: 'POST' }], backendRefs: [to('v1')] }))
    const { code, explanation } = await explained('--to', 'front:8080', '/only')
    assert.deepEqual([code, explanation.arrives, explanation.failure?.code, explanation.failure?.status], [1, 'never', 'no-route', 404])
    const [rule] = explanation.rules!
    assert.deepEqual(rule?.outcome === 'failed' ? [rule.at, rule.has] : rule, ['method', 'GET'])
    assert.deepEqual(await really({ path: '/only' }), [failureOf(explanation)])

    const other = await explained('--to', 'front:8080', 'POST', '/onlyy')
    assert.equal(other.explanation.failure?.code, 'no-route')
    assert.deepEqual(await really({ path: '/onlyy', method: 'POST' }), [failureOf(other.explanation)])
  })

  test('a backend without an endpoint gets 503, for its share of a split', async () => {
    await change(route('story', { backendRefs: [{ name: 'ghost', port: 8080 }] }))
    const { code, explanation } = await explained('--to', 'front:8080', '/')
    assert.deepEqual([code, explanation.arrives, explanation.failure?.code, explanation.failure?.status], [1, 'never', 'no-endpoint', 503])
    assert.deepEqual(await really({}), [failureOf(explanation)])

    await change(route('story', { backendRefs: [to('v1'), { name: 'ghost', port: 8080 }] }))
    const half = await explained('--to', 'front:8080', '/')
    assert.deepEqual([half.code, half.explanation.arrives], [1, 'partly'])
    assert.deepEqual(
      half.explanation.shares.map(({ part, failure }) => [part, failure?.code]),
      [
        [0.5, undefined],
        [0.5, 'no-endpoint'],
      ],
    )
    assert.deepEqual(await really({ times: 100 }), [failureOf(half.explanation), 'v1'])
  })

  test('a port of TCP, a name that there is not and a wrong command line are told too', async () => {
    const tcp = await explained('--to', 'front-v1:7000')
    assert.deepEqual([tcp.code, tcp.explanation.listener?.protocol, tcp.explanation.rules], [0, 'tcp', undefined])
    assert.equal(tcp.explanation.shares[0]!.endpoints[0]!.way?.to, '127.0.0.1:7000')
    const unknown = await explained('--to', 'nobody')
    assert.deepEqual([unknown.code, unknown.explanation.failure?.code], [1, 'no-listener'])
    const port = await explained('--to', 'front:1')
    assert.deepEqual([port.code, port.explanation.failure?.code], [1, 'no-listener'])
    const away = await mesh.weft('explain', 'request', '--from', 'nobody', '--to', 'http://front:8080/')
    assert.equal(away.code, 1)
    assert.match(
      away.stderr,
      /no proxy "nobody": the caller must run .*: weft explain policy front:8080 --from nobody; services with proxies/,
    )
    const wrong = await mesh.weft('explain', 'request', '--from', 'asker', '--to', 'front', 'lower', '-H', 'nothing')
    assert.equal(wrong.code, 2)
    assert.match(wrong.stderr, /neither a method[^]*is no "name: value"/)
  })

  test('of a port that declares nothing it is told what was found out lately', async () => {
    const server = 'require("node:http").createServer((_, answer) => answer.end("hello")).listen(9999)'
    mesh.run('plain', [process.execPath, '-e', server], { flags: ['--port', 'mystery:9999/detect'] })
    await mesh.healthy('plain')
    const before = await explained('--to', 'plain:9999')
    assert.deepEqual([before.explanation.listener?.protocol, before.seen, before.protocolBy], ['detect', [], undefined])
    await using shell = mesh.shell('curious', { flags: ['--service', 'asker'] })
    await shell.do(`node -e 'fetch("http://plain:9999/").catch(() => {})'`)
    const seen = async (): Promise<unknown> => {
      const { stdout } = await mesh.weft('explain', 'request', '--from', curious, '--to', 'plain:9999', '-o', 'json')
      return (JSON.parse(stdout) as Said).seen?.map(({ protocol, outcome, count }) => `${protocol} ${outcome} ${count}`)
    }
    const curious = (await mesh.client.proxies()).find(({ workload }) => workload.startsWith('curious'))!.id
    await mesh.until('the control plane was told', async () => String(await seen()) === 'http sniffed 1')
    assert.match((await mesh.weft('explain', 'request', '--from', curious, '--to', 'plain:9999')).stdout, /to be found out[^]*http 1 time/)
  })

  test('the story for people tells the way and the outcome', async () => {
    await change(route('story', forHeader('insider', { backendRefs: [to('v2')] }), split(1, 0)))
    const { stdout, code } = await mesh.weft('explain', 'request', '--from', 'asker', '--to', 'front:8080', '/hello')
    assert.equal(code, 0)
    for (const said of [
      /^asker asks GET http:\/\/front:8080\/hello$/m,
      /✗ HTTPRoute default\/story rule 0 .* header x-who is absent$/m,
      /✓ HTTPRoute default\/story rule 1 /m,
      /✓ front-v1\S* at .*, healthy ─▶ its proxy, inbound\/8080 \(permissive\), http ─▶ 127\.0\.0\.1:8080$/m,
      /mTLS: the caller proves spiffe:\/\/\S+\/sa\/asker, the called spiffe:\/\/\S+$/m,
      /^✓ it arrives$/m,
    ])
      assert.match(stdout, said)
    if (process.env['SHOW']) process.stderr.write(stdout)
  })
})
