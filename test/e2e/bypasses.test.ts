/** `weft check` finds the ways around the proxies that are there, says what to do about each, and finds none where there is none. */

import assert from 'node:assert/strict'
import process from 'node:process'
import { after, before, suite, test } from 'node:test'
import { canCapture } from '../../src/io/namespace.ts'
import type { Resource } from '../../src/resources/kind.ts'
import { startServer } from '../harness/load.ts'
import { freePort } from '../harness/machine.ts'
import { kinds, Mesh } from '../harness/mesh.ts'
import { apply } from './policies/shop.ts'

const verdict = await canCapture()
const skip = verdict.ok ? false : `${verdict.why}: ${verdict.remedy}`
type Check = { readonly name: string; readonly ok: string; readonly says: string; readonly remedy?: string }

suite('weft check --bypasses', { skip }, () => {
  let mesh: Mesh
  before(async () => {
    mesh = await Mesh.start()
  })
  after(() => mesh[Symbol.asyncDispose]())

  const bypasses = async (): Promise<{ readonly code: number; readonly checks: readonly Check[] }> => {
    const { code, stdout, stderr } = await mesh.weft('check', '--bypasses', '-o', 'json')
    assert.notEqual(stdout, '', stderr)
    return { code, checks: (JSON.parse(stdout) as { readonly checks: readonly Check[] }).checks }
  }

  test('finds none in a strict mesh of captured workloads', async () => {
    await mesh.strict()
    startServer(mesh, 'server', { instance: 'server' })
    await mesh.healthy('server')
    const { code, checks } = await bypasses()
    assert.deepEqual([code, checks.map(({ name, ok }) => `${name} ${ok}`)], [0, ['bypasses yes']])
    assert.match((await mesh.weft('check')).stdout, /bypasses .*none is seen/)
  })

  test('finds ports open beside the proxy, doors, what is left out, permissive ports, ports without a proxy, plaintext listeners and policies that do not hold', async () => {
    const [own, door, edge] = [await freePort(), await freePort(), await freePort()]
    const open = `require('node:http').createServer((_, r) => r.end('open')).listen(${own}, '0.0.0.0')`
    const flags = ['--capture', 'proxy', '--port', `http:${own}/http`, '--publish', `${door}:${own}`, '--exclude-outbound-ports', '5432']
    mesh.run('open', [process.execPath, '-e', open], { flags })
    await mesh.healthy('open')
    await apply(mesh, 'AuthenticationPolicy', 'meanwhile', {
      targetRefs: [{ kind: 'Service', name: 'open' }],
      mtls: { mode: 'Permissive' },
    })
    await apply(mesh, 'AccessPolicy', 'lost', { targetRefs: [{ kind: 'Service', name: 'nowhere' }], action: 'Deny', rules: [{}] })
    await apply(mesh, 'AccessPolicy', 'all', {
      targetRefs: [{ kind: 'Namespace' }],
      action: 'Deny',
      rules: [{ to: [{ methods: ['TRACE'] }] }],
    })
    await mesh.client.apply(kinds.workload, {
      apiVersion: 'weft.dev/v1alpha1',
      kind: 'Workload',
      metadata: { name: 'legacy-1', namespace: 'default' },
      spec: {
        service: 'legacy',
        identity: 'spiffe://weft.local/ns/default/sa/legacy',
        address: '10.9.8.7',
        ports: [{ name: 'http', port: 80, protocol: 'http' }],
      },
    } as Resource)
    await mesh.client.apply({ ...kinds.httpRoute, plural: 'gateways' }, {
      apiVersion: 'gateway.networking.k8s.io/v1',
      kind: 'Gateway',
      metadata: { name: 'edge', namespace: 'default' },
      spec: { gatewayClassName: 'weft', listeners: [{ name: 'web', port: edge, protocol: 'HTTP' }] },
    } as Resource)
    let last = await bypasses()
    const wanted: readonly (readonly [name: RegExp, says: RegExp, remedy: RegExp])[] = [
      [/^permissive ports$/, new RegExp(`^open-\\w+\\.default:${own}: callers in plaintext are taken`), /weft mtls report/],
      [/^open beside open-\w+\.default$/, new RegExp(`^0\\.0\\.0\\.0:${own}: callers get past its proxy$`), /127\.0\.0\.1 only/],
      [/^published by open-/, new RegExp(`127\\.0\\.0\\.1:${door} to port ${own}: callers without an identity`), /--publish/],
      [/^left out by open-/, /calls to ports 5432: not captured/, /--exclude/],
      [/^ports without a proxy$/, /legacy-1\.default at 10\.9\.8\.7:80: reached in plaintext, and no policy is kept there/, /weft run/],
      [/^plaintext listeners$/, new RegExp(`web \\(port ${edge}\\) of default/edge`), /HTTPS/],
      [/^AccessPolicy default\/lost$/, /does not hold as written: .*nowhere/, /weft describe accesspolicy lost/],
      [/^AccessPolicy default\/all$/, /^not kept by legacy-1\.default/, /mend these proxies/],
    ]
    // The status of policies follows what proxies acknowledge.
    await mesh.until('all of them', async () => {
      last = await bypasses()
      return wanted.every(([name]) => last.checks.some(each => name.test(each.name)))
    })
    assert.equal(last.code, 1)
    for (const [name, says, remedy] of wanted) {
      const found = last.checks.find(each => name.test(each.name))!
      assert.equal(found.ok, 'warn')
      assert.match(found.says, says)
      assert.match(found.remedy ?? '', remedy)
    }
    const table = await mesh.weft('check', '--bypasses')
    assert.match(table.stdout, /^warning +open beside open-/m)
  })
})
