/** From calls that were seen to the AccessPolicies that allow them and nothing else: pure. */

import { defaultIdTemplate, otherThanDefault, workloadIn } from '#base/id-template'
import { anyPath, type CallSeen, pathKind } from '#model/calls'
import type { Service } from '#resources/core'
import type { Resource } from '#resources/kind'
import type { AccessOperation, AccessPolicySpec, AccessSource } from '#resources/weft'

/** idTemplate: of the ids of the mesh; absent: the default. paths: name methods and paths too; absent: whoever called a port may call all of it. */
export type SuggestOptions = {
  readonly trustDomain: string
  readonly idTemplate?: string
  readonly services: readonly Service[]
  readonly paths: boolean
}

export type Suggested = Resource<AccessPolicySpec> & { readonly spec: AccessPolicySpec }

/** So many entries a list of an AccessPolicy has at most. */
const mostEntries = 64

/** One policy for each called service, in order of name; calls without an identity cannot be allowed by one, and are not. */
export function suggestPolicies(calls: readonly CallSeen[], options: SuggestOptions): readonly Suggested[] {
  const byService = Map.groupBy(
    calls.filter(({ identity }) => identity !== ''),
    ({ service }) => service,
  )
  return [...byService].sort(([a], [b]) => (a < b ? -1 : 1)).map(([service, own]) => policyOf(service, own, options))
}

function policyOf(service: string, calls: readonly CallSeen[], options: SuggestOptions): Suggested {
  const { services, paths } = options
  const dot = service.lastIndexOf('.')
  const [name, namespace] = [service.slice(0, dot), service.slice(dot + 1)]
  const byCaller = Map.groupBy(calls, ({ identity }) => identity)
  const wants = [...byCaller].sort(([a], [b]) => (a < b ? -1 : 1)).map(([identity, own]) => ({ identity, to: operationsOf(own, paths) }))
  const alike = [...Map.groupBy(wants, ({ to }) => JSON.stringify(to)).values()]
  const rules = alike.flatMap(group =>
    chunks(group.map(({ identity }) => identity)).map(identities => ({
      from: sourcesOf(identities, namespace, options),
      to: group[0]!.to,
    })),
  )
  return {
    apiVersion: 'weft.dev/v1alpha1',
    kind: 'AccessPolicy',
    metadata: { name: `suggested-${name}`, namespace },
    spec: { targetRefs: [targetOf(name, namespace, calls, services)], action: 'Allow', rules },
  }
}

/** The Service where it leads to all these ports, else the workloads by their label. */
function targetOf(
  name: string,
  namespace: string,
  calls: readonly CallSeen[],
  services: readonly Service[],
): AccessPolicySpec['targetRefs'][number] {
  const service = services.find(each => each.metadata.name === name && each.metadata.namespace === namespace)
  const selector = Object.entries(service?.spec?.selector ?? {})
  const targets = new Set((service?.spec?.ports ?? []).map(({ port, targetPort = port }) => targetPort))
  const isWhole = selector.length === 1 && selector[0]![0] === 'app' && selector[0]![1] === name
  return isWhole && calls.every(({ port }) => targets.has(port)) ? { kind: 'Service', name } : { kind: 'Workload', labels: { app: name } }
}

function sourcesOf(
  identities: readonly string[],
  namespace: string,
  { trustDomain, idTemplate = defaultIdTemplate }: SuggestOptions,
): AccessSource[] {
  const templates = otherThanDefault(trustDomain, idTemplate)
  const accounts: string[] = []
  const others: string[] = []
  for (const identity of identities) {
    const own = identity.startsWith(`spiffe://${trustDomain}/`) ? workloadIn(identity, templates) : undefined
    if (own !== undefined) accounts.push(own.namespace === namespace ? own.serviceAccount : `${own.namespace}/${own.serviceAccount}`)
    else others.push(identity)
  }
  return [...(accounts.length === 0 ? [] : [{ serviceAccounts: accounts }]), ...(others.length === 0 ? [] : [{ identities: others }])]
}

/** Of one caller, in one order whatever came first. */
function operationsOf(calls: readonly CallSeen[], paths: boolean): AccessOperation[] {
  if (!paths) return [{ ports: ascending(calls.map(({ port }) => port)) }]
  const made = [...Map.groupBy(calls.map(plain), ({ port }) => port)]
    .sort(([a], [b]) => a - b)
    .flatMap(([port, own]): AccessOperation[] => {
      // Bytes of a port that is HTTP to others: a rule that names HTTP would shut them out.
      if (own.some(({ method }) => method === '')) return [{ ports: [port] }]
      return [
        ...grpcOf(port, own.filter(isGrpc)),
        ...httpOf(
          port,
          own.filter(each => !isGrpc(each)),
        ),
      ]
    })
  return made.length > mostEntries ? [{ ports: ascending(calls.map(({ port }) => port)).slice(0, mostEntries) }] : made
}

/** What calls of gRPC are not is told as other paths are: one that a caller made up may be none that a policy can name. */
const plain = (call: CallSeen): CallSeen => (isGrpc(call) || call.path === '' ? call : { ...call, path: pathKind(call.path) })

const grpcPath = /^\/([A-Za-z_][\w.]*)\/([A-Za-z_]\w*)$/
const isGrpc = ({ protocol, path }: CallSeen): boolean => protocol === 'grpc' && grpcPath.test(path)

function grpcOf(port: number, calls: readonly CallSeen[]): AccessOperation[] {
  const methods = [...new Set(calls.map(({ path }) => path))].sort().map(path => {
    const [, service = '', method = ''] = grpcPath.exec(path) ?? []
    return { service, method }
  })
  return chunks(methods).map(grpc => ({ ports: [port], grpc: [...grpc] }))
}

/** Paths that are asked for with the same methods stand together. */
function httpOf(port: number, calls: readonly CallSeen[]): AccessOperation[] {
  const byPath = [...Map.groupBy(calls, ({ path }) => path)].map(([path, own]) => ({
    path,
    methods: [...new Set(own.map(({ method }) => method))].sort(),
  }))
  const whole = byPath.filter(({ path }) => path === anyPath || path === '*')
  const wide = [...new Set(whole.flatMap(({ methods }) => methods))].sort()
  const narrow = byPath.flatMap(({ path, methods }) => {
    const left = methods.filter(method => !wide.includes(method))
    return path === anyPath || path === '*' || left.length === 0 ? [] : [{ path, methods: left }]
  })
  const alike = [...Map.groupBy(narrow, ({ methods }) => methods.join()).entries()].sort(([a], [b]) => (a < b ? -1 : 1))
  return [
    ...(wide.length === 0 ? [] : [{ ports: [port], methods: wide }]),
    ...alike.flatMap(([, group]) =>
      chunks(group.map(({ path }) => pathOf(path)).sort((a, b) => (a.value < b.value ? -1 : 1))).map(paths => ({
        ports: [port],
        methods: group[0]!.methods,
        paths: [...paths],
      })),
    ),
  ]
}

const pathOf = (kind: string): { type: 'Exact' | 'Prefix'; value: string } =>
  kind.endsWith('/*') ? { type: 'Prefix', value: kind.slice(0, -2) } : { type: 'Exact', value: kind }

const ascending = (numbers: readonly number[]): number[] => [...new Set(numbers)].sort((a, b) => a - b)

const chunks = <T>(all: readonly T[]): readonly (readonly T[])[] =>
  Array.from({ length: Math.ceil(all.length / mostEntries) }, (_, at) => all.slice(at * mostEntries, (at + 1) * mostEntries))
