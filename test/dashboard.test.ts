/** What the dashboard computes by itself: shares, differences, places of errors in a text, numbers for people. */

import { test } from 'node:test'
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { placeCauses, read, stepsOf, toText } from '../dashboard/src/resources/document.ts'
import { compareLines, nearChanges } from '../dashboard/src/resources/lines.ts'
import { isAttached, percentsOf, tellMatches, withShare, withWeights } from '../dashboard/src/services/split.ts'
import { bytesRate, latency, percent, rate, span } from '../dashboard/src/shared/format.ts'
import { figuresOf, sharesOf, wholeOf } from '../dashboard/src/topology/figures.ts'
import type { TopologyEdge } from '../src/api/mesh-api.ts'

const route = {
  apiVersion: 'gateway.networking.k8s.io/v1',
  kind: 'HTTPRoute',
  metadata: {
    name: 'split',
    namespace: 'shop',
    resourceVersion: '7',
    uid: 'u',
    generation: 2,
    creationTimestamp: '2026-01-01T00:00:00Z',
    labels: { a: 'b' },
  },
  spec: {
    parentRefs: [{ kind: 'Service', name: 'cart' }],
    rules: [
      {
        backendRefs: [
          { name: 'cart-v1', port: 80 },
          { name: 'cart-v2', port: 80, weight: 3 },
        ],
      },
    ],
  },
  status: { conditions: [] },
}

test('weights become whole percents that add up to 100; a missing weight counts 1', () => {
  assert.deepEqual(percentsOf([{ name: 'a' }, { name: 'b', weight: 3 }]), [25, 75])
  assert.deepEqual(
    percentsOf([{ name: 'a' }, { name: 'b' }, { name: 'c' }]).reduce((sum, share) => sum + share, 0),
    100,
  )
  assert.deepEqual(percentsOf([{ name: 'a', weight: 0 }]), [0])
})

test('changing one share keeps the sum at 100 and the order of the others', () => {
  assert.deepEqual(withShare([90, 10], 1, 60), [40, 60])
  assert.deepEqual(withShare([50, 30, 20], 0, 0), [0, 60, 40])
  assert.deepEqual(withShare([100, 0, 0], 0, 50), [50, 25, 25])
  const shares = fc
    .array(fc.nat(1000), { minLength: 2, maxLength: 6 })
    .map(weights => percentsOf(weights.map((weight, index) => ({ name: String(index), weight }))))
  fc.assert(
    fc.property(shares, fc.nat(5), fc.integer({ min: -20, max: 130 }), (before, at, value) => {
      const after = withShare(before, at % before.length, value)
      assert.equal(
        after.reduce((sum, share) => sum + share, 0),
        100,
      )
      assert.ok(after.every(share => Number.isInteger(share) && share >= 0))
      assert.equal(after[at % before.length], Math.min(100, Math.max(0, value)))
    }),
  )
})

test('new weights change one rule and nothing else', () => {
  const changed = withWeights(route, 0, [40, 60])
  assert.deepEqual(changed, {
    ...route,
    spec: {
      ...route.spec,
      rules: [
        {
          backendRefs: [
            { name: 'cart-v1', port: 80, weight: 40 },
            { name: 'cart-v2', port: 80, weight: 60 },
          ],
        },
      ],
    },
  })
})

test('a route is attached to a Service of its own namespace unless it says another', () => {
  assert.ok(isAttached(route, { name: 'cart', namespace: 'shop' }))
  assert.ok(!isAttached(route, { name: 'cart', namespace: 'other' }))
})

test('what a rule matches is told in one line', () => {
  assert.equal(tellMatches({}), 'everything')
  assert.equal(
    tellMatches({ matches: [{ path: { type: 'PathPrefix', value: '/' }, headers: [{ name: 'x-user', value: 'ada' }] }] }),
    'header x-user: ada',
  )
  assert.equal(
    tellMatches({ matches: [{ method: 'GET', path: { type: 'Exact', value: '/a' } }, { path: { value: '/b' } }] }),
    'GET /a  or  /b…',
  )
})

test('the text for editing leaves out what only servers write', () => {
  const text = toText(route)
  assert.doesNotMatch(text, /status|resourceVersion|uid|generation|creationTimestamp/)
  assert.match(text, /labels:\n {4}a: b/)
  assert.deepEqual(read(text).resource?.spec, route.spec)
})

test('an error is put on the key that it names, or on the nearest key above it', () => {
  const text = toText(route)
  const { document } = read(text)
  const at = (field: string): string => {
    const [mark] = placeCauses(document, text, [{ field, message: 'wrong' }])
    return `${mark?.line}: ${text.slice(mark?.from, mark?.to)}`
  }
  assert.equal(at('spec.rules[0].backendRefs[1].weight'), '18: weight: 3')
  assert.equal(at('spec.rules[0].backendRefs[0].weight'), '14: name: cart-v1')
  assert.equal(at('metadata.labels["a"]'), '7: a: b')
  assert.equal(at('spec.hostnames'), '8: spec')
  assert.equal(at(''), '1: apiVersion: gateway.networking.k8s.io/v1')
})

