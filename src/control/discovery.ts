/**
 * The xDS service of the control plane: proxies connect here, are who their certificate says, register with the platform, and get their views.
 *
 *   stream ──node──▶ identity fits? ──▶ register ──▶ snapshot, and again after each compile ──▶ answers ──▶ status, convergence
 *
 * A proxy that ends its stream in order takes its leave; one whose stream breaks is given time to come back.
 */

import type { Convergence, ProxyConfig, ProxyStatus } from '#api/mesh-api'
import type { Clock } from '#base/clock'
import { defaultIdTemplate } from '#base/id-template'
import type { Log } from '#base/log'
import { BadInput } from '#base/note'
import { type Call, type GrpcStream, rpcCodes, type Service, stream, type StreamEvents } from '#io/grpc'
import { withoutKeys } from '#model/redact'
import type { ProxyNode } from '#model/workload'
import type { Platform } from '#platforms/platform'
import type { DeltaReply, DeltaRequest, StateReply, StateRequest } from '#xds/messages'
import { type Node, proxyNodeOf } from '#xds/node'
import { serveDelta, serveState } from '#xds/rpcs'
import { AdsServer, type ServerEvent } from '#xds/server'
import type { CompileLoop } from './compile-loop.ts'
import { Connection } from './discovery/connection.ts'
import { refusalOf, unboundRefusal } from './discovery/identity.ts'

export type DiscoveryOptions = {
  readonly loop: CompileLoop
  readonly platform: Platform
  readonly clock: Clock
  readonly log: Log
  /** Of the ids of the mesh; absent: the default. */
  readonly idTemplate?: string
  /** The labels that the holder of a certificate must have; absent: any. */
  readonly boundTo?: (serial: string) => string | undefined
}

export class Discovery {
  readonly #options: DiscoveryOptions
  readonly #connections = new Map<string, Connection>()
  /** Proxies that are gone, as they were, while their workload is still in the inventory. */
  readonly #gone = new Map<string, ProxyStatus>()
  readonly #ends: (() => void)[]
  /** For serveGrpc: delta and state-of-the-world aggregated discovery. */
  readonly services: readonly Service[]

