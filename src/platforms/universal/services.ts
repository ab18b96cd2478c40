/** The Service objects that workloads bring along, and the virtual IP of every Service. */

import type { ProxyNode, WorkloadPort } from '#model/workload'
import type { Service, ServiceSpec } from '#resources/core'
import type { Operation, ResourceName, ResourceStore } from '../platform.ts'
import { virtualAddress } from './addresses.ts'

export const madeBy = 'weft.dev/made-by'
const serviceKind = { group: '', kind: 'Service' } as const
type Port = NonNullable<ServiceSpec['ports']>[number]

const appProtocols: Readonly<Record<WorkloadPort['protocol'], string | undefined>> = {
  http: 'http',
  http2: 'kubernetes.io/h2c',
  grpc: 'grpc',
  tcp: 'tcp',
  tls: 'tls',
  detect: undefined,
  udp: undefined,
}

export class Services {
  readonly #store: ResourceStore
  /** Which service has an address. */
  readonly #owners = new Map<string, string>()
  readonly #addresses = new Map<string, string>()

  constructor(store: ResourceStore) {
    this.#store = store
    for (const service of store.list({ kind: serviceKind }).items) this.see(service as Service)
  }

  /** Keeps track of who has which address. */
  see(service: Service, isGone = false): void {
    const key = keyOf(service)
    const old = this.#addresses.get(key)
    if (old !== undefined && this.#owners.get(old) === key) this.#owners.delete(old)
    this.#addresses.delete(key)
    const address = service.spec?.clusterIP
    if (isGone || address === undefined || address === '' || address === 'None') return
    this.#addresses.set(key, address)
    if (!this.#owners.has(address)) this.#owners.set(address, key)
  }

  /** What is to be written so that the workload can be called by the name of its service, and by `SERVICE-VERSION` where it has a version. */
  broughtBy(node: ProxyNode): Operation[] {
    if (node.ports.length === 0) return []
    const version = node.labels['version']
    const own = this.#ensure(node, node.service, { app: node.service })
    if (version === undefined || version === '') return own
    return [...own, ...this.#ensure(node, labelOf(`${node.service}-${version}`), { app: node.service, version })]
  }

  /** The same Service with a virtual IP, where it needs one and has none: the one it had, else one that is free. Takes nothing: it may be a dry run. */
  withAddress(service: Service, before?: string): Service | undefined {
    const { spec } = service
    const has = spec?.clusterIP !== undefined && spec.clusterIP !== ''
    if (has || spec?.type === 'ExternalName' || service.metadata.deletionTimestamp !== undefined) return undefined
    const key = keyOf(service)
    const address = before || virtualAddress('service', key, candidate => (this.#owners.get(candidate) ?? key) !== key)
    return { ...service, spec: { ...(spec ?? { type: 'ClusterIP' }), clusterIP: address } }
  }

  /** The same, and it is taken from now on: two of one transaction must not get one address. */
  give(service: Service): Service | undefined {
    const addressed = this.withAddress(service)
    if (addressed !== undefined) this.see(addressed)
    return addressed
  }

  /** `NAMESPACE/NAME` of the other Service that has the address which this one asks for. */
  otherOwner(service: Service): string | undefined {
    const owner = this.#owners.get(service.spec?.clusterIP ?? '')
    return owner === keyOf(service) ? undefined : owner
  }

  #ensure(node: ProxyNode, name: string, selector: Readonly<Record<string, string>>): Operation[] {
    const at: ResourceName = { ...serviceKind, namespace: node.namespace, name }
    const found = this.#store.get(at) as Service | undefined
    if (found === undefined) {
      const service: Service = {
        apiVersion: 'v1',
        kind: 'Service',
        metadata: { name, namespace: node.namespace, annotations: { [madeBy]: 'workload' } },
        spec: { type: 'ClusterIP', selector: { ...selector }, ports: merged([], node.ports) },
      }
      return [{ type: 'create', resource: this.give(service) ?? service }]
    }
    // A Service that a person wrote is theirs.
    if (found.metadata.annotations?.[madeBy] !== 'workload' || !sameLabels(found.spec?.selector ?? {}, selector)) return []
    const old = found.spec?.ports ?? []
    const ports = merged(old, node.ports)
    if (ports.length === old.length) return []
    return [{ type: 'update', resource: { ...found, spec: { ...found.spec, ports } } }]
  }
}

/** A port number that is there already stays as it is; a name that is taken gets the number behind it. */
function merged(old: readonly Port[], brought: readonly WorkloadPort[]): Port[] {
  const ports = [...old]
  for (const { name, port, protocol } of brought) {
    const transport = protocol === 'udp' ? 'UDP' : 'TCP'
    if (ports.some(other => other.port === port && (other.protocol ?? 'TCP') === transport)) continue
    const appProtocol = appProtocols[protocol]
    const free = ports.some(other => other.name === name) ? labelOf(`${name}-${port}`) : name
    ports.push({ name: free, protocol: transport, port, targetPort: port, ...(appProtocol === undefined ? {} : { appProtocol }) })
  }
  return ports
}

const sameLabels = (one: Readonly<Record<string, string>>, other: Readonly<Record<string, string>>): boolean =>
  Object.keys(one).length === Object.keys(other).length && Object.entries(one).every(([key, value]) => other[key] === value)

/** As a DNS label. */
const labelOf = (text: string): string =>
  text
    .toLowerCase()
    .replace(/[^a-z0-9-]+/g, '-')
    .slice(0, 63)
    .replace(/^-+|-+$/g, '')

const keyOf = (service: Service): string => `${service.metadata.namespace ?? ''}/${service.metadata.name}`
