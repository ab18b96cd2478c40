/** One connected proxy: its stream's machine, its view, and what is told of it. */

import type { ProxyStatus } from '#api/mesh-api'
import type { Clock } from '#base/clock'
import { lackingIn } from '#compiler'
import { lacks, tellLack } from '#model/envoy'
import type { View } from '#model/view'
import type { ProxyNode } from '#model/workload'
import { type AdsServer, type Progress, type Rejection, type Snapshot, snapshotOf } from '#xds/server'
import type { CompileLoop, Cut } from '../compile-loop.ts'
import { StandIns } from './stand-ins.ts'

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
  /** The view as it was sent. */
  #sent: View | undefined
  #revision = 0
  /** The newest revision that it had whole before something stood in. */
  #whole = 0
  /** From this one on what the stream says holds again. */
  #resumes = 0
  #snapshot: Snapshot | undefined
  readonly #standIns = new StandIns()
  #moved = ''

  constructor(options: ConnectionOptions) {
    this.#options = options
    this.node = options.node
    this.#connectedAt = this.#lastSeen = this.#now()
  }

  get view(): View | undefined {
    return this.#sent
  }

  get progress(): Progress {
    const { progress } = this.#options.server
    const { rejected } = this.#standIns
    if (rejected.length === 0 && progress.active >= this.#resumes) {
      this.#whole = progress.active
      return progress
    }
    const known = new Set(rejected.map(({ typeUrl, resource }) => `${typeUrl} ${resource}`))
    const others = progress.rejected.filter(({ typeUrl, resource }) => !known.has(`${typeUrl} ${resource}`))
    return { ...progress, active: Math.min(progress.active, this.#whole), rejected: [...rejected, ...others] }
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
    this.#cut = loop.cut(this.node, this.#cut)
    if (this.#cut === undefined || loop.current === undefined) return
    this.#revision = loop.current.revision
    this.#send(this.#cut.view)
    this.#options.flush()
  }

  #send(compiled: View): void {
    if (this.#standIns.rejected.length > 0) this.#resumes = this.#revision
    const view = this.node.isEnvoy === true ? this.#standIns.over(compiled) : compiled
    this.#snapshot = snapshotOf(view, this.#revision)
    this.#sent = view
    this.#options.server.setSnapshot(this.#snapshot)
  }

  seen(): void {
    this.#lastSeen = this.#now()
    const { server } = this.#options
    if (this.node.isEnvoy === true && this.#sent !== undefined && server.isSettled)
      this.#standIns.settled(this.#sent, server.progress.rejected)
  }

  /** What it refuses it does not have. An Envoy gets something else in its place where it would let in who is to be kept out. */
  refused(resources: readonly Rejection[]): void {
    for (const { typeUrl, resource } of resources) this.#refusedAt.set(`${typeUrl} ${resource}`, this.#now())
    const compiled = this.#cut?.view
    if (this.node.isEnvoy !== true || compiled === undefined) return
    // Of what has become another since then it is heard again.
    const known = this.#snapshot?.resources as Readonly<Record<string, ReadonlyMap<string, { readonly version: string }>>> | undefined
    const current = resources.filter(
      ({ typeUrl, resource, version }) => version === '' || known?.[typeUrl]?.get(resource)?.version === version,
    )
    if (this.#standIns.refused(current, compiled)) this.#send(compiled)
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
      ...lackingOf(this.#cut?.view),
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
