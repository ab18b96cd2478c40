import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { AccessCondition } from '#model/access-rule'
import type { Mesh } from '#model/mesh'
import type { ProxyNode, WorkloadPort } from '#model/workload'
import { accessAt } from './at.ts'

const node = { namespace: 'shop', workload: 'web', service: 'web', labels: {}, ports: [] } as unknown as ProxyNode
const port = { name: 'http', port: 8080, protocol: 'http' } as WorkloadPort
const user: AccessCondition = { on: 'header', name: 'x-user', any: [{ type: 'exact', value: 'ann' }] }
const claimsToHeaders = [{ claim: 'sub', header: 'x-user' }]

function allowed(more: object): unknown {
  const rules = [{ name: 'shop/p#0', from: [], to: [{ ports: [], notPorts: [], http: [user] }] }]
  const guards = ['allow', 'deny'].map(as => ({ as, isAudit: false, targets: [{}], rules }))
  const mesh = { trust: {}, guards, access: 'allow', accessIn: {}, blocked: [], gateways: {}, tokens: {}, ...more } as unknown as Mesh
  const { deny, allow } = accessAt(mesh, node, port, false)!.http
  return [deny[0]?.to, allow?.[0]?.to]
}

test('a header of a claim is one value for what lets in, whether a policy here writes it or a login at some gateway', () => {
  const whole = [[[user]], [[{ ...user, isWhole: true }]]]
  assert.deepEqual(allowed({ tokens: { shop: [{ policy: { issuers: [{ claimsToHeaders }] } }] } }), whole)
  assert.deepEqual(allowed({ gateways: { edge: { listeners: { web: { logins: [{ claimsToHeaders }] } } } } }), whole)
  assert.deepEqual(allowed({}), [[[user]], [[user]]])
})
