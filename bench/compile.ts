/** What compiling the mesh costs: `node bench/compile.ts` prints milliseconds for meshes of 10 to 1,000 services with ten routes and four workloads each. */

import process from 'node:process'
import { compile, viewFor } from '../src/compiler.ts'
import type { Inventory, ProxyNode, Workload } from '../src/model/workload.ts'
import type { Resource } from '../src/resources/kind.ts'
import { admit } from '../src/resources/validate.ts'
import { encodeView } from '../src/xds/encode.ts'

const sizes = [10, 100, 1000]
const routesEach = 10
const workloadsEach = 4
const options = { trustDomain: 'weft.local', roots: ['ROOT'] }

const serviceOf = (nth: number): Resource =>
  admit({
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: `s${nth}`, namespace: `n${nth % 20}` },
    spec: { clusterIP: `240.77.${nth >> 8}.${nth & 255}`, selector: { app: `s${nth}` }, ports: [{ port: 80, appProtocol: 'http' }] },
  })
const routeOf = (nth: number, at: number, weight = 1): Resource =>
  admit({
    apiVersion: 'gateway.networking.k8s.io/v1',
    kind: 'HTTPRoute',
    metadata: { name: `s${nth}-${at}`, namespace: `n${nth % 20}`, creationTimestamp: '2026-01-01T00:00:00Z' },
    spec: {
      parentRefs: [{ group: '', kind: 'Service', name: `s${nth}` }],
      rules: [
        {
          matches: [{ path: { value: `/api/v${at}` }, method: 'GET' }],
          timeouts: { request: '5s' },
          backendRefs: [{ name: `s${nth}`, port: 80, weight }],
        },
      ],
    },
  })
const policiesOf = (nth: number): readonly Resource[] => [
  admit({
    apiVersion: 'weft.dev/v1alpha1',
    kind: 'BackendPolicy',
    metadata: { name: `s${nth}`, namespace: `n${nth % 20}` },
    spec: { targetRefs: [{ name: `s${nth}` }], outlierDetection: { consecutive5xx: 5 } },
  }),
  admit({
    apiVersion: 'weft.dev/v1alpha1',
    kind: 'AccessPolicy',
    metadata: { name: `s${nth}`, namespace: `n${nth % 20}` },
    spec: { targetRefs: [{ name: `s${nth}` }], action: 'Allow', rules: [{ from: [{ serviceAccounts: ['web', `s${nth + 1}`] }] }] },
  }),
  admit({
    apiVersion: 'weft.dev/v1alpha1',
    kind: 'RateLimitPolicy',
    metadata: { name: `s${nth}`, namespace: `n${nth % 20}` },
    spec: { targetRefs: [{ name: `s${nth}` }], local: { requests: 100, interval: '1s' } },
  }),
]
const workloadOf = (nth: number, at: number): Workload => ({
  name: `s${nth}-${at}`,
  namespace: `n${nth % 20}`,
  service: `s${nth}`,
  labels: { app: `s${nth}` },
  identity: `spiffe://weft.local/ns/n${nth % 20}/sa/s${nth}`,
  ports: [
    { name: 'http', port: 8080, protocol: 'http', bind: { host: '127.0.0.1', port: 10_000 + ((nth * workloadsEach + at) % 50_000) } },
  ],
  health: 'healthy',
})
const nodeOf = ({ name, namespace, service, labels, ports }: Workload): ProxyNode => ({
  id: `${name}.${namespace}`,
  workload: name,
  namespace,
  service,
  labels,
  ports,
  probe: { type: 'none' },
  version: '0',
})

/** Milliseconds of CPU: of three times the least. */
function costOf(work: () => unknown): number {
  const times = Array.from({ length: 3 }, () => {
    const before = process.cpuUsage()
    work()
    const { user, system } = process.cpuUsage(before)
    return (user + system) / 1000
  })
  return Math.min(...times)
}

const count = (size: number): number[] => Array.from({ length: size }, (_, nth) => nth)

function columnOf(size: number): Readonly<Record<string, number>> {
  const routes = count(size).flatMap(nth => count(routesEach).map(at => routeOf(nth, at)))
  const resources = [...count(size).map(serviceOf), ...routes, ...count(size).flatMap(policiesOf)]
  const inventory: Inventory = { workloads: count(size).flatMap(nth => count(workloadsEach).map(at => workloadOf(nth, at))) }
  const changed = resources.map(each => (each === routes[5] ? routeOf(0, 5, 2) : each))
  const fewer: Inventory = { workloads: inventory.workloads.with(3, { ...inventory.workloads[3]!, health: 'unhealthy' }) }
  const whole = compile(resources, inventory, options)
  const next = compile(changed, inventory, options, whole)
  const [node, other] = [nodeOf(inventory.workloads[0]!), nodeOf(inventory.workloads.at(-1)!)]
  const view = viewFor(whole.mesh, node)
  encodeView(view)
  return {
    'the whole mesh': costOf(() => compile(resources, inventory, options)),
    'again, one route changed': costOf(() => compile(changed, inventory, options, whole)),
    'again, one endpoint changed': costOf(() => compile(resources, fewer, options, whole)),
    'the view of one proxy': costOf(() => viewFor(compileOnce(whole), other)),
    'the same again, one route changed': costOf(() => viewFor(next.mesh, node, view)),
    'its resources as bytes, all new': costOf(() => encodeView(structuredClone(view))),
    'as bytes, one route changed': costOf(() => encodeView(viewFor(next.mesh, node, view))),
  }
}

/** What is kept by mesh is for this object only. */
const compileOnce = ({ mesh }: ReturnType<typeof compile>) => ({ ...mesh })

/** A table in Markdown. */
export function compileTable(): readonly string[] {
  columnOf(10)
  const columns = sizes.map(columnOf)
  return [
    `The compiler and the encoder of the control plane: milliseconds of CPU. Each service has ${routesEach} HTTPRoutes, ${workloadsEach} workloads and three policies.`,
    '',
    `| services / routes | ${sizes.map(size => `${size.toLocaleString('en')} / ${(size * routesEach).toLocaleString('en')}`).join(' | ')} |`,
    `|---|${sizes.map(() => '---:|').join('')}`,
    ...Object.keys(columns[0]!).map(name => `| ${name} | ${columns.map(each => each[name]!.toFixed(1)).join(' | ')} |`),
  ]
}

if (import.meta.main) console.log(compileTable().join('\n'))
