/** Documents of examples and of the compiler's cases, changed so that one Envoy is behind every Service of theirs and one is every Gateway. */

import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Resource } from '../../../src/resources/kind.ts'
import { readDocuments } from '../../../src/resources/read.ts'
import { root } from '../../harness/mesh.ts'

export type Documents = { readonly name: string; readonly documents: readonly Resource[] }

/** What the Envoy beside the program is. */
export const everyone = 'everyone'
/** Of the program. */
export type Ports = Readonly<Record<'http' | 'grpc' | 'tcp' | 'udp' | 'detect', number>>
/** The Gateway that all are. */
export const edge = 'edge'

export function examples(): readonly Documents[] {
  const folder = join(root, 'examples')
  const files = readdirSync(folder).filter(name => name.endsWith('.yaml'))
  return files.map(name => withServices({ name, documents: readDocuments(readFileSync(join(folder, name), 'utf8'), name).resources }))
}

export const extremes = (): Documents => ({
  name: 'extremes',
  documents: readDocuments(readFileSync(join(import.meta.dirname, 'extremes.yaml'), 'utf8'), 'extremes.yaml').resources,
})

/** The cases of policies, and of what else becomes more than routes to clusters. */
const ofPolicies = [
  'access',
  'authentication',
  'balancing',
  'bodies-at-gateways',
  'callers-at-gateways',
  'egress',
  'external-authorization',
  'faults',
  'filters',
  'health-checks',
  'logins',
  'policies-at-gateways',
  'rate-limits',
  'resilience',
  'route-extras',
  'telemetry',
  'tls',
  'tokens',
  'udp',
]
export function cases(): readonly Documents[] {
  const folder = join(root, 'test/cases/compiler')
  return ofPolicies.map(name =>
    withServices({
      name: `case ${name}`,
      documents: readDocuments(readFileSync(join(folder, name, 'input.yaml'), 'utf8'), name).resources,
    }),
  )
}

const withServices = ({ name, documents }: Documents): Documents => ({
  name,
  documents: atHome([...documents, ...servicesAround(documents)]),
})

type Fields = Readonly<Record<string, unknown>>
const isFields = (value: unknown): value is Fields => typeof value === 'object' && value !== null && !Array.isArray(value)

/** The namespace of most documents becomes the one in which the Envoys are, and changes places with it. */
function atHome(documents: readonly Resource[]): readonly Resource[] {
  const counts = Map.groupBy(documents, ({ metadata }) => metadata.namespace ?? home)
  const [most = home] = [...counts].toSorted(([, one], [, other]) => other.length - one.length).map(([name]) => name)
  const place = (name: string): string => (name === most ? home : name === home ? most : name)
  const move = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(move)
    if (!isFields(value)) return value
    return Object.fromEntries(
      Object.entries(value).map(([key, each]) => [key, key === 'namespace' && typeof each === 'string' ? place(each) : move(each)]),
    )
  }
  return documents.map(each => {
    const moved = move(each) as Resource
    return each.kind === 'Namespace' ? { ...moved, metadata: { ...moved.metadata, name: place(moved.metadata.name) } } : moved
  })
}
const home = 'default'

/** portOf: where a port of a Gateway is, in place of the one that is written. */
export function forEnvoys({ name, documents }: Documents, ports: Ports, portOf: (port: number) => number): Documents {
  const gateways = documents.filter(({ kind }) => kind === 'Gateway')
  const [first] = gateways
  const own = first?.metadata.name
  const change = (value: unknown, key = '', under = ''): unknown => {
    if (Array.isArray(value)) return value.map(each => change(each, key, under))
    if (!isFields(value)) return value
    const { kind = key === 'parentRefs' ? 'Gateway' : undefined } = value
    const isEdge = kind === 'Gateway' && value['name'] === own && own !== undefined
    const labels = kind === 'Workload' && isFields(value['labels']) ? { labels: { app: everyone } } : {}
    const made = Object.fromEntries(Object.entries(value).map(([at, each]) => [at, change(each, at, key)]))
    const { port } = value
    return {
      ...made,
      ...labels,
      ...(isEdge ? { name: edge } : {}),
      ...(isEdge && typeof port === 'number' ? { port: portOf(port) } : {}),
    }
  }
  return {
    name,
    // Workloads are the two that run.
    documents: [
      ...namespacesOf(documents),

      ...documents
        .filter(({ kind, metadata }) => kind !== 'Workload' && !(kind === 'Namespace' && metadata.name === home))
        .toSorted(byKind),
    ]
      .filter(document => document.kind !== 'Gateway' || document === first)
      .map(document => ({ ...(change(document) as Resource), metadata: metadataOf(document, own) }))
      .map(document => (document.kind === 'Service' ? selectingAll(document, ports) : document))
      .map(document => (document.kind === 'Gateway' || document.kind === 'ListenerSet' ? listening(document, portOf) : document)),
  }
}

