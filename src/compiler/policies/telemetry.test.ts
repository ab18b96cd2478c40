import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ProxyNode } from '#model/workload'
import { readDocuments } from '#resources/read'
import { admit } from '#resources/validate'
import { compile, lackingIn, viewFor } from '../../compiler.ts'

const node = (service: string, namespace: string, more: Partial<ProxyNode> = {}): ProxyNode => ({
  id: `${service}-1.${namespace}`,
  workload: `${service}-1`,
  namespace,
  service,
  labels: {},
  ports: [{ name: 'http', port: 80, protocol: 'http', bind: { host: '127.0.0.1', port: 1 } }],
  probe: { type: 'none' },
  version: '0',
  ...more,
})

/** Each as `NAMESPACE/NAME KIND-OF-TARGET: SPEC`. */
function compiled(...policies: readonly string[]) {
  const documents = policies.map(each => {
    const [, namespace, name, kind, spec] = /^(\S+)\/(\S+) (\S+): (.*)$/.exec(each)!
    const target = kind === 'Mesh' || kind === 'Namespace' ? `{ kind: ${kind} }` : `{ kind: Workload, labels: { app: ${kind} } }`
    return `{ apiVersion: weft.dev/v1alpha1, kind: TelemetryPolicy, metadata: { name: ${name}, namespace: ${namespace} }, spec: { targetRefs: [${target}], ${spec} } }`
  })
  const { resources, problems } = readDocuments(documents.join('\n---\n'), 'policies')
  assert.deepEqual(problems, [])
  return compile(resources.map(admit), { workloads: [] }, { trustDomain: 'weft.local', roots: [] })
}
const told = (result: ReturnType<typeof compiled>, of: ProxyNode) => viewFor(result.mesh, of).listeners['inbound/80']?.telemetry
const conditions = ({ statuses }: ReturnType<typeof compiled>, name: string): readonly string[] =>
  statuses
    .filter(each => each.name === name)
    .flatMap(each => (each.ancestors ?? []).flatMap(one => one.conditions.map(({ type, reason }) => `${type} ${reason}`)))

test('what nobody asks for is no part of a view', () => {
  assert.equal(told(compiled(), node('web', 'shop')), undefined)
  assert.equal(told(compiled('shop/off Namespace: accessLog: { mode: Disabled }'), node('web', 'shop')), undefined)
})

test('each field is said by the narrowest policy that says it, and other namespaces hear nothing of it', () => {
  const result = compiled(
    'weft-system/wide Mesh: accessLog: { when: [{ statusAtLeast: 500 }], sampling: { percent: 50 } }',
    'shop/shop Namespace: accessLog: { sampling: { percent: 1 } }',
    'shop/web web: accessLog: { format: { type: JSON, fields: [time] } }',
  )
  const format = { type: 'json', fields: ['time'] }
  assert.deepEqual(told(result, node('web', 'shop'))?.accessLog, { format, share: 10_000, when: [{ statusAtLeast: 500 }] })
  assert.equal(told(result, node('cart', 'shop'))?.accessLog?.share, 10_000)
  assert.equal(told(result, node('web', 'lab'))?.accessLog?.share, 500_000)
})

test('a narrow policy turns off, and on again, what a wide one says', () => {
  const result = compiled(
    'weft-system/wide Mesh: accessLog: { mode: Disabled, when: [{ outcome: Denied }] }',
    'shop/shop Namespace: accessLog: { mode: Enabled }',
  )
  assert.equal(told(result, node('web', 'lab')), undefined)
  assert.deepEqual(told(result, node('web', 'shop'))?.accessLog?.when, [{ outcome: 'denied' }])
})

test('spans that nobody takes are told of in the status, and those that a wider policy takes are made', () => {
  const sampled = 'shop/sampled Namespace: tracing: { sampling: { percent: 5 } }'
  const alone = compiled(sampled)
  assert.deepEqual(conditions(alone, 'sampled'), ['Accepted Accepted', 'PartiallyInvalid NoExporter'])
  assert.equal(told(alone, node('web', 'shop')), undefined)
  const both = compiled(sampled, 'weft-system/wide Mesh: tracing: { exporter: { otlp: { endpoint: "http://collector:4318" } } }')
  assert.deepEqual(conditions(both, 'sampled'), ['Accepted Accepted'])
  assert.equal(told(both, node('web', 'shop'))?.tracing?.share, 50_000)
  assert.equal(viewFor(both.mesh, node('web', 'shop')).backends['tracing/http://collector:4318']?.port, 4318)
})

test('what an Envoy tells otherwise is said by the policy that asks for it', () => {
  const result = compiled(
    'weft-system/wide Mesh: accessLog: { format: { type: Text, template: "source {time}" } }, tracing: { propagation: [B3] }',
    'shop/shop Namespace: accessLog: { format: { type: JSON, fields: [decision] } }, tracing: { exporter: { otlp: { endpoint: "http://c", protocol: HTTPJSON } } }',
  )
  const lacking = (namespace: string) =>
    lackingIn(viewFor(result.mesh, node('web', namespace, { isEnvoy: true }))).map(({ what, name }) => `${what} ${name}`)
  assert.deepEqual(lacking('shop'), ['fieldsOfLog shop/shop', 'spansAsJson shop/shop', 'propagationByB3 weft-system/wide'])
  assert.deepEqual(lacking('lab'), [])
})
