/**
 * Generated configurations of a mesh: documents of every kind that the compiler's cases have, some of them twice under other names and ages, with
 * routes whose matches meet each other, and the workloads that they are about.
 */

import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import type { Inventory, ProxyNode, Workload } from '#model/workload'
import type { Resource } from '#resources/kind'
import { readDocuments } from '#resources/read'
import { admit } from '#resources/validate'

const cases = join(import.meta.dirname, '../cases/compiler')

const keyOf = ({ apiVersion, kind, metadata }: Resource): string =>
  `${apiVersion.split('/')[0]} ${kind} ${metadata.namespace ?? ''}/${metadata.name}`

const unique = <T>(list: readonly T[], key: (one: T) => string): readonly T[] => [...new Map(list.map(each => [key(each), each])).values()]

/** Documents of all cases; of those of one name the first. */
const corpus: readonly Resource[] = unique(
  readdirSync(cases).flatMap(name => readDocuments(readFileSync(join(cases, name, 'input.yaml'), 'utf8'), name).resources.map(admit)),
  keyOf,
)
const workloads: readonly Workload[] = unique(
  readdirSync(cases).flatMap(name => (JSON.parse(readFileSync(join(cases, name, 'inventory.json'), 'utf8')) as Inventory).workloads),
  ({ name, namespace }) => `${name}.${namespace}`,
)

export const kindsInCorpus: ReadonlySet<string> = new Set(corpus.map(({ kind }) => kind))

const age = fc.constantFrom(undefined, '2026-01-01T00:00:00Z', '2026-01-01T00:00:01Z', '2026-02-01T00:00:00Z')
const aged = (resource: Resource, name: string, creationTimestamp: string | undefined): Resource => ({
  ...resource,
  metadata: { ...resource.metadata, name, ...(creationTimestamp === undefined ? {} : { creationTimestamp }) },
})

/** Of few words, so that many match the same request, and tie. */
const path = fc.record({
  type: fc.constantFrom('Exact', 'PathPrefix', 'RegularExpression'),
  value: fc.constantFrom('/', '/a', '/b', '/a/b', '/ab', '/a/b/c'),
})
const value = (name: string) =>
  fc.record({
    name: fc.constant(name),
    type: fc.constantFrom('Exact', 'RegularExpression'),
    value: fc.constantFrom('1', '2'),
  })
const match = fc
  .record({
    path,
    method: fc.option(fc.constantFrom('GET', 'POST'), { nil: undefined }),
    headers: fc.option(
      fc.subarray(['x-a', 'x-b']).chain(names => fc.tuple(...names.map(value))),
      { nil: undefined },
    ),
    queryParams: fc.option(
      value('q').map(one => [one]),
      { nil: undefined },
    ),
  })
  .map(each => Object.fromEntries(Object.entries(each).filter(([, said]) => said !== undefined)))

/** Of Service `shop/front`, which is in every configuration. */
export const matching: fc.Arbitrary<Resource> = fc
  .record({
    name: fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'),
    creationTimestamp: age,
    rules: fc.array(fc.array(match, { minLength: 1, maxLength: 3 }), { minLength: 1, maxLength: 3 }),
  })
  .map(({ name, creationTimestamp, rules }) =>
    aged(
      admit({
        apiVersion: 'gateway.networking.k8s.io/v1',
        kind: 'HTTPRoute',
        metadata: { name, namespace: 'shop' },
        spec: {
          parentRefs: [{ group: '', kind: 'Service', name: 'front' }],
          rules: rules.map(matches => ({ matches, backendRefs: [{ name: 'front', port: 80 }] })),
        },
      }),
      name,
      creationTimestamp,
    ),
  )

export const front: Resource = admit({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name: 'front', namespace: 'shop' },
  spec: { clusterIP: '10.9.9.9', selector: { app: 'front' }, ports: [{ port: 80, appProtocol: 'http' }] },
} as unknown as Resource)

export type Configuration = { readonly resources: readonly Resource[]; readonly inventory: Inventory }

export const configuration: fc.Arbitrary<Configuration> = fc
  .record({
    some: fc.subarray([...corpus], { minLength: 20 }),
    again: fc.array(fc.tuple(fc.constantFrom(...corpus), fc.constantFrom('-b', '-c'), age), { maxLength: 20 }),
    routes: fc.array(matching, { maxLength: 8 }),
    running: fc.subarray([...workloads]),
  })
  .map(({ some, again, routes, running }) => ({
    resources: unique([front, ...some, ...again.map(([one, end, at]) => aged(one, one.metadata.name + end, at)), ...routes], keyOf),
    inventory: { workloads: running },
  }))

/** The same in another order: of documents, of workloads, and of the fields of each object as somebody writes it. */
export const reordered = ({ resources, inventory }: Configuration): fc.Arbitrary<Configuration> =>
  fc.tuple(shuffled(resources), shuffled(inventory.workloads), fc.infiniteStream(fc.nat(1_000_000))).map(([some, running, numbers]) => ({
    resources: some.map(each => fieldsMixed(each, numbers)),
    inventory: { workloads: running.map(each => fieldsMixed(each, numbers)) },
  }))

const shuffled = <T>(list: readonly T[]): fc.Arbitrary<T[]> => fc.shuffledSubarray([...list], { minLength: list.length })

function fieldsMixed<T>(one: T, numbers: Iterator<number>): T {
  if (Array.isArray(one)) return one.map(each => fieldsMixed<unknown>(each, numbers)) as T
  if (one === null || typeof one !== 'object') return one
  const fields = Object.entries(one).map(
    ([name, each]) => [name, fieldsMixed<unknown>(each, numbers), numbers.next().value as number] as const,
  )
  return Object.fromEntries(fields.sort((left, right) => left[2] - right[2]).map(([name, each]) => [name, each])) as T
}

export const nodeOf = ({ name, namespace, service, labels, ports, locality, gateway }: Workload): ProxyNode => ({
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
