/** Resources in memory by Kubernetes API conventions, as far as the dashboard uses them: discovery, lists, dry runs, conflicts, field errors. */

import type { TopologyService } from '#model/topology'
import { shop } from './shop.ts'

type Json = Record<string, unknown>
type Stored = Json & {
  readonly metadata: { readonly name: string; readonly namespace?: string; readonly resourceVersion: string; readonly generation: number }
  readonly spec?: Json
}
type Answer = { readonly status: number; readonly body: unknown }

const kinds = [
  { group: '', version: 'v1', kind: 'Namespace', plural: 'namespaces', namespaced: false },
  { group: '', version: 'v1', kind: 'Service', plural: 'services', namespaced: true },
  { group: 'gateway.networking.k8s.io', version: 'v1', kind: 'HTTPRoute', plural: 'httproutes', namespaced: true },
  { group: 'gateway.networking.k8s.io', version: 'v1', kind: 'GRPCRoute', plural: 'grpcroutes', namespaced: true },
  { group: 'gateway.networking.k8s.io', version: 'v1', kind: 'ReferenceGrant', plural: 'referencegrants', namespaced: true },
  { group: 'weft.dev', version: 'v1alpha1', kind: 'Mesh', plural: 'meshes', namespaced: false },
  { group: 'weft.dev', version: 'v1alpha1', kind: 'Workload', plural: 'workloads', namespaced: true },
] as const

const service = (name: string, namespace: string): Json => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name, namespace },
  spec: { selector: selectorOf(name), ports: [{ name: 'http', port: 8080, appProtocol: 'http' }] },
})
const selectorOf = (name: string): Json => {
  const [, app, version] = /^(.*)-(v\d+)$/.exec(name) ?? []
  return version === undefined ? { app: name } : { app, version }
}
const condition = (type: string, status: string, reason: string, message: string): Json => ({
  type,
  status,
  reason,
  message,
  observedGeneration: 1,
  lastTransitionTime: new Date(Date.now() - 600_000).toISOString(),
})
const route = (name: string, to: string, rules: readonly Json[], conditions: readonly Json[]): Json => ({
  apiVersion: 'gateway.networking.k8s.io/v1',
  kind: 'HTTPRoute',
  metadata: { name, namespace: 'shop', labels: { 'app.kubernetes.io/part-of': 'shop' } },
  spec: { parentRefs: [{ group: '', kind: 'Service', name: to }], rules },
  status: { parents: [{ parentRef: { group: '', kind: 'Service', name: to }, controllerName: 'weft.dev/mesh', conditions }] },
})
const good = [condition('Accepted', 'True', 'Accepted', ''), condition('ResolvedRefs', 'True', 'ResolvedRefs', '')]
const to = (name: string, weight: number): Json => ({ name, port: 8080, weight })

const first: readonly Json[] = [
  ...['shop', 'billing', 'tools'].map(name => ({ apiVersion: 'v1', kind: 'Namespace', metadata: { name } })),
  ...['web', 'catalog', 'catalog-v1', 'catalog-v2', 'cart', 'checkout', 'search', 'redis'].map(name => service(name, 'shop')),
  ...['payments', 'ledger', 'mail'].map(name => service(name, 'billing')),
  route(
    'catalog',
    'catalog',
    [
      { matches: [{ headers: [{ name: 'x-user', value: 'ada' }] }], backendRefs: [to('catalog-v2', 1)] },
      { backendRefs: [to('catalog-v1', 90), to('catalog-v2', 10)] },
    ],
    good,
  ),
  route(
    'search-beta',
    'search',
    [
      { matches: [{ path: { type: 'PathPrefix', value: '/beta' } }], backendRefs: [to('search-next', 1)] },
      { backendRefs: [to('search', 1)] },
    ],
    [
      good[0]!,
      condition(
        'ResolvedRefs',
        'False',
        'BackendNotFound',
        'spec.rules[0].backendRefs[0]: Service shop/search-next does not exist; its share is answered 500',
      ),
    ],
  ),
]

