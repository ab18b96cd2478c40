/**
 * The proxy's end of delta ADS, without a socket: what to ask for, what is taken or refused, and the view that results.
 *
 *   open ──▶ subscribe to * of listeners and clusters, to ROOTCA ──▶ replies name route tables and endpoints ──▶ subscribe to those
 *
 * Every reply is acknowledged. A resource that cannot be carried out is refused by name (NACK) and its last good value stays. A value whose
 * needs are still under way waits beside the one it replaces (`warm`), so that nothing ever leads to what is not there yet: clusters
 * with their endpoints first, then listeners with their routes. What was removed goes last, when nothing leads to it any more. After
 * `patienceMs` a value is put to use whatever it lacks.
 *
 * A new stream says what is already here (initial_resource_versions), so that nothing unchanged is sent again.
 */

import { emptyView, type View } from '#model/view'
import { Holdings } from './client/holdings.ts'
import type { Shelf } from './client/shelf.ts'
import { decodeResource } from './decode.ts'
import type { DeltaRequest, ReceivedDelta } from './messages.ts'
import type { Node } from './node.ts'
import { revokedSecret, rootSecret, type TypeUrl, typeUrls } from './types.ts'

export { Shelf } from './client/shelf.ts'

export type ClientEvent =
  /** A new view; parts that did not change are the same objects. `ready`: it is whole, all that it names is there. */
  | { readonly type: 'view'; readonly view: View; readonly ready: boolean }
  | { readonly type: 'rejected'; readonly typeUrl: string; readonly resource: string; readonly reason: string }

export type AdsClientOptions = {
  readonly node: Node
  /** How long a value waits for what it needs; 15 s unless said, as Envoy's initial_fetch_timeout. */
  readonly patienceMs?: number
  /** Shared with other clients of this process. */
  readonly shelf?: Shelf
}

const order: readonly TypeUrl[] = [typeUrls.cluster, typeUrls.endpoints, typeUrls.secret, typeUrls.listener, typeUrls.route]
const wildcards: readonly TypeUrl[] = [typeUrls.cluster, typeUrls.listener]

export class AdsClient {
  readonly #node: Node
  readonly #patienceMs: number
  readonly #shelf: Shelf | undefined
  readonly #held = new Holdings()
  /** What is subscribed by name on this stream. */
  readonly #asked = new Map<TypeUrl, Set<string>>(order.map(type => [type, new Set()]))
  /** The types for which this stream has carried a request: the first one says what is here already. */
  readonly #begun = new Set<TypeUrl>()
  #out: DeltaRequest[] = []
  #isOpen = false
  #view: View = emptyView
  #ready = false
  #waitsUntil: number | undefined

  constructor({ node, patienceMs = 15_000, shelf }: AdsClientOptions) {
    this.#node = node
    this.#shelf = shelf
    this.#patienceMs = patienceMs
  }

  /** The newest view that was put to use. */
  get view(): View {
    return this.#view
  }

  /** Once true it stays true: a proxy that has served goes on, also without a control plane. */
  get ready(): boolean {
    return this.#ready
  }

  get deadline(): number | undefined {
    return this.#waitsUntil
  }

