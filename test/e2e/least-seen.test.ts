/** What a proxy is sent is what its certificate lets it see: a stock ADS client asks for more, as somebody else, and gets none of it. */

import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, suite, test } from 'node:test'
import { createRoot, issueLeaf } from '../../src/identity/issue.ts'
import { newKey } from '../../src/identity/key.ts'
import { workloadId } from '../../src/identity/spiffe.ts'
import { AdsClient, becomeMember, type Membership, types } from '../harness/ads-client.ts'
import { certify } from '../harness/certify.ts'
import { Mesh } from '../harness/mesh.ts'

suite('what a proxy is sent', () => {
  let mesh: Mesh
  let web: Membership
  let bank: Membership
  let edge: Membership
  const gateway = { gateway: { name: 'edge', address: '127.0.0.1' } }
  before(async () => {
    mesh = await Mesh.start()
    const at = (name: string): string => join(mesh.folder, name)
    certify({ key: at('tls.key'), cert: at('tls.crt'), names: ['DNS:*.example.com'] })
    const base64 = (name: string): string => readFileSync(at(name)).toString('base64')
    const documents = [
      ...['web', 'bank'].map(name => ({
        apiVersion: 'v1',
        kind: 'Service',
        metadata: { name },
        spec: { selector: { app: name }, ports: [{ name: 'http', port: 80, targetPort: 8080, appProtocol: 'http' }] },
      })),
      {
        apiVersion: 'v1',
        kind: 'Secret',
        type: 'kubernetes.io/tls',
        metadata: { name: 'tls' },
        data: { 'tls.crt': base64('tls.crt'), 'tls.key': base64('tls.key') },
      },
      {
        apiVersion: 'gateway.networking.k8s.io/v1',
        kind: 'Gateway',
        metadata: { name: 'edge' },
        spec: {
          gatewayClassName: 'weft',
          listeners: [
            { name: 'https', port: 8443, protocol: 'HTTPS', hostname: '*.example.com', tls: { certificateRefs: [{ name: 'tls' }] } },
          ],
        },
      },
      {
        apiVersion: 'gateway.networking.k8s.io/v1',
        kind: 'HTTPRoute',
        metadata: { name: 'edge' },
        spec: { parentRefs: [{ name: 'edge' }], rules: [{ backendRefs: [{ name: 'bank', port: 80 }] }] },
      },
      {
        apiVersion: 'weft.dev/v1alpha1',
        kind: 'AccessPolicy',
        metadata: { name: 'to-the-bank' },
        spec: {
          targetRefs: [{ kind: 'Service', name: 'bank' }],
          action: 'Allow',
          rules: [{ from: [{ identities: ['spiffe://weft.local/ns/default/sa/teller-of-the-bank'] }] }],
        },
      },
    ]
    writeFileSync(at('all.json'), JSON.stringify({ apiVersion: 'v1', kind: 'List', items: documents }))
    const applied = await mesh.weft('apply', '-f', at('all.json'))
    assert.equal(applied.code, 0, applied.stderr)
    ;[web, bank, edge] = await Promise.all([becomeMember(mesh, 'web'), becomeMember(mesh, 'bank'), becomeMember(mesh, 'edge-weft')])
  })
  after(() => mesh[Symbol.asyncDispose]())

  const all = Object.values(types)
  const node = (app: string) => ({
    labels: { app },
    ports: [{ name: 'http', port: 8080, protocol: 'http', bind: { host: '127.0.0.1', port: 15_000 } }],
  })
  /** Everything that the client was sent, as text. */
  const heard = (client: AdsClient): string => [...client.got.values()].map(({ text }) => text).join('\n')

  test('a certificate of one workload is refused for the node of another, of another namespace, and of a Gateway', async () => {
    const tries = [
      [new AdsClient(web, 'bank'), /may not speak for service "bank"/],
      [new AdsClient(web, 'web', {}, 'shop'), /may not speak for a workload in namespace "shop"/],
      [new AdsClient(web, 'web', gateway), /service "web" may not carry out Gateway "edge"/],
      [new AdsClient(web, 'edge-weft', gateway), /may not speak for service "edge-weft"/],
    ] as const
    for (const [client, says] of tries) {
      using closing = client
      for (const type of all) closing.subscribe(type)
      await mesh.until('an end', () => closing.ended !== undefined)
      assert.match(closing.ended!, says)
      assert.equal(closing.got.size, 0)
    }
    assert.deepEqual(await mesh.healthOf('bank'), [])
  })

  test('private keys and certificates of a Gateway go to its own proxy only, also when somebody asks for them by name', async () => {
    using own = new AdsClient(edge, 'edge-weft', gateway)
    for (const type of all) own.subscribe(type)
    await mesh.until('the key', () => /PRIVATE KEY/.test(heard(own)) || own.ended !== undefined, 20_000)
    assert.match(heard(own), /PRIVATE KEY/, own.ended ?? 'it goes on')
    const names = [...own.got.values()].flatMap(({ names: each }) => each)

    using other = new AdsClient(web, 'web', node('web'))
    for (const type of all) other.subscribe(type)
    await mesh.until('its configuration', () => heard(other).includes('default/bank:80'))
    // By the names that the Gateway's own proxy was told.
    for (const type of all) other.subscribe(type, names)
    other.subscribe(types.secret, [...names, 'tls', 'default/tls', 'Secret/default/tls', 'default', 'ROOTCA'])
    other.subscribe(types.cluster)
    await mesh.until('an answer', () => other.got.get(types.cluster) !== undefined && other.got.get(types.secret) !== undefined)
    assert.doesNotMatch(heard(other), /PRIVATE KEY|"edge-weft|example\.com/)
    assert.equal(other.ended, undefined)
  })

  test('rules about who may call a workload go to its own proxy only', async () => {
    using own = new AdsClient(bank, 'bank', node('bank'))
    using other = new AdsClient(web, 'web', node('web'))
    for (const client of [own, other]) for (const type of [types.cluster, types.listener, types.secret]) client.subscribe(type)
    for (const client of [own, other])
      client.subscribe(types.route, ['inbound/8080', 'outbound/default/bank:80', 'inbound/default/bank:80'])
    await mesh.until('its rules', () => heard(own).includes('teller-of-the-bank') || own.ended !== undefined, 20_000)
    await mesh.until('the other', () => other.got.get(types.route)?.names.includes('inbound/8080') === true)
    assert.match(heard(own), /teller-of-the-bank/, own.ended ?? 'it goes on')
    assert.doesNotMatch(heard(other), /teller-of-the-bank|to-the-bank/)
    // A certificate for the same identity by somebody else's root tells nothing.
    const key = await newKey()
    const signer = createRoot('weft.local', await newKey(), Date.now())
    const { chain } = issueLeaf(signer, key.public, workloadId('weft.local', { namespace: 'default', serviceAccount: 'bank' }), Date.now())
    using nobody = new AdsClient({ ...web, key: key.pem, cert: chain.join('') }, 'bank')
    nobody.subscribe(types.cluster)
    await mesh.until('an end', () => nobody.ended !== undefined)
    assert.equal(nobody.got.size, 0)
  })
})