  constructor(options: DiscoveryOptions) {
    this.#options = options
    this.services = [
      stream(serveDelta, (out, call) =>
        this.#open(new AdsServer('delta'), out, call, (server, request: DeltaRequest) => server.receive(request)),
      ),
      stream(serveState, (out, call) =>
        this.#open(new AdsServer('state'), out, call, (server, request: StateRequest) => server.receiveState(request)),
      ),
    ]
    options.loop.learnsProxies(() => this.proxies)
    this.#ends = [
      options.loop.onCompiled(() => {
        for (const connection of this.#connections.values()) this.#follow(connection)
      }),
      options.platform.onChange(() => this.#forget()),
    ]
  }

  /** All proxies: connected ones, and those whose workload still waits for them. In order of id. */
  get proxies(): readonly ProxyStatus[] {
    const revision = this.#options.loop.current?.revision ?? 0
    const found = new Map<string, ProxyStatus>(this.#gone)
    for (const { name, namespace, service, identity, health } of this.#options.platform.inventory.workloads) {
      const id = `${name}.${namespace}`
      const connection = this.#connections.get(id)
      const before = found.get(id) ?? this.#remembered(id)
      if (connection !== undefined) found.set(id, connection.status(health))
      else if (before !== undefined) found.set(id, { ...before, workload: name, namespace, service, identity, wanted: revision, health })
    }
    return [...found.values()].sort((a, b) => (a.id < b.id ? -1 : 1))
  }

  /** A proxy from before this control plane started. */
  #remembered(id: string): Pick<ProxyStatus, 'id' | 'version' | 'state' | 'lastSeen' | 'active' | 'rejected' | 'admin'> | undefined {
    const known = this.#options.platform.lastKnown(id)
    if (known === undefined) return undefined
    const { version = '', lastSeen = '', admin } = known
    return { id, version, state: 'disconnected', lastSeen, active: 0, rejected: [], ...(admin === undefined ? {} : { admin }) }
  }

  /** Who has the revision active: of the connected proxies. Those that refuse something do not, but need not be waited for. */
  convergence(revision: number): Convergence {
    const pending: string[] = []
    const rejected: { proxy: string; resource: string; reason: string }[] = []
    let active = 0
    for (const [id, { progress }] of this.#connections) {
      if (progress.active >= revision) active++
      else if (progress.rejected.length > 0 && progress.wanted >= revision)
        rejected.push(...progress.rejected.map(({ resource, reason }) => ({ proxy: id, resource, reason })))
      else pending.push(id)
    }
    return { revision, total: this.#connections.size, active, pending: pending.sort(), rejected }
  }

  /** The view that was compiled for a connected proxy. */
  configOf(id: string): ProxyConfig | undefined {
    const connection = this.#connections.get(id)
    return connection?.view && { id, revision: connection.progress.wanted, view: withoutKeys(connection.view) }
  }

  /** Ids of connected proxies that are Envoys, in order. */
  get envoys(): readonly string[] {
    return [...this.#connections.values()].flatMap(({ node }) => (node.isEnvoy === true ? [node.id] : [])).sort()
  }

  /** Whether this proxy has all that was compiled for it; absent: all that are connected. */
  isSettled(id?: string): boolean {
    if (id !== undefined) return this.#connections.get(id)?.isSettled === true
    return this.#connections.values().every(each => each.isSettled)
  }

  /** For services that proxies speak beside ADS: who this is, if it is connected with that identity. */
  nodeOf(id: string): ProxyNode | undefined {
    return this.#connections.get(id)?.node
  }

  /** Tells connected proxies to come back in a moment; their workloads stay. */
  close(): void {
    for (const end of this.#ends) end()
    for (const connection of this.#connections.values()) connection.end(rpcCodes.unavailable, 'the control plane is shutting down')
    this.#connections.clear()
  }

  #open<Request>(
    server: AdsServer,
    out: GrpcStream<DeltaReply> | GrpcStream<StateReply>,
    call: Call,
    receive: (server: AdsServer, request: Request) => ServerEvent[],
  ): StreamEvents<Request> {
    let connection: Connection | undefined
    let isRefused = false
    const flush = (): void => {
      for (const reply of server.drain()) out.send(reply)
    }
    return {
      message: request => {
        if (isRefused) return
        for (const event of receive(server, request)) {
          if (event.type === 'node') connection = this.#meet(event.node, server, out, call, flush)
          else if (connection !== undefined) {
            connection.refused(event.resources)
            for (const { resource, reason } of event.resources)
              this.#options.log.warn('a proxy refuses a resource', { proxy: connection.node.id, resource, reason })
          }
        }
        if (connection === undefined) {
          isRefused = true
          return out.end({ code: rpcCodes.failedPrecondition, details: 'the first request of a stream must tell the node' })
        }
        connection.seen()
        if (connection.hasMoved) this.#options.loop.restate()
        flush()
      },
      end: ({ code }) => {
        if (code === rpcCodes.ok) out.end()
        if (connection === undefined || this.#connections.get(connection.node.id) !== connection) return
        this.#part(connection, code === rpcCodes.ok)
      },
    }
  }

  /** Undefined: the stream has been ended with the reason. */
  #meet(said: Node, server: AdsServer, out: { end: GrpcStream<unknown>['end'] }, call: Call, flush: () => void): Connection | undefined {
    const { platform, loop, clock, log } = this.#options
    const refuse = (code: number, details: string): undefined => {
      log.warn('a proxy is refused', { node: said.id, peer: call.peer, from: call.address, reason: details })
      out.end({ code, details })
    }
    let node: ProxyNode
    try {
      node = proxyNodeOf(said)
      const bound = call.certificate && this.#options.boundTo?.(call.certificate.serial)
      const reason = refusalOf(node, call.peer, this.#options.idTemplate ?? defaultIdTemplate) ?? unboundRefusal(node, bound)
      if (reason !== undefined) return refuse(rpcCodes.permissionDenied, reason)
      platform.register(node, call.peer!)
    } catch (thrown) {
      if (thrown instanceof BadInput) return refuse(rpcCodes.invalidArgument, thrown.message)
      return refuse(
        rpcCodes.unavailable,
        `the workload could not be registered: ${thrown instanceof Error ? thrown.message : String(thrown)}`,
      )
    }
    const connection = new Connection({
      node,
      identity: call.peer!,
      server,
      flush,
      end: (code, details) => out.end({ code, details }),
      clock,
    })
    const old = this.#connections.get(node.id)
    this.#connections.set(node.id, connection)
    this.#gone.delete(node.id)
    old?.end(rpcCodes.cancelled, 'a newer stream of this proxy has taken over')
    log.info('a proxy is connected', { proxy: node.id, identity: call.peer, version: node.version, from: call.address })
    this.#follow(connection)
    loop.restate()
    return connection
  }

  /** What cannot be cut or encoded for one proxy is a bug, and no reason to leave the others, and whoever could undo it, without a control plane. */
  #follow(connection: Connection): void {
    try {
      connection.follow(this.#options.loop)
    } catch (thrown) {
      this.#options.log.error('a proxy cannot be told what was compiled; it keeps what it has', {
        proxy: connection.node.id,
        reason: thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown),
      })
    }
  }

  #part(connection: Connection, inOrder: boolean): void {
    const { platform, log } = this.#options
    const { id } = connection.node
    this.#connections.delete(id)
    if (!inOrder) this.#gone.set(id, { ...connection.status('degraded'), state: 'disconnected' })
    log.info(inOrder ? 'a proxy took its leave' : 'a proxy is gone', { proxy: id })
    if (inOrder) platform.leave(id)
    else platform.disconnect(id)
    this.#options.loop.restate()
  }

  /** A proxy whose workload was removed is no more spoken of. */
  #forget(): void {
    if (this.#gone.size === 0) return
    const known = new Set(this.#options.platform.inventory.workloads.map(({ name, namespace }) => `${name}.${namespace}`))
    for (const id of this.#gone.keys()) if (!known.has(id)) this.#gone.delete(id)
  }
}
