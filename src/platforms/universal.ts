/**
 * The platform that needs nothing but Weft: workloads are what proxies register, kept as Workload resources in the store.
 *
 *   register ──▶ unhealthy ──probe passes──▶ healthy ──probe fails──▶ unhealthy
 *                   healthy ──proxy gone──▶ degraded ──60 s──▶ removed      (leave: removed at once)
 *
 * Degraded is used only when nothing healthy is there, and callers try elsewhere when it cannot be connected. When the control plane
 * starts, every workload in the store has 60 s for its proxy to come back.
 */

import type { Clock } from '#base/clock'
import type { Log } from '#base/log'
import { BadInput, type Problem } from '#base/note'
import type { Health } from '#model/backend'
import type { Inventory, ProxyNode, Workload } from '#model/workload'
import type { Service } from '#resources/core'
import type { Resource } from '#resources/kind'
import type { WorkloadResource, WorkloadStatus } from '#resources/weft'
import type { Operation, Platform, ResourceStore } from './platform.ts'
import type { Gateway } from '#resources/gateway-api'
import { isServiceAddress, virtualAddress } from './universal/addresses.ts'
import { gatewayKind, gatewayOf, markedBy, sameTexts, servesGateway } from './universal/gateways.ts'
import { Services } from './universal/services.ts'
import { idOf, isRegistered, isShown, resourceOf, statusOf, workloadKind, workloadOf } from './universal/workloads.ts'

export type UniversalOptions = {
  readonly store: ResourceStore
  readonly clock: Clock
  readonly log: Log
  /** How long a workload stays when its proxy is gone; 60 s unless said. */
  readonly graceMs?: number
}

export class Universal implements Platform {
  readonly #store: ResourceStore
  readonly #clock: Clock
  readonly #log: Log
  readonly #graceMs: number
  readonly #services: Services
  readonly #workloads = new Map<string, { readonly resource: WorkloadResource; readonly workload: Workload }>()
  /** Which workload has an address. */
  readonly #addresses = new Map<string, string>()
  readonly #leaving = new Map<string, () => void>()
  readonly #told = new Set<() => void>()
  readonly #ends: (() => void)[]
  #inventory: Inventory | undefined

