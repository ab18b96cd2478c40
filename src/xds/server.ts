/**
 * The control plane's end of one ADS stream, without a socket: who watches what, what was sent, what was taken or refused.
 *
 *   setSnapshot ──▶ wait until all that was sent is answered ──▶ send the differences ──▶ answers ──▶ `progress.active` is the revision
 *
 * Only what changed and is watched is sent. The order makes before it breaks: new clusters, their endpoints, secrets, listeners, routes, and
 * only then removals of endpoints and clusters. While answers are outstanding newer snapshots wait and overtake each other, so a slow proxy gets fewer,
 * larger steps and never a mixture of two.
 *
 * Delta and state of the world (xDS transport protocol, envoyproxy.io/docs/envoy/latest/api-docs/xds_protocol) differ in how names are given
 * and in that a reply about listeners or clusters must be complete in the latter.
 */

import type { Resources } from './encode.ts'
import type { DeltaReply, DeltaRequest, Refusal, StateRequest } from './messages.ts'
import type { Node } from './node.ts'
import { difference, type Snapshot, snapshotOf } from './server/snapshot.ts'
import { Watch } from './server/watch.ts'
import { type EncodedResource, type TypeUrl, typeUrls } from './types.ts'

export { type Snapshot, snapshotOf }

export type ServerEvent =
  /** Who it is; comes once, from the first request. */
  { readonly type: 'node'; readonly node: Node } | { readonly type: 'rejected'; readonly resources: readonly Rejection[] }

export type Rejection = { readonly typeUrl: string; readonly resource: string; readonly reason: string; readonly version: string }

export type Progress = {
  /** The newest revision of which the client has taken everything; 0: none yet. */
  readonly active: number
  /** The revision that it is to have. */
  readonly wanted: number
  readonly rejected: readonly Rejection[]
}

const adding: readonly TypeUrl[] = [typeUrls.cluster, typeUrls.endpoints, typeUrls.secret, typeUrls.listener, typeUrls.route]
/** Their removals wait until nothing leads to them. */
const removedLast: readonly TypeUrl[] = [typeUrls.endpoints, typeUrls.cluster]
const empty: Resources = new Map()

type Sent = { readonly typeUrl: string; readonly resources: readonly EncodedResource[]; readonly removed: readonly string[] }

export class AdsServer {
  readonly #mode: 'delta' | 'state'
  readonly #watches = new Map<string, Watch>()
  readonly #unanswered = new Map<string, Sent>()
  readonly #rejected = new Map<string, Rejection>()
  #node: Node | undefined
  #pushed: Snapshot | undefined
  #wanted: Snapshot | undefined
  #active = 0
  #nonce = 0
  #out: DeltaReply[] = []

  constructor(mode: 'delta' | 'state') {
    this.#mode = mode
  }

