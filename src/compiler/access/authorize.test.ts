import assert from 'node:assert/strict'
import { test } from 'node:test'
import { compile } from '../../compiler.ts'
import { readDocuments } from '#resources/read'
import { admit } from '#resources/validate'

const service = (name: string) => `
apiVersion: v1
kind: Service
metadata: { name: ${name}, namespace: shop }
spec: { clusterIP: 10.0.0.${name.length}, selector: { app: ${name} }, ports: [{ port: 80, appProtocol: grpc }] }
---`
const policy = (name: string, target: string, provider: string) => `
apiVersion: weft.dev/v1alpha1
kind: ExternalAuthorizationPolicy
metadata: { name: ${name}, namespace: shop }
spec: { targetRefs: [${target}], provider: { protocol: GRPC, failOpen: true, backendRef: { name: ${provider}, port: 80 } } }
---`
const told = (text: string) => {
  const { resources, problems } = readDocuments(text, 'test')
  assert.deepEqual(problems, [])
  const { statuses } = compile(resources.map(admit), { workloads: [] }, { trustDomain: 'weft.local', roots: [] })
  return statuses
    .filter(({ kind }) => kind === 'ExternalAuthorizationPolicy')
    .map(({ name, ancestors = [] }) => [name, ancestors[0]!.conditions.find(({ type }) => type === 'ResolvedRefs')?.reason ?? 'resolved'])
}

test('services that are called only with the leave of each other are named, and neither is asked for ever', () => {
  const services = service('a') + service('bb')
  const circle = policy('first', '{ name: bb }', 'a') + policy('second', '{ name: a }', 'bb')
  assert.deepEqual(told(services + circle), [
    ['first', 'Circular'],
    ['second', 'Circular'],
  ])
  const line = policy('first', '{ kind: Namespace }', 'a') + policy('second', '{ name: a }', 'bb')
  assert.deepEqual(told(services + line), [
    ['first', 'Circular'],
    ['second', 'Circular'],
  ])
  assert.deepEqual(told(services + policy('first', '{ kind: Namespace }', 'a')), [['first', 'resolved']])
})
