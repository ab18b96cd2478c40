/** What must hold for every configuration, not only for those that somebody thought of. */

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import process from 'node:process'
import { text } from 'node:stream/consumers'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { chooseRoute, failsAt, type RequestFacts } from '../src/model/match.ts'
import type { Route } from '../src/model/route.ts'
import { compile } from '../src/compiler.ts'
import { older } from '../src/compiler/gather.ts'
import type { Resource } from '../src/resources/kind.ts'
import { type Configuration, configuration, front, kindsInCorpus, matching, reordered } from './properties/configurations.ts'
import { compiled } from './properties/compile.ts'

const routesOf = (resources: readonly Resource[]): readonly Route[] =>
  compile([front, ...resources], { workloads: [] }, { trustDomain: 'weft.local', roots: [] }).mesh.outbound.routes['shop/front:80']!
    .hosts[0]!.routes

describe('the order in which routes are tried', () => {
  const routes = fc.uniqueArray(matching, { selector: ({ metadata }) => metadata.name, maxLength: 8 })

  test('is total: any two routes stand in the order in which they stand among all others, however these are given', () => {
    fc.assert(
      fc.property(routes, fc.nat(), fc.nat(), (all, nth, other) => {
        if (all.length < 2) return
        const pair = [all[nth % all.length]!, all[(nth + 1 + (other % (all.length - 1))) % all.length]!]
        const own = pair.map(({ metadata }) => `HTTPRoute/shop/${metadata.name}/`)
        const among = routesOf(all).filter(({ name }) => own.some(each => name.startsWith(each)))
        const names = (list: readonly Route[]) => list.map(({ name }) => name)
        assert.deepEqual(names(routesOf(pair)), names(among))
        // Antisymmetric: which is given first says nothing.
        assert.deepEqual(names(routesOf(pair.toReversed())), names(among))
      }),
      { numRuns: 300 },
    )
  })

  test('equals are tried by age, then by name; and ages with names are themselves in one order', () => {
    const meta = fc.record({
      name: fc.constantFrom('a', 'b', 'ab', 'a-b'),
      namespace: fc.constantFrom('x', 'y', 'x-y'),
      creationTimestamp: fc.constantFrom('2026-01-01T00:00:00Z', '2026-01-02T00:00:00Z'),
    })
    const resource = meta.map((metadata): Resource => ({ apiVersion: 'v1', kind: 'X', metadata }))
    fc.assert(
      fc.property(resource, resource, resource, (one, two, three) => {
        assert.equal(Math.sign(older(one, two)) + Math.sign(older(two, one)), 0)
        if (older(one, two) <= 0 && older(two, three) <= 0) assert.ok(older(one, three) <= 0)
        const [a, b] = [one.metadata, two.metadata]
        const isSame = a.name === b.name && a.namespace === b.namespace && a.creationTimestamp === b.creationTimestamp
        assert.equal(older(one, two) === 0, isSame)
        if (a.creationTimestamp !== b.creationTimestamp) assert.equal(older(one, two) < 0, a.creationTimestamp! < b.creationTimestamp!)
        else if (a.namespace === b.namespace && a.name !== b.name) assert.equal(older(one, two) < 0, a.name < b.name)
      }),
    )
    fc.assert(
      fc.property(matching, fc.constantFrom('a', 'b'), fc.constantFrom('c', 'd'), fc.boolean(), (route, first, second, isOlder) => {
        const named = (name: string, creationTimestamp: string): Resource => ({
          ...route,
          metadata: { name, namespace: 'shop', creationTimestamp },
        })
        const late = '2026-03-01T00:00:00Z'
        const pair = [named(first, late), named(second, isOlder ? '2026-01-01T00:00:00Z' : late)]
        const origins = routesOf(pair).filter(each => each.match.path !== undefined)
        const places = pair.map(({ metadata }) => origins.findIndex(({ name }) => name.startsWith(`HTTPRoute/shop/${metadata.name}/`)))
        assert.equal(places[0]! < places[1]!, !isOlder)
      }),
    )
  })
})