export class Objects {
  revision = 100
  #objects = new Map<string, Stored>()
  #changedAt = 0

  constructor(isEmpty: boolean) {
    for (const object of isEmpty ? [] : first) this.#put(object)
    this.#changedAt = 0
  }

  /** The newest revision that a proxy has: each takes a little longer than the one before. */
  activeOn(index: number): number {
    return Date.now() - this.#changedAt > 120 * index ? this.revision : this.revision - 1
  }

  /** Shares of catalog-v1 and catalog-v2. */
  split(): readonly number[] {
    const rules = (this.#objects.get('httproutes/shop/catalog')?.spec?.['rules'] ?? []) as { backendRefs?: { weight?: number }[] }[]
    const weights = (rules[1]?.backendRefs ?? []).map(ref => ref.weight ?? 1)
    const total = weights.reduce((sum, weight) => sum + weight, 0)
    return weights.length === 2 && total > 0 ? weights.map(weight => weight / total) : [0.5, 0.5]
  }

  services(): readonly TopologyService[] {
    const workload = (source: (typeof shop)[number]) => ({
      name: source.workload,
      ...(source.version ? { version: source.version } : {}),
      health: source.workload === 'mail-5d1c9' ? 'unhealthy' : 'healthy',
    })
    return [...this.#objects.values()]
      .filter(object => object['kind'] === 'Service')
      .map(({ metadata: { name, namespace = '' } }) => ({
        name,
        namespace,
        workloads: shop
          .filter(source => source.namespace === namespace && (source.service === name || source.workload.startsWith(`${name}-`)))
          .map(workload),
      }))
  }

  answer(method: string, path: string, query: URLSearchParams, body: unknown): Answer {
    if (path === '/api' || path === '/apis') {
      const groups = [...new Set(kinds.map(kind => kind.group))].filter(name => (name === '') === (path === '/api'))
      return ok({ kind: 'APIGroupDiscoveryList', items: groups.map(group) })
    }
    const [, , groupName, version, rest] = /^\/api(s\/([^/]+))?\/([^/]+)(?:\/(.*))?$/.exec(path) ?? []
    const own = kinds.filter(kind => kind.group === (groupName ?? '') && kind.version === version)
    if (rest === undefined) return failed(404, 'NotFound', `the server could not find ${path}`)
    const [, namespace, plural, name] = /^(?:namespaces\/([^/]+)\/)?([^/]+)(?:\/([^/]+))?$/.exec(rest) ?? []
    const kind = own.find(kind => kind.plural === plural)
    if (!kind) return failed(404, 'NotFound', `the server could not find ${path}`)
    const key = `${plural}/${namespace ?? ''}/${name}`
    if (method === 'GET' && name === undefined) return ok(this.#table(plural!, namespace))
    const found = this.#objects.get(key)
    if (method === 'POST') return this.#write(body as Json, query)
    if (!found) return failed(404, 'NotFound', `${plural} "${name}" not found`)
    if (method === 'GET') return ok(found)
    if (method === 'DELETE') {
      this.#objects.delete(key)
      this.revision++
      this.#changedAt = Date.now()
      return ok({ kind: 'Status', status: 'Success' })
    }
    const wanted = body as Stored
    if (wanted.metadata.resourceVersion !== undefined && wanted.metadata.resourceVersion !== found.metadata.resourceVersion) {
      return failed(
        409,
        'Conflict',
        `Operation cannot be fulfilled on ${plural} "${name}": the object has been modified; please apply your changes to the latest version and try again`,
      )
    }
    return this.#write(wanted, query)
  }

  #write(wanted: Json, query: URLSearchParams): Answer {
    const causes = problems(wanted)
    if (causes.length > 0)
      return failed(
        422,
        'Invalid',
        `${String(wanted['kind'])} is invalid: ${causes.map(cause => `${cause.field}: ${cause.message}`).join('; ')}`,
        causes,
      )
    return ok(query.get('dryRun') === 'All' ? wanted : this.#put(wanted))
  }

  #put(object: Json): Stored {
    const metadata = object['metadata'] as Stored['metadata']
    const kind = kinds.find(kind => kind.kind === object['kind'])!
    const key = `${kind.plural}/${metadata.namespace ?? ''}/${metadata.name}`
    const generation = (this.#objects.get(key)?.metadata.generation ?? 0) + 1
    const stored = {
      ...object,
      metadata: {
        creationTimestamp: new Date(Date.now() - 90_000_000).toISOString(),
        ...metadata,
        resourceVersion: String(++this.revision),
        generation,
      },
    }
    this.#objects.set(key, stored as Stored)
    this.#changedAt = Date.now()
    return stored as Stored
  }

  #table(plural: string, namespace: string | undefined): Json {
    const found = [...this.#objects].filter(([key]) => key.startsWith(`${plural}/${namespace ?? ''}`)).map(([, object]) => object)
    const cells = (object: Stored): readonly unknown[] => [
      object.metadata.name,
      ...(plural === 'httproutes' ? [parentOf(object), conditionOf(object)] : []),
      '3h',
    ]
    const columns = ['Name', ...(plural === 'httproutes' ? ['Parents', 'Resolved'] : []), 'Age']
    return {
      kind: 'Table',
      columnDefinitions: columns.map(name => ({ name, type: 'string', priority: 0 })),
      rows: found.map(object => ({ cells: cells(object), object })),
    }
  }
}

const group = (name: string): Json => {
  const own = kinds.filter(kind => kind.group === name)
  const verbs = ['create', 'delete', 'get', 'list', 'patch', 'update', 'watch']
  const resources = own.map(kind => ({
    resource: kind.plural,
    responseKind: { kind: kind.kind },
    scope: kind.namespaced ? 'Namespaced' : 'Cluster',
    verbs,
  }))
  return { metadata: { name }, versions: [{ version: own[0]!.version, resources }] }
}
const parentOf = (object: Stored): string =>
  ((object.spec?.['parentRefs'] ?? []) as { kind: string; name: string }[]).map(parent => `${parent.kind}/${parent.name}`).join()
const conditionOf = (object: Stored): string =>
  (object['status'] as { parents?: { conditions?: { type: string; status: string }[] }[] } | undefined)?.parents?.[0]?.conditions?.find(
    entry => entry.type === 'ResolvedRefs',
  )?.status ?? 'Unknown'

function problems(object: Json): readonly { field: string; message: string }[] {
  const spec = (object['spec'] ?? {}) as Json
  const unknown = Object.keys(spec)
    .filter(field => object['kind'] === 'HTTPRoute' && !['parentRefs', 'rules', 'hostnames'].includes(field))
    .map(field => ({ field: `spec.${field}`, message: 'is not a field of HTTPRoute; did you mean "rules"?' }))
  const rules = Array.isArray(spec['rules']) ? (spec['rules'] as { backendRefs?: { weight?: unknown; name?: unknown }[] }[]) : []
  const weights = rules.flatMap((rule, at) =>
    (rule.backendRefs ?? []).flatMap((ref, index) =>
      ref.weight === undefined || (Number.isInteger(ref.weight) && Number(ref.weight) >= 0)
        ? []
        : [{ field: `spec.rules[${at}].backendRefs[${index}].weight`, message: 'must be a whole number from 0 to 1000000' }],
    ),
  )
  return [...unknown, ...weights]
}

const ok = (body: unknown): Answer => ({ status: 200, body })
const failed = (status: number, reason: string, message: string, causes: readonly unknown[] = []): Answer => ({
  status,
  body: { kind: 'Status', apiVersion: 'v1', status: 'Failure', reason, message, code: status, details: { causes } },
})
