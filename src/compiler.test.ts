import assert from 'node:assert/strict'
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import fc from 'fast-check'
import type { Inventory, ProxyNode, Workload } from '#model/workload'
import type { Resource } from '#resources/kind'
import { readDocuments } from '#resources/read'
import { admit } from '#resources/validate'
import { compile, joinStatus, viewFor } from './compiler.ts'

// Each folder: input.yaml and inventory.json, and expected.json, which REFRESH_CASES=1 writes anew.
const cases = join(import.meta.dirname, '../test/cases/compiler')
const options = { trustDomain: 'weft.local', roots: ['ROOT'] }

function load(name: string) {
  const { resources, problems } = readDocuments(readFileSync(join(cases, name, 'input.yaml'), 'utf8'), `${name}/input.yaml`)
  assert.deepEqual(problems, [])
  const inventory = JSON.parse(readFileSync(join(cases, name, 'inventory.json'), 'utf8')) as Inventory & { proxies: readonly string[] }
  return { resources: resources.map(admit), inventory }
}

const nodeOf = ({ name, namespace, service, labels, ports, locality, gateway }: Workload): ProxyNode => ({
  id: `${name}.${namespace}`,
  workload: name,
  namespace,
  service,
  labels,
  ports,
  probe: { type: 'none' },
  ...(locality === undefined ? {} : { locality }),
  ...(gateway === undefined ? {} : { gateway }),
  version: '0',
})

function outcome(resources: readonly Resource[], inventory: Inventory & { proxies: readonly string[] }) {
  const { mesh, notes, statuses } = compile(resources, inventory, options)
  const views = inventory.proxies.map(id => [
    id,
    viewFor(mesh, nodeOf(inventory.workloads.find(each => `${each.name}.${each.namespace}` === id)!)),
  ])
  return { notes, statuses, views: Object.fromEntries(views) as unknown }
}

for (const name of readdirSync(cases))
  test(`case ${name} compiles to what is expected`, () => {
    const { resources, inventory } = load(name)
    const text = `${JSON.stringify(outcome(resources, inventory), null, 1)}\n`
    const file = join(cases, name, 'expected.json')
    if (process.env['REFRESH_CASES']) writeFileSync(file, text)
    assert.equal(text, existsSync(file) ? readFileSync(file, 'utf8') : '')
  })

test('the same documents in any order compile to the same bytes', () => {
  const everything = readdirSync(cases).map(load)
  for (const { resources, inventory } of everything) {
    const bytes = JSON.stringify(outcome(resources, inventory))
    const shuffled = fc.tuple(
      fc.shuffledSubarray(resources, { minLength: resources.length }),
      fc.shuffledSubarray([...inventory.workloads], { minLength: inventory.workloads.length }),
    )
    fc.assert(
      fc.property(shuffled, ([some, workloads]) => JSON.stringify(outcome(some, { ...inventory, workloads })) === bytes),
      { numRuns: 20 },
    )
  }
})

test('what a change does not touch is the same object as before', () => {
  const { resources, inventory } = load('split')
  const before = compile(resources, inventory, options)
  assert.equal(compile([...resources].reverse(), inventory, options, before), before)
  const changed = resources.map(resource =>
    resource.kind === 'HTTPRoute' ? admit(JSON.parse(JSON.stringify(resource).replace('"weight":9', '"weight":5'))) : resource,
  )
  const after = compile(changed, inventory, options, before)
  assert.notEqual(after.mesh.outbound.routes['shop/cart:80'], before.mesh.outbound.routes['shop/cart:80'])
  assert.equal(after.mesh.outbound.routes['shop/cart-v1:80'], before.mesh.outbound.routes['shop/cart-v1:80'])
  for (const part of ['backends', 'endpoints', 'dns', 'trust', 'declared'] as const) assert.equal(after.mesh[part], before.mesh[part])
  assert.equal(after.mesh.outbound.listeners, before.mesh.outbound.listeners)
  const sick = { workloads: inventory.workloads.map(each => (each.name === 'cart-b' ? { ...each, health: 'unhealthy' as const } : each)) }
  const moved = compile(resources, sick, options, before)
  assert.notEqual(moved.mesh.endpoints['shop/cart-v2:80'], before.mesh.endpoints['shop/cart-v2:80'])
  assert.equal(moved.mesh.endpoints['shop/cart-v1:80'], before.mesh.endpoints['shop/cart-v1:80'])
  assert.equal(moved.statuses, before.statuses)
})

test('a view that did not change is the same object, and of one that did the rest is', () => {
  const { resources, inventory } = load('split')
  const node = nodeOf(inventory.workloads.find(each => each.name === 'cart-b')!)
  const view = viewFor(compile(resources, inventory, options).mesh, node)
  assert.equal(viewFor(compile(resources, inventory, options).mesh, node, view), view)
  const fewer = viewFor(
    compile(
      resources.filter(each => each.kind !== 'HTTPRoute'),
      inventory,
      options,
    ).mesh,
    node,
    view,
  )
  assert.notEqual(fewer.routes, view.routes)
  assert.equal(fewer.routes['inbound/8080'], view.routes['inbound/8080'])
  assert.equal(fewer.listeners, view.listeners)
})

test('a conflict that is over is not told any more, also where it stood beside other conditions', () => {
  const about = { kind: 'ExternalService', namespace: 'shop', name: 'api', generation: 1 }
  const condition = (type: string) => ({ type, status: 'True' as const, reason: 'Some', message: '' })
  const both = { ...about, conditions: [condition('Accepted'), condition('Conflicted')] }
  const resource = { apiVersion: 'weft.dev/v1alpha1', kind: 'ExternalService', metadata: { name: 'api', namespace: 'shop' }, spec: {} }
  const before = joinStatus(resource, both as never, '2026-01-01T00:00:00Z')
  const after = joinStatus(
    { ...resource, status: before },
    { ...about, conditions: [condition('Accepted')] } as never,
    '2026-01-02T00:00:00Z',
  )
  assert.deepEqual(
    (after as { conditions: { type: string }[] }).conditions.map(({ type }) => type),
    ['Accepted'],
  )
})

test('a status is joined to what is there: entries of others and times stay, nothing is written when nothing changed', () => {
  const { resources, inventory } = load('split')
  const route = resources.find(each => each.kind === 'HTTPRoute')!
  const [said] = compile(resources, inventory, options).statuses.filter(each => each.kind === 'HTTPRoute')
  const foreign = { parentRef: { group: 'g', kind: 'Gateway', name: 'x' }, controllerName: 'example.com/other', conditions: [] }
  const first = joinStatus({ ...route, status: { parents: [foreign] } }, said!, '2026-01-01T00:00:00Z') as {
    parents: { conditions: { lastTransitionTime: string }[] }[]
  }
  assert.equal(first.parents.length, 2)
  assert.deepEqual(first.parents[0], foreign)
  assert.equal(joinStatus({ ...route, status: first }, said!, '2026-02-02T00:00:00Z'), undefined)
  const flipped = JSON.parse(JSON.stringify(said).replace('"status":"True"', '"status":"False"')) as typeof said
  const second = joinStatus({ ...route, status: first }, flipped!, '2026-02-02T00:00:00Z') as typeof first
  assert.deepEqual(
    second.parents[1]!.conditions.map(condition => condition.lastTransitionTime),
    ['2026-02-02T00:00:00Z', '2026-01-01T00:00:00Z'],
  )
  assert.doesNotThrow(() => admit({ ...route, status: second }))
})
