/** One connected proxy: its stream's machine, its view, and what is told of it. */

import type { ProxyStatus } from '#api/mesh-api'
import type { Clock } from '#base/clock'
import { lackingIn } from '#compiler'
import { lacks, tellLack } from '#model/envoy'
import type { View } from '#model/view'
import type { ProxyNode } from '#model/workload'
import { type AdsServer, type Progress, type Rejection, snapshotOf } from '#xds/server'
import type { CompileLoop, Cut } from '../compile-loop.ts'

export type ConnectionOptions = {
  readonly node: ProxyNode
  readonly identity: string
  readonly server: AdsServer
  /** Sends what the machine owes. */
  readonly flush: () => void
  readonly end: (code: number, details: string) => void
  readonly clock: Clock
}

export class Connection {
  readonly node: ProxyNode
  readonly #options: ConnectionOptions
  readonly #connectedAt: string
  readonly #refusedAt = new Map<string, string>()
  #lastSeen: string
  #cut: Cut | undefined
  #moved = ''

  constructor(options: ConnectionOptions) {
    this.#options = options
    this.node = options.node
    this.#connectedAt = this.#lastSeen = this.#now()
  }

  get view(): View | undefined {
    return this.#cut?.view
  }

  get progress(): Progress {
    return this.#options.server.progress
  }

  /** Whether it acknowledged or refused anything since that was last asked. */
  get hasMoved(): boolean {
    const { active, rejected } = this.progress
    const now = `${active} ${rejected.map(({ typeUrl, resource }) => `${typeUrl} ${resource}`).join()}`
    if (now === this.#moved) return false
    this.#moved = now
    return true
  }

  /** It has answered for everything of the newest compilation. */
  get isSettled(): boolean {
    return this.#options.server.isSettled
  }

  /** Takes the newest compilation; sends what of it is new to this proxy. */
  follow(loop: CompileLoop): void {
    const { server, flush } = this.#options
    this.#cut = loop.cut(this.node, this.#cut)
    if (this.#cut === undefined || loop.current === undefined) return
    server.setSnapshot(snapshotOf(this.#cut.view, loop.current.revision))
    flush()
  }

  seen(): void {
    this.#lastSeen = this.#now()
  }

  refused(resources: readonly Rejection[]): void {
    for (const { typeUrl, resource } of resources) this.#refusedAt.set(`${typeUrl} ${resource}`, this.#now())
  }

  end(code: number, details: string): void {
    this.#options.end(code, details)
  }

  status(health: ProxyStatus['health']): ProxyStatus {
    const { id, workload, namespace, service, version, admin } = this.node
    const { active, wanted, rejected } = this.progress
    return {
      id,
      workload,
      namespace,
      service,
      version,
      state: rejected.length > 0 ? 'rejected' : active < wanted || wanted === 0 ? 'pending' : 'synced',
      connectedAt: this.#connectedAt,
      lastSeen: this.#lastSeen,
      wanted,
      active,
      rejected: rejected.map(({ typeUrl, resource, reason }) => ({
        type: typeUrl.slice(typeUrl.lastIndexOf('.') + 1),
        resource,
        reason,
        at: this.#refusedAt.get(`${typeUrl} ${resource}`) ?? this.#lastSeen,
      })),
      ...lackingOf(this.view),
      health,
      identity: this.#options.identity,
      ...(admin === undefined ? {} : { admin }),
    }
  }

  #now(): string {
    return new Date(this.#options.clock.now()).toISOString()
  }
}

function lackingOf(view: View | undefined): Pick<ProxyStatus, 'lacking'> {
  const lacking = view === undefined ? [] : lackingIn(view)
  if (lacking.length === 0) return {}
  return { lacking: lacking.map(lack => ({ kind: lack.kind, name: lack.name, fate: lacks[lack.what].fate, says: tellLack(lack) })) }
}