describe('a compiled view', () => {
  test('is made of nothing but what it is compiled from: the same bytes again, and in another process', async () => {
    const samples = fc.sample(configuration, 12)
    const kinds = new Set(samples.flatMap(({ resources }) => resources.map(({ kind }) => kind)))
    assert.deepEqual(
      [...kindsInCorpus].filter(kind => !kinds.has(kind)),
      [],
      'every kind is among them',
    )
    const hashes = samples.map(each => compiled(each).hash)
    assert.deepEqual(
      samples.map(each => compiled(structuredClone(each)).hash),
      hashes,
    )
    const other = spawn(process.execPath, [join(import.meta.dirname, 'properties', 'compile.ts')], { stdio: ['pipe', 'pipe', 'inherit'] })
    other.stdin.end(samples.map(each => JSON.stringify(each)).join('\n'))
    assert.deepEqual((await text(other.stdout)).trim().split('\n'), hashes)
  })

  test('is the same whatever the order of documents, of workloads and of fields', () => {
    fc.assert(
      fc.property(
        configuration.chain(each => fc.tuple(fc.constant(each), reordered(each))),
        ([one, other]: readonly [Configuration, Configuration]) => {
          const [first, second] = [compiled(one), compiled(other)]
          assert.equal(differsAt(first.sent, second.sent), undefined)
          // Of the objects in this process only what they say counts; a status repeats parts of its document as they are written.
          assert.deepEqual(second.views, first.views)
          assert.deepEqual(second.statuses, first.statuses)
        },
      ),
      { numRuns: 30 },
    )
  })

  test('chooses the first route all of whose conditions hold, whatever the order of documents and fields', () => {
    const request: fc.Arbitrary<RequestFacts> = fc
      .record({
        method: fc.constantFrom('GET', 'POST', 'PUT'),
        path: fc.constantFrom('/', '/a', '/a/', '/a/b', '/a/b/c', '/ab', '/b', '/c'),
        search: fc.constantFrom('', 'q=1', 'q=2'),
        a: fc.constantFrom(undefined, '1', '2'),
        b: fc.constantFrom(undefined, '1', '2'),
      })
      .map(({ a, b, ...rest }) => ({ ...rest, host: 'front', header: name => (name === 'x-a' ? a : name === 'x-b' ? b : undefined) }))
    const routes = fc.uniqueArray(matching, { selector: ({ metadata }) => metadata.name, minLength: 1, maxLength: 8 })
    fc.assert(
      fc.property(
        routes.chain(all => fc.tuple(fc.constant(all), reordered({ resources: all, inventory: { workloads: [] } }))),
        fc.array(request, { minLength: 5 }),
        ([all, mixed], requests) => {
          const [one, other] = [routesOf(all), routesOf(mixed.resources)].map(each => ({
            name: 't',
            hosts: [{ name: '*', domains: ['*'], routes: each }],
          }))
          for (const asked of requests) {
            const found = chooseRoute(one!, asked)
            assert.deepEqual(chooseRoute(other!, asked), found)
            assert.equal(
              one!.hosts[0]!.routes.find(({ match }) => failsAt(match, asked) === undefined),
              found,
            )
          }
        },
      ),
      { numRuns: 200 },
    )
  })
})

/** The first place at which two values are not the same, in the order of their fields too; undefined where they are. */
function differsAt(one: unknown, other: unknown, place = ''): string | undefined {
  if (one === other) return undefined
  if (typeof one !== 'object' || typeof other !== 'object' || one === null || other === null)
    return `${place}: ${JSON.stringify(one)} or ${JSON.stringify(other)}`
  const [fields, others] = [Object.keys(one), Object.keys(other)]
  if (fields.join() !== others.join()) return `${place}: fields ${fields.join()} or ${others.join()}`
  for (const name of fields) {
    const found = differsAt((one as Record<string, unknown>)[name], (other as Record<string, unknown>)[name], `${place}.${name}`)
    if (found !== undefined) return found
  }
  return undefined
}