/** Namespaces before what is in them. */
const byKind = (one: Resource, other: Resource): number => Number(other.kind === 'Namespace') - Number(one.kind === 'Namespace')

const document = (apiVersion: string, kind: string, metadata: Resource['metadata'], rest: object = {}): Resource =>
  ({ apiVersion, kind, metadata, ...rest }) as Resource

const namespacesOf = (documents: readonly Resource[]): readonly Resource[] =>
  [...new Set(documents.flatMap(({ metadata: { namespace } }) => namespace ?? []))]
    .filter(name => name !== home && !documents.some(({ kind, metadata }) => kind === 'Namespace' && metadata.name === name))
    .map(name => document('v1', 'Namespace', { name }))

/** Wherever something is referred to as a Service that is not among the documents. */
function servicesAround(documents: readonly Resource[]): readonly Resource[] {
  const known = new Map<string, Set<number>>()
  const walk = (value: unknown, namespace: string): void => {
    if (Array.isArray(value)) for (const each of value) walk(each, namespace)
    else if (isFields(value)) {
      const { kind = 'Service', name, port, group = '', namespace: there = namespace } = value
      if (kind === 'Service' && group === '' && typeof name === 'string' && (port !== undefined || 'kind' in value)) {
        const key = `${String(there)}/${name}`
        const numbers = known.get(key) ?? known.set(key, new Set([8080])).get(key)!
        if (typeof port === 'number') numbers.add(port)
      }
      for (const each of Object.values(value)) walk(each, namespace)
    }
  }
  for (const { spec, metadata } of documents) walk(spec, metadata.namespace ?? 'default')
  const isThere = (key: string): boolean =>
    documents.some(({ kind, metadata }) => kind !== 'HTTPRoute' && key === `${metadata.namespace ?? 'default'}/${metadata.name}`)
  const isSpace = (name: string): boolean => name === 'default' || documents.some(({ metadata }) => metadata.namespace === name)
  return [...known].flatMap(([key, numbers]) => {
    const [namespace = '', name = ''] = key.split('/')
    if (isThere(key) || !isSpace(namespace) || !/^[a-z0-9-]+$/.test(name)) return []
    const list = [...numbers].map(port => ({ name: port === 8080 ? 'http' : `p${port}`, port, appProtocol: 'http' }))
    return [document('v1', 'Service', { name, namespace }, { spec: { selector: { app: everyone }, ports: list } })]
  })
}

const metadataOf = ({ kind, metadata }: Resource, own: string | undefined): Resource['metadata'] =>
  kind === 'Gateway' && metadata.name === own ? { ...metadata, name: edge } : metadata

/** But for those with the label `elsewhere`. */
function selectingAll(service: Resource, ports: Ports): Resource {
  const spec = service['spec'] as { readonly ports?: readonly Fields[]; readonly selector?: Fields }
  if (spec?.selector === undefined || service.metadata.labels?.['elsewhere'] !== undefined) return service
  const target = ({ protocol, appProtocol, name }: Fields): number => {
    if (protocol === 'UDP') return ports.udp
    const said = String(appProtocol ?? name ?? '')
    if (/grpc|h2c|http2/.test(said)) return ports.grpc
    return /http/.test(said) ? ports.http : /tcp|tls|mysql|postgres|redis/.test(said) ? ports.tcp : ports.detect
  }
  const list = spec.ports?.map(port => ({ ...port, targetPort: target(port) }))
  return { ...service, spec: { ...spec, selector: { app: everyone }, ports: list } } as Resource
}

function listening(gateway: Resource, portOf: (port: number) => number): Resource {
  const spec = gateway['spec'] as { readonly listeners?: readonly (Fields & { readonly port: number })[] }
  const { addresses: _, ...rest } = spec as Fields
  const listeners = spec.listeners?.map(each => ({ ...each, port: portOf(each.port) }))
  return { ...gateway, spec: { ...rest, listeners } } as Resource
}