test('field paths are read with indexes and quoted keys', () => {
  assert.deepEqual(stepsOf('spec.rules[10].matches[0]'), ['spec', 'rules', 10, 'matches', 0])
  assert.deepEqual(stepsOf('metadata.labels["app.kubernetes.io/name"]'), ['metadata', 'labels', 'app.kubernetes.io/name'])
})

test('text that is not a resource says what is missing, and YAML errors say where', () => {
  assert.equal(read('kind: A').marks[0]?.says, 'apiVersion is missing')
  assert.equal(read('apiVersion: v1\nkind: A\nmetadata: {}').marks[0]?.says, 'metadata.name is missing')
  assert.equal(read('- a').marks[0]?.says, 'A resource is a mapping with apiVersion, kind, metadata and spec')
  assert.equal(read('a: b\nc: [').marks[0]?.line, 2)
})

test('a difference is told line by line, and applying it to the old text gives the new', () => {
  assert.deepEqual(
    compareLines('a\nb\nc\n', 'a\nx\nc\n').map(({ kind, text }) => `${kind} ${text}`),
    ['same a', 'removed b', 'added x', 'same c'],
  )
  const text = fc.array(fc.constantFrom('a', 'b', 'c', ''), { minLength: 1, maxLength: 12 }).map(lines => `${lines.join('\n')}|`)
  fc.assert(
    fc.property(text, text, (before, after) => {
      const lines = compareLines(before, after)
      assert.equal(
        lines
          .filter(line => line.kind !== 'added')
          .map(line => line.text)
          .join('\n'),
        before,
      )
      assert.equal(
        lines
          .filter(line => line.kind !== 'removed')
          .map(line => line.text)
          .join('\n'),
        after,
      )
    }),
  )
})

test('what is far from any change is left out, with one mark for each gap', () => {
  const before = Array.from({ length: 30 }, (_, index) => `line ${index}`).join('\n')
  const shown = nearChanges(compareLines(before, before.replace('line 15', 'changed')))
  assert.deepEqual(
    shown.map(line => line?.text),
    [undefined, 'line 12', 'line 13', 'line 14', 'line 15', 'changed', 'line 16', 'line 17', 'line 18', undefined],
  )
})

test('numbers are short, and success is 100 % only when nothing failed', () => {
  assert.deepEqual([rate(0), rate(0.04), rate(3.14), rate(42.4), rate(12_345)], ['0/s', '<0.1/s', '3.1/s', '42/s', '12k/s'])
  assert.deepEqual([percent(1), percent(0.99999), percent(0.995), percent(0.5)], ['100 %', '99.99 %', '99.5 %', '50 %'])
  assert.deepEqual([latency(undefined), latency(0.5), latency(12.3), latency(2_345)], ['–', '0.50 ms', '12 ms', '2.35 s'])
  assert.deepEqual([bytesRate(12), bytesRate(1_234), bytesRate(56_789_000)], ['12 B/s', '1.2 kB/s', '57 MB/s'])
  assert.deepEqual([span(8_000), span(3_720_000), span(90_000_000)], ['8 s', '1 h 2 min', '1 d 1 h'])
})

const edge = (rate: number, success: number, versions: TopologyEdge['versions'] = []): TopologyEdge => ({
  source: { service: 'a', namespace: 'shop' },
  destination: { service: 'b', namespace: 'shop' },
  protocol: 'http',
  rate,
  success,
  p50: rate,
  p99: rate * 2,
  bytesPerSecond: 0,
  openConnections: 0,
  mtls: true,
  versions,
})

test('figures of several edges weigh success by rate and take the slowest p99', () => {
  const figures = figuresOf([edge(30, 1), edge(10, 0.9)])
  assert.deepEqual([figures.rate, figures.success, figures.p50, figures.p99], [40, 0.975, 25, 60])
  assert.equal(figuresOf([]).success, 1)
})

test('traffic is shared over versions, and over nothing where no workload has one', () => {
  const shares = sharesOf([
    edge(4, 1, [
      { workload: 'b-1', version: 'v1', rate: 3 },
      { workload: 'b-2', version: 'v2', rate: 1 },
    ]),
  ])
  assert.deepEqual(
    shares.map(({ name, share }) => [name, share]),
    [
      ['v1', 0.75],
      ['v2', 0.25],
    ],
  )
  assert.deepEqual(sharesOf([edge(4, 1, [{ workload: 'b-1', rate: 4 }])]), [])
})

test('a version of a service is known as a part of it', () => {
  const service = (name: string, ...workloads: string[]) => ({
    name,
    namespace: 'shop',
    workloads: workloads.map(workload => ({ name: workload, health: 'healthy' })),
  })
  const [cart, v1, other] = [service('cart', 'c1', 'c2'), service('cart-v1', 'c1'), service('other', 'o1')]
  const topology = { at: '', seconds: 60, services: [cart, v1, other], edges: [] }
  assert.equal(wholeOf(topology, v1), cart)
  assert.equal(wholeOf(topology, cart), undefined)
  assert.equal(wholeOf(topology, other), undefined)
})