  constructor({ store, clock, log, graceMs = 60_000 }: UniversalOptions) {
    this.#store = store
    this.#clock = clock
    this.#log = log
    this.#graceMs = graceMs
    this.#services = new Services(store)
    const from = store.revision
    for (const resource of store.list({ kind: workloadKind }).items) this.#see(resource as WorkloadResource)
    this.#ends = [
      store.watch(from, { kind: workloadKind }, ({ type, resource }) => this.#see(resource as WorkloadResource, type === 'DELETED')),
      store.watch(from, { kind: { group: '', kind: 'Service' } }, ({ type, resource }) =>
        this.#seeService(resource as Service, type === 'DELETED'),
      ),
      store.watch(from, { kind: gatewayKind }, ({ type, resource }) => this.#seeGateway(resource as Gateway, type === 'DELETED')),
    ]
    for (const service of store.list({ kind: { group: '', kind: 'Service' } }).items) this.#giveAddress(service as Service)
    // When each was last heard of is what the store says: it is not now.
    for (const [id, { resource }] of this.#workloads) if (isRegistered(resource)) this.#part(id, resource.status?.proxy?.lastSeen)
  }

  get inventory(): Inventory {
    this.#inventory ??= { workloads: [...this.#workloads].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, { workload }]) => workload) }
    return this.#inventory
  }

  onChange(told: () => void): () => void {
    this.#told.add(told)
    return () => void this.#told.delete(told)
  }

  register(node: ProxyNode, identity: string): void {
    const old = this.#workloads.get(node.id)?.resource
    if (old !== undefined && old.spec?.identity !== identity) {
      throw new BadInput([
        {
          about: `Workload ${node.namespace}/${node.workload}`,
          says: `is registered by ${old.spec?.identity}, not by ${identity}: choose another name or delete it first`,
        },
      ])
    }
    const resource = markedBy(resourceOf(node, identity, old), this.#gatewayOf(node))
    const before = { ...old?.status, ...this.#addressOf(node, old?.status?.meshAddress) }
    const status = statusOf(before, healthAtFirst(node, before.health), this.#proxyState(node), this.#clock.now())
    this.#store.transact([
      { type: old === undefined ? 'create' : 'update', resource },
      { type: 'update-status', resource: { ...resource, status } },
      ...this.#services.broughtBy(node),
    ])
    this.#leaving.get(node.id)?.()
    this.#leaving.delete(node.id)
  }

  identityOf(id: string): string | undefined {
    return this.#workloads.get(id)?.resource.spec?.identity
  }

  report(id: string, health: Health): void {
    const known = this.#workloads.get(id)
    if (known === undefined || known.resource.status?.health === health) return
    this.#setStatus(known.resource, health, { ...known.resource.status?.proxy, connected: true, lastSeen: timeOf(this.#clock.now()) })
  }

  disconnect(id: string): void {
    this.#part(id, timeOf(this.#clock.now()))
  }

  lastKnown(id: string): WorkloadStatus['proxy'] {
    return this.#workloads.get(id)?.resource.status?.proxy
  }

  #part(id: string, lastSeen: string | undefined): void {
    const known = this.#workloads.get(id)
    if (known === undefined || this.#leaving.has(id)) return
    this.#leaving.set(
      id,
      this.#clock.after(this.#graceMs, () => this.#end(id)),
    )
    const { health = 'unhealthy', proxy } = known.resource.status ?? {}
    const gone = { ...proxy, connected: false, ...(lastSeen === undefined ? {} : { lastSeen }) }
    this.#attempt(() => this.#setStatus(known.resource, health === 'healthy' ? 'degraded' : health, gone))
  }

  leave(id: string): void {
    this.#leaving.get(id)?.()
    this.#remove(id)
  }

  complete(resource: Resource, old: Resource | undefined): Resource {
    if (!isService(resource)) return resource
    return this.#services.withAddress(resource, (old as Service | undefined)?.spec?.clusterIP) ?? resource
  }

  admit(resource: Resource, old?: Resource): readonly Problem[] {
    if (!isService(resource)) return []
    const address = resource.spec?.clusterIP ?? ''
    if (address === '' || address === 'None' || address === (old as Service | undefined)?.spec?.clusterIP) return []
    const owner = this.#services.otherOwner(resource)
    const says =
      owner !== undefined
        ? `is the address of Service ${owner}`
        : isServiceAddress(address)
          ? undefined
          : `"${address}" is none of the addresses that the mesh gives to Services (240.77.0.0/16): whatever is there would be called here`
    return says === undefined ? [] : [{ path: 'spec.clusterIP', says: `${says}: leave it out, and one that is free is given` }]
  }

  close(): void {
    for (const cancel of this.#leaving.values()) cancel()
    for (const end of this.#ends) end()
    this.#told.clear()
  }

  /** It keeps the one that it has; a proxy that takes nothing in needs none. */
  #addressOf(node: ProxyNode, has: string | undefined): Pick<WorkloadStatus, 'meshAddress'> {
    if (node.ports.every(({ bind }) => bind === undefined)) return {}
    return { meshAddress: has ?? virtualAddress('workload', node.id, address => (this.#addresses.get(address) ?? node.id) !== node.id) }
  }

  #proxyState(node: ProxyNode) {
    return {
      connected: true,
      version: node.version,
      lastSeen: timeOf(this.#clock.now()),
      ...(node.admin === undefined ? {} : { admin: node.admin }),
    }
  }

  #setStatus(resource: WorkloadResource, health: Health, proxy: Parameters<typeof statusOf>[2]): void {
    const status = statusOf(resource.status, health, proxy, this.#clock.now())
    this.#store.transact([{ type: 'update-status', resource: { ...resource, status } }])
  }

  #end(id: string): void {
    const known = this.#workloads.get(id)
    if (known === undefined || !isShown(known.resource, this.#clock.now())) return this.#remove(id)
    this.#attempt(() => this.#setStatus(known.resource, 'unhealthy', known.resource.status?.proxy ?? { connected: false }))
    this.#leaving.set(
      id,
      this.#clock.after(this.#graceMs, () => this.#end(id)),
    )
  }

  #remove(id: string): void {
    this.#leaving.delete(id)
    const known = this.#workloads.get(id)
    if (known === undefined) return
    const { name, namespace = '' } = known.resource.metadata
    const isDone = this.#attempt(() => void this.#store.transact([{ type: 'delete', name: { ...workloadKind, namespace, name } }]))
    if (!isDone)
      this.#leaving.set(
        id,
        this.#clock.after(5000, () => this.#remove(id)),
      )
  }

  /** Where nobody waits for the outcome: a store that cannot be written now is told to the operator. */
  #attempt(write: () => void): boolean {
    try {
      write()
      return true
    } catch (thrown) {
      this.#log.error('the state of a workload could not be written', { reason: thrown instanceof Error ? thrown.message : String(thrown) })
      return false
    }
  }

  #see(resource: WorkloadResource, isGone = false): void {
    const id = idOf(resource)
    const had = this.#workloads.get(id)?.workload.meshAddress
    if (had !== undefined) this.#addresses.delete(had)
    if (!isGone && resource.status?.meshAddress !== undefined) this.#addresses.set(resource.status.meshAddress, id)
    if (isGone) this.#workloads.delete(id)
    else {
      const workload = workloadOf(resource)
      const old = this.#workloads.get(id)?.workload
      const isSame = old !== undefined && JSON.stringify(old) === JSON.stringify(workload)
      this.#workloads.set(id, { resource, workload: isSame ? old : workload })
      if (isSame) return
    }
    this.#inventory = undefined
    for (const told of this.#told) told()
  }

  #gatewayOf(node: ProxyNode): Gateway | undefined {
    const wanted = gatewayOf(node)
    if (wanted === undefined) return undefined
    const { items } = this.#store.list({ kind: gatewayKind })
    return items.find(({ metadata }) => metadata.name === wanted.name && metadata.namespace === wanted.namespace) as Gateway | undefined
  }

  #seeGateway(gateway: Gateway, isGone: boolean): void {
    for (const { resource } of this.#workloads.values()) {
      if (!servesGateway(resource, gateway)) continue
      const marked = markedBy(resource, isGone ? undefined : gateway)
      if (sameTexts(marked, resource)) continue
      this.#attempt(() => void this.#store.transact([{ type: 'update', resource: marked }]))
    }
  }

  #seeService(service: Service, isGone: boolean): void {
    this.#services.see(service, isGone)
    if (!isGone) this.#giveAddress(service)
  }

  #giveAddress(service: Service): void {
    const addressed = this.#services.give(service)
    if (addressed === undefined) return
    const operation: Operation = { type: 'update', resource: addressed }
    this.#attempt(() => void this.#store.transact([operation]))
  }
}

/** A proxy that comes back is believed to be as before until it reports: else a restart of the control plane would leave every service without endpoints. */
function healthAtFirst(node: ProxyNode, before: Health | undefined): Health {
  const { type } = node.probe
  const isAsked = type === 'tcp' ? node.ports.some(({ protocol }) => protocol !== 'udp') : type !== 'none'
  if (!isAsked) return 'healthy'
  return before === 'healthy' || before === 'degraded' ? before : 'unhealthy'
}

const isService = (resource: Resource): resource is Service => resource.kind === 'Service' && resource.apiVersion === 'v1'

const timeOf = (ms: number): string => new Date(ms).toISOString().replace(/\.\d+Z$/, 'Z')
