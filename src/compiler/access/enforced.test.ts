/** Whose proxies keep a policy, by each way to name them. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Workload } from '#model/workload'
import { admit } from '#resources/validate'
import { readDocuments } from '#resources/read'
import { compile } from '../../compiler.ts'

const workload = (name: string, namespace: string, more: Partial<Workload> = {}): Workload => ({
  name: `${name}-1`,
  namespace,
  service: name,
  labels: { app: name },
  identity: `spiffe://weft.local/ns/${namespace}/sa/${name}`,
  ports: [{ name: 'http', port: 8080, protocol: 'http', bind: { host: '127.0.0.1', port: 1 } }],
  health: 'healthy',
  ...more,
})
const workloads = [
  workload('cart', 'shop'),
  workload('web', 'shop'),
  workload('bare', 'shop', { ports: [{ name: 'http', port: 8080, protocol: 'http' }], address: '10.0.0.1' }),
  workload('job', 'shop', { ports: [] }),
  workload('cart', 'other'),
  workload('edge-weft', 'shop', { ports: [], gateway: { name: 'edge', address: '10.0.0.2' } }),
]
const document = (kind: string, name: string, namespace: string, rest: string): string =>
  `apiVersion: ${kind === 'Service' ? 'v1' : kind === 'HTTPRoute' ? 'gateway.networking.k8s.io/v1' : 'weft.dev/v1alpha1'}
kind: ${kind}
metadata: { name: ${name}, namespace: ${namespace} }
spec: ${rest}`
const provider = 'providers: [{ name: a, issuer: b, jwks: { inline: \'{"keys":[]}\' } }]'
const documents = [
  document(
    'Service',
    'cart',
    'shop',
    '{ clusterIP: 240.77.0.1, selector: { app: cart }, ports: [{ name: http, port: 80, targetPort: 8080 }] }',
  ),
  document('HTTPRoute', 'front', 'shop', '{ parentRefs: [{ name: edge }], rules: [{ backendRefs: [{ name: cart, port: 80 }] }] }'),
  document('AccessPolicy', 'service', 'shop', '{ targetRefs: [{ name: cart }] }'),
  document('AccessPolicy', 'port', 'shop', '{ targetRefs: [{ name: cart, sectionName: other }] }'),
  document('AccessPolicy', 'space', 'shop', '{ targetRefs: [{ kind: Namespace }] }'),
  document('AccessPolicy', 'labels', 'shop', '{ targetRefs: [{ kind: Workload, labels: { app: web } }] }'),
  document('AccessPolicy', 'mesh', 'weft-system', '{ targetRefs: [{ kind: Mesh }] }'),
  document('AccessPolicy', 'false-mesh', 'shop', '{ targetRefs: [{ kind: Mesh }] }'),
  document('JWTPolicy', 'route', 'shop', `{ targetRefs: [{ kind: HTTPRoute, name: front }], ${provider} }`),
  document('AuthenticationPolicy', 'strict', 'shop', '{ targetRefs: [{ name: cart }], mtls: { mode: Strict } }'),
].join('\n---\n')

test('a policy is kept by the workloads that it names and that are called; who has no proxy is told apart', () => {
  const { resources, problems } = readDocuments(documents, 'documents')
  assert.deepEqual(problems, [])
  const { enforced } = compile(resources.map(admit), { workloads }, { trustDomain: 'weft.local', roots: [] })
  const told = enforced.map(({ kind, namespace, name, workloads: those }) => [
    `${kind} ${namespace}/${name}`,
    those.map(({ id, isBare }) => (isBare ? `${id} without a proxy` : id)).join(', '),
  ])
  assert.deepEqual(Object.fromEntries(told), {
    'AccessPolicy shop/service': 'cart-1.shop',
    'AccessPolicy shop/port': '',
    'AccessPolicy shop/space': 'bare-1.shop without a proxy, cart-1.shop, web-1.shop',
    'AccessPolicy shop/labels': 'web-1.shop',
    'AccessPolicy weft-system/mesh': 'bare-1.shop without a proxy, cart-1.other, cart-1.shop, web-1.shop',
    'AccessPolicy shop/false-mesh': '',
    'JWTPolicy shop/route': 'edge-weft-1.shop',
    'AuthenticationPolicy shop/strict': 'cart-1.shop',
  })
})