  /** A stream is open; `drain` has what to send on it first. */
  open(now: number): void {
    this.#isOpen = true
    this.#out = []
    for (const asked of this.#asked.values()) asked.clear()
    this.#begun.clear()
    for (const typeUrl of [typeUrls.cluster, typeUrls.secret, typeUrls.listener]) {
      const names = typeUrl === typeUrls.secret ? [rootSecret, revokedSecret] : ['*']
      this.#ask(typeUrl, names, [])
    }
    this.#follow()
    if (!this.#ready) this.#wait(now)
  }

  /** The stream has ended. The view stays. */
  close(): void {
    this.#isOpen = false
    this.#out = []
    this.#waitsUntil = undefined
  }

  receive(reply: ReceivedDelta, now: number): ClientEvent[] {
    if (!this.#isOpen) return []
    const typeUrl = order.find(type => type === reply.typeUrl)
    if (typeUrl === undefined) {
      this.#acknowledge(reply, [`${reply.typeUrl} is not carried out by this proxy`])
      return [{ type: 'rejected', typeUrl: reply.typeUrl, resource: '*', reason: 'unknown type' }]
    }
    const events: ClientEvent[] = []
    const refused: string[] = []
    for (const { name, version, typeUrl: found, body } of reply.resources) {
      if (this.#held.has(typeUrl, name, version)) continue
      const decode = () => decodeResource(typeUrl, name, body)
      const decoded =
        found === typeUrl
          ? (this.#shelf?.find(typeUrl, name, body, decode) ?? decode())
          : { rejected: `announced as ${typeUrl}, but is ${found}` }
      if ('part' in decoded) {
        this.#held.take(typeUrl, name, version, decoded.part)
        continue
      }
      this.#held.reject(typeUrl, name)
      refused.push(`${name}: ${decoded.rejected}`)
      events.push({ type: 'rejected', typeUrl, resource: name, reason: decoded.rejected })
    }
    for (const name of reply.removed) this.#held.remove(typeUrl, name)
    if (wildcards.includes(typeUrl)) this.#held.answered(typeUrl)
    this.#follow() // before the acknowledgement: the server must know what is still to come when it reads that this was taken
    this.#acknowledge(reply, refused)
    const settled = this.#settle(now, false)
    this.#follow() // what is no more in use is no more asked for
    return [...events, ...settled]
  }

  /** Patience is at its end: what waits is put to use as it is. */
  expire(now: number): ClientEvent[] {
    if (this.#waitsUntil === undefined || now < this.#waitsUntil) return []
    this.#waitsUntil = undefined
    return this.#settle(now, true)
  }

  /** What is owed to the server; taking it empties the list. */
  drain(): DeltaRequest[] {
    const out = this.#out
    this.#out = []
    return out
  }

  /** Asks by name for what the clusters and listeners here refer to, and for nothing else. */
  #follow(): void {
    this.#askExactly(typeUrls.endpoints, this.#held.wantedEndpoints())
    this.#askExactly(typeUrls.route, this.#held.wantedRoutes())
  }

  #askExactly(typeUrl: TypeUrl, wanted: ReadonlySet<string>): void {
    const asked = this.#asked.get(typeUrl)!
    const fresh = [...wanted].filter(name => !asked.has(name))
    const gone = [...asked].filter(name => !wanted.has(name))
    if (fresh.length === 0 && gone.length === 0) return
    for (const name of fresh) asked.add(name)
    for (const name of gone) {
      asked.delete(name)
      this.#held.forget(typeUrl, name)
    }
    this.#ask(typeUrl, fresh, gone)
  }

  #ask(typeUrl: TypeUrl, subscribe: readonly string[], unsubscribe: readonly string[]): void {
    const node = this.#begun.size === 0 ? { node: this.#node } : {}
    const initialVersions = this.#begun.has(typeUrl) ? {} : this.#held.versions(typeUrl)
    this.#begun.add(typeUrl)
    this.#out.push({ typeUrl, ...node, subscribe, unsubscribe, initialVersions, nonce: '' })
  }

  #acknowledge({ typeUrl, nonce }: ReceivedDelta, refused: readonly string[]): void {
    const error = refused.length > 0 ? { error: { code: 3, message: refused.join('\n') } } : {} // 3: INVALID_ARGUMENT
    this.#out.push({ typeUrl, subscribe: [], unsubscribe: [], initialVersions: {}, nonce, ...error })
  }

  #settle(now: number, impatient: boolean): ClientEvent[] {
    const { view, waiting, whole } = this.#held.settle(impatient)
    const becomesReady = !this.#ready && whole
    if (waiting) this.#wait(now)
    else this.#waitsUntil = undefined
    // Half a first view is not served, unless patience has run out.
    if (!this.#ready && !whole && !impatient && this.#view === emptyView) return []
    if (view === this.#view && !becomesReady) return []
    this.#view = view
    this.#ready ||= whole
    return [{ type: 'view', view, ready: this.#ready }]
  }

  #wait(now: number): void {
    this.#waitsUntil ??= now + this.#patienceMs
  }
}