  get progress(): Progress {
    return { active: this.#active, wanted: this.#wanted?.revision ?? 0, rejected: [...this.#rejected.values()] }
  }

  /** It has answered all that it is to have; what it refused it will not have. */
  get isSettled(): boolean {
    return this.#wanted !== undefined && this.#wanted === this.#pushed && this.#unanswered.size === 0
  }

  /** What the client is to have from now on. */
  setSnapshot(snapshot: Snapshot): void {
    this.#wanted = snapshot
    this.#advance()
  }

  receive(request: DeltaRequest): ServerEvent[] {
    const events = this.#meet(request.node)
    const watch = this.#watch(request.typeUrl)
    events.push(...this.#answer(request.nonce, request.error))
    const fresh = watch.change(request)
    if (this.#pushed !== undefined) this.#reply(request.typeUrl, watch, fresh, watch.isFirstReply)
    this.#advance()
    return events
  }

  /** State of the world. A request that answers an older reply than the last is passed over: a newer one is on its way. */
  receiveState(request: StateRequest): ServerEvent[] {
    const events = this.#meet(request.node)
    const watch = this.#watch(request.typeUrl)
    if (request.nonce !== '' && request.nonce !== watch.lastNonce) return events
    events.push(...this.#answer(request.nonce, request.error))
    const fresh = watch.replace(request.typeUrl, request.names)
    if (this.#pushed !== undefined) this.#reply(request.typeUrl, watch, fresh, watch.isFirstReply)
    this.#advance()
    return events
  }

  /** What is owed to the client; taking it empties the list. In state-of-the-world mode `removed` is always empty. */
  drain(): DeltaReply[] {
    const out = this.#out
    this.#out = []
    return out
  }

  #meet(node: Node | undefined): ServerEvent[] {
    if (this.#node !== undefined || node === undefined) return []
    this.#node = node
    return [{ type: 'node', node }]
  }

  #watch(typeUrl: string): Watch {
    let watch = this.#watches.get(typeUrl)
    if (watch === undefined) this.#watches.set(typeUrl, (watch = new Watch()))
    return watch
  }

  #answer(nonce: string, error: Refusal | undefined): ServerEvent[] {
    const sent = this.#unanswered.get(nonce)
    if (sent === undefined) return [] // no answer, or one to a reply of another stream
    this.#unanswered.delete(nonce)
    const refused = error === undefined ? [] : refusedOf(sent, error)
    if (refused[0]?.resource === everything && this.#mode === 'delta' && sent.resources.length > 1) {
      this.#sendAlone(sent)
      return []
    }
    const names = new Set(refused.map(({ resource }) => resource))
    for (const { name } of sent.resources) if (!names.has(name)) this.#rejected.delete(`${sent.typeUrl} ${name}`)
    for (const rejection of refused) this.#rejected.set(`${rejection.typeUrl} ${rejection.resource}`, rejection)
    return refused.length > 0 ? [{ type: 'rejected', resources: refused }] : []
  }

  /** Envoy does not always say which resource it does not take: sent one by one, each has an answer of its own, and what is good is in place. */
  #sendAlone({ typeUrl, resources, removed }: Sent): void {
    const watch = this.#watch(typeUrl)
    if (removed.length > 0) this.#send(typeUrl, watch, [], removed)
    for (const resource of resources) this.#send(typeUrl, watch, [resource], [])
  }

  /** Goes to the wanted snapshot once all that was sent is answered. */
  #advance(): void {
    if (this.#wanted === undefined || this.#unanswered.size > 0) return
    this.#conclude()
    if (this.#wanted !== this.#pushed) this.#push(this.#pushed, this.#wanted)
    this.#conclude()
  }

  /** Envoy asks for listeners only when its clusters are warm: before that it has not taken everything. */
  #conclude(): void {
    const hasBegun = this.#watches.get(typeUrls.listener)?.isFirstReply === false
    if (this.#pushed !== undefined && hasBegun && this.#unanswered.size === 0 && this.#rejected.size === 0)
      this.#active = this.#pushed.revision
  }

  #push(from: Snapshot | undefined, to: Snapshot): void {
    this.#pushed = to
    if (from === undefined) {
      for (const typeUrl of [...adding, ...this.#watches.keys()]) {
        const watch = this.#watches.get(typeUrl)
        if (watch?.isFirstReply) this.#reply(typeUrl, watch, watch.names, true)
      }
      return
    }
    const differences = new Map(adding.map(typeUrl => [typeUrl, difference(from.resources[typeUrl], to.resources[typeUrl])]))
    const updated = differences.get(typeUrls.cluster)!.changed
    for (const typeUrl of adding) {
      const watch = this.#watches.get(typeUrl)
      if (watch === undefined) continue
      const { changed, removed } = differences.get(typeUrl)!
      const resources = changed.filter(({ name }) => watch.has(name))
      // Envoy warms a cluster that was updated until its endpoints are sent again, changed or not.
      if (typeUrl === typeUrls.endpoints && updated.length > 0)
        resources.push(...again(updated, to.resources[typeUrl], from.resources[typeUrl], watch, resources))
      const gone = removedLast.includes(typeUrl) ? [] : removed.filter(name => watch.has(name))
      this.#send(typeUrl, watch, resources, gone)
    }
    for (const typeUrl of removedLast) {
      const watch = this.#watches.get(typeUrl)
      if (watch !== undefined)
        this.#send(
          typeUrl,
          watch,
          [],
          differences.get(typeUrl)!.removed.filter(name => watch.has(name)),
        )
    }
  }

  /** To names asked for: what there is of them, and which there are not. */
  #reply(typeUrl: string, watch: Watch, names: Iterable<string>, isFirst: boolean): void {
    const all = this.#resources(typeUrl)
    const resources: EncodedResource[] = []
    const missing: string[] = []
    if (watch.isWildcard && (isFirst || watch.takeWildcardAsked())) {
      for (const resource of all.values()) if (!watch.alreadyHas(resource)) resources.push(resource)
      missing.push(...watch.unknownTo(all))
    }
    for (const name of names) {
      const resource = all.get(name)
      if (resource === undefined) missing.push(name)
      else if (!watch.alreadyHas(resource) && !(watch.isWildcard && isFirst)) resources.push(resource)
    }
    watch.replied()
    this.#send(typeUrl, watch, resources, missing, isFirst && watch.isWildcard)
  }

  #resources(typeUrl: string): Resources {
    return this.#pushed?.resources[typeUrl as TypeUrl] ?? empty
  }

  #send(typeUrl: string, watch: Watch, changed: readonly EncodedResource[], removed: readonly string[], evenEmpty = false): void {
    for (const name of removed) this.#rejected.delete(`${typeUrl} ${name}`)
    let resources = changed
    if (this.#mode === 'state') {
      const whole = typeUrl === typeUrls.listener || typeUrl === typeUrls.cluster
      if (whole && (changed.length > 0 || removed.length > 0))
        resources = [...this.#resources(typeUrl).values()].filter(({ name }) => watch.has(name))
      else if (changed.length === 0 && !evenEmpty) return // that a named resource is gone cannot be said
      removed = []
    } else if (changed.length === 0 && removed.length === 0 && !evenEmpty) return
    const nonce = String(++this.#nonce)
    watch.lastNonce = nonce
    this.#unanswered.set(nonce, { typeUrl, resources, removed })
    this.#out.push({ typeUrl, nonce, version: String(this.#pushed!.revision), resources, removed })
  }
}

function again(
  clusters: readonly EncodedResource[],
  sets: Resources,
  old: Resources,
  watch: Watch,
  sent: readonly EncodedResource[],
): EncodedResource[] {
  const already = new Set(sent)
  return clusters.flatMap(({ name }) => {
    const set = sets.get(name)
    return set === undefined || !old.has(name) || already.has(set) || !watch.has(name) ? [] : [set]
  })
}

/** In place of a name. */
const everything = '*'

/** Lines `RESOURCE: reason`, as Weft's client writes them; else any sent resource that the text names, as Envoy does; else the whole reply. */
function refusedOf({ typeUrl, resources }: Sent, { message }: Refusal): Rejection[] {
  const lines = message.split('\n')
  const found = resources.flatMap(({ name, version }): Rejection[] => {
    const line = lines.find(line => line.startsWith(`${name}: `))
    if (line !== undefined) return [{ typeUrl, resource: name, version, reason: line.slice(name.length + 2) }]
    return lines.some(line => names(line, name)) && !lines.some(line => resources.some(other => line.startsWith(`${other.name}: `)))
      ? [{ typeUrl, resource: name, version, reason: message.trim() }]
      : []
  })
  const [only] = resources
  if (found.length > 0) return found
  return resources.length === 1 && only !== undefined
    ? [{ typeUrl, resource: only.name, version: only.version, reason: message.trim() }]
    : [{ typeUrl, resource: everything, version: '', reason: message.trim() }]
}

/** As a whole word: `a:80` is not named by `a:8080`. */
function names(line: string, name: string): boolean {
  for (let at = line.indexOf(name); at >= 0; at = line.indexOf(name, at + 1)) {
    if (!/[\w/.-]/.test(line[at - 1] ?? ' ') && !/[\w/-]/.test(line[at + name.length] ?? ' ')) return true
  }
  return false
}
