/**
 * From what operators wrote and what runs to what each proxy is to have: compiles after changes, writes the outcome into statuses, cuts views.
 *
 *   store commit, inventory, roots ──▶ wait for more (10 to 50 ms, longer when compiling is slow) ──▶ compile ──▶ statuses, `onCompiled`
 *
 * What did not change is the same object from one compile to the next, down to a proxy's view, so that nothing is encoded or sent twice.
 */

import type { ProxyStatus } from '#api/mesh-api'
import { type Clock, longestTimerMs } from '#base/clock'
import type { Log } from '#base/log'
import {
  type Compiled,
  type CompileOptions,
  compile,
  endpointsFor,
  joinStatus,
  type Note,
  type OrderedCertificate,
  type PolicyQuestion,
  type ResourceStatus,
  type Stated,
  tellPolicies,
  viewFor,
} from '#compiler'
import type { Mesh } from '#model/mesh'
import type { PoliciesTold } from '#model/policies-told'
import type { View } from '#model/view'
import type { Inventory, ProxyNode } from '#model/workload'
import type { Platform } from '#platforms/platform'
import type { Resource } from '#resources/kind'
import { apiVersionOf } from '#resources/kind'
import { kindOf, kinds } from '#resources/registry'
import { Enforcement, keyOf, lackCondition } from './enforcement.ts'
import { MtlsMoves, type Settled } from './mtls-moves.ts'
import type { Operation, Store } from './store.ts'

export type CompileLoopOptions = {
  readonly store: Store
  readonly platform: Platform
  /** Read at every compile. The authority's root stays as long as the process: where it could change, `refresh` has to be called. */
  readonly trust: () => CompileOptions
  readonly clock: Clock
  readonly log: Log
}

/** revision: of the store; everything up to it is in the mesh. ordered: certificates that its Gateways want. */
export type Compilation = {
  readonly revision: number
  readonly mesh: Mesh
  readonly notes: readonly Note[]
  readonly ordered: readonly OrderedCertificate[]
}

/** A proxy's view and the mesh it was cut from. */
export type Cut = { readonly mesh: Mesh; readonly view: View }

const sources = kinds.filter(({ kind }) => kind !== 'Workload') // workloads come through the inventory
/** Many proxies acknowledge at about the same time. */
const restateMs = 500
const quietMs = 10
const longestMs = 50

export class CompileLoop {
  readonly #options: CompileLoopOptions
  readonly #told = new Set<(compilation: Compilation) => void>()
  readonly #ends: (() => void)[]
  readonly #moves: MtlsMoves
  #compiled: Compiled | undefined
  #current: Compilation | undefined
  #input: Input | undefined
  #cancel: (() => void) | undefined
  #cancelEnd: (() => void) | undefined
  #cancelRestate: (() => void) | undefined
  #proxies: () => readonly ProxyStatus[] = () => []
  readonly #enforcement = new Enforcement()
  /** Documents that some proxy does not carry out, as was last told. */
  #lacked: ReadonlySet<string> = new Set()
  #firstAt = 0
  #lastAt = 0
  #tookMs = 0

  /** Compiles once at once, so that whoever connects first is served. */
  constructor(options: CompileLoopOptions) {
    this.#options = options
    this.#moves = new MtlsMoves({ clock: options.clock, log: options.log, onStep: () => this.refresh() })
    this.#ends = [options.store.onCommit(() => this.refresh()), options.platform.onChange(() => this.refresh())]
    this.#run()
  }

  /** The newest outcome; undefined only if the very first compile failed. */
  get current(): Compilation | undefined {
    return this.#current
  }

  /** Called after each compile, also one that changed nothing but the revision. Returns what ends it. */
  onCompiled(told: (compilation: Compilation) => void): () => void {
    this.#told.add(told)
    return () => void this.#told.delete(told)
  }

  /** before: what this proxy has; its parts are kept where they say the same. */
  cut(node: ProxyNode, before?: Cut): Cut | undefined {
    const mesh = this.#current?.mesh
    if (mesh === undefined || before?.mesh === mesh) return before
    // What a Gateway reaches by TLS, and what an Envoy may reach, is cut from the endpoints of the mesh.
    const isPlain = node.gateway === undefined && node.isEnvoy !== true
    if (before !== undefined && isPlain && onlyEndpointsDiffer(before.mesh, mesh))
      return { mesh, view: { ...before.view, endpoints: endpointsFor(mesh, node) } }
    return { mesh, view: viewFor(mesh, node, before?.view) }
  }

  /** What holds for the calls to a Service, and by whose word; undefined: there is no such Service or port. */
  tellPolicies(question: PolicyQuestion): PoliciesTold | undefined {
    return this.#compiled && tellPolicies(this.#compiled, question)
  }

  /** Who knows which proxies have what: the statuses of policies say it. */
  learnsProxies(proxies: () => readonly ProxyStatus[]): void {
    this.#proxies = proxies
  }

  /** A proxy came, went, acknowledged or refused: in a moment the statuses that tell of it are written again. */
  restate(): void {
    if (this.#compiled === undefined) return
    this.#cancelRestate ??= this.#options.clock.after(restateMs, () => {
      this.#cancelRestate = undefined
      this.#writeStatuses(true)
    })
  }

  /** Who knows how far the proxies are: changes that take more than one step wait for them. */
  hears(isSettled: Settled): void {
    this.#moves.hears(isSettled)
  }

  /** Something changed that a compile depends on. */
  refresh(): void {
    const now = this.#options.clock.now()
    this.#lastAt = now
    if (this.#cancel !== undefined) return
    this.#firstAt = now
    // Compiling takes at most a third of the time when changes never end.
    this.#arm(Math.max(quietMs, 2 * this.#tookMs))
  }

  close(): void {
    this.#cancel?.()
    this.#cancel = undefined
    this.#cancelEnd?.()
    this.#cancelRestate?.()
    this.#moves.close()
    for (const end of this.#ends) end()
    this.#told.clear()
  }

  #arm(ms: number): void {
    this.#cancel = this.#options.clock.after(ms, () => {
      const now = this.#options.clock.now()
      const quietFor = now - this.#lastAt
      if (quietFor < quietMs && now - this.#firstAt < longestMs)
        return this.#arm(Math.min(quietMs - quietFor, this.#firstAt + longestMs - now))
      this.#cancel = undefined
      this.#run()
    })
  }

  #run(): void {
    const { clock, log } = this.#options
    const began = clock.now()
    try {
      this.#compile()
    } catch (thrown) {
      log.error('the mesh could not be compiled; proxies keep what they have', {
        reason: thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown),
      })
      return
    } finally {
      this.#tookMs = clock.now() - began
    }
    for (const told of this.#told) told(this.#current!)
    this.#writeStatuses()
  }

  #compile(): void {
    const { store, platform, trust } = this.#options
    const { revision } = store
    const options = trust()
    const input = {
      resources: sources.flatMap(kind => store.list({ kind }).items),
      inventory: platform.inventory,
      trust: JSON.stringify(options),
      moving: this.#moves.moving,
    }
    const now = this.#options.clock.now()
    const isOver = this.#compiled?.endsAt !== undefined && this.#compiled.endsAt <= now
    if (this.#compiled === undefined || isOver || !sameInput(this.#input, input)) {
      const compiled = (before: Compiled | undefined): Compiled =>
        compile(input.resources, input.inventory, { ...options, now, moving: this.#moves.moving }, before)
      this.#compiled = compiled(this.#compiled)
      // What is to be called otherwise than before is not, until the called side is ready for it.
      if (this.#moves.see(this.#compiled.plaintext, input.inventory)) this.#compiled = compiled(this.#compiled)
    }
    this.#awaitEnd(this.#compiled.endsAt, now)
    this.#input = { ...input, moving: this.#moves.moving }
    this.#enforcement.compiled(this.#compiled.enforced, revision)
    const { mesh, notes, ordered } = this.#compiled
    this.#current = { revision, mesh, notes, ordered }
  }

  /** Compiles again when something ends by itself. */
  #awaitEnd(endsAt: number | undefined, now: number): void {
    this.#cancelEnd?.()
    this.#cancelEnd =
      endsAt === undefined ? undefined : this.#options.clock.after(Math.min(endsAt - now, longestTimerMs), () => this.refresh())
  }

  /** Only what says something else than before is written; the commit that follows finds nothing more to say. */
  #writeStatuses(isOfProxies = false): void {
    const { store, clock, log } = this.#options
    const now = new Date(clock.now()).toISOString().replace(/\.\d+Z$/, 'Z')
    const { statuses, enforced } = this.#compiled!
    const policies = new Map(enforced.map(each => [keyOf(each), each]))
    const proxies = new Map(this.#proxies().map(each => [each.id, each]))
    const envoys = [...proxies.values()].filter(({ lacking }) => lacking !== undefined)
    const lacked = new Set(envoys.flatMap(({ lacking = [] }) => lacking.map(({ kind, name }) => `${kind} ${name}`)))
    const before = this.#lacked
    this.#lacked = lacked
    const operations = statuses.flatMap((plain): Operation[] => {
      const policy = policies.get(keyOf(plain))
      if (policy === undefined && isOfProxies && !lacked.has(keyOf(plain)) && !before.has(keyOf(plain))) return []
      const said = policy === undefined ? withLacks(plain, envoys) : this.#enforcement.told(plain, policy, proxies)
      const kind = kindOf(said.apiVersion, said.kind)
      const group = said.apiVersion.includes('/') ? said.apiVersion.split('/')[0]! : ''
      const resource = store.get({ group, kind: said.kind, namespace: said.namespace ?? '', name: said.name })
      if (resource === undefined || kind?.hasStatus !== true) return []
      const status = joinStatus(resource, said, now)
      return status === undefined ? [] : [{ type: 'update-status', resource: { ...resource, apiVersion: apiVersionOf(kind), status } }]
    })
    if (operations.length === 0) return
    try {
      store.transact(operations)
    } catch (thrown) {
      log.error('statuses could not be written', { reason: thrown instanceof Error ? thrown.message : String(thrown) })
    }
  }
}

function withLacks(said: ResourceStatus, envoys: readonly ProxyStatus[]): ResourceStatus {
  const condition = envoys.length === 0 ? undefined : lackCondition(said, envoys)
  if (condition === undefined) return said
  const { parents, ancestors } = said
  const told = <Entry extends { readonly conditions: readonly Stated[] }>(list: readonly Entry[]): readonly Entry[] =>
    list.map(each => ({
      ...each,
      conditions: [...each.conditions, { ...condition, ...generationIn(each.conditions) }],
    }))
  return {
    ...said,
    ...(parents === undefined ? {} : { parents: told(parents) }),
    ...(ancestors === undefined ? {} : { ancestors: told(ancestors) }),
  }
}

const generationIn = ([first]: readonly Stated[]): Pick<Stated, 'observedGeneration'> =>
  first?.observedGeneration === undefined ? {} : { observedGeneration: first.observedGeneration }

/** The commonest change by far: an endpoint came, went, or is in other health. */
const onlyEndpointsDiffer = (before: Mesh, now: Mesh): boolean =>
  (Object.keys(now) as (keyof Mesh)[]).every(key => key === 'endpoints' || before[key] === now[key])

type Input = { readonly resources: readonly Resource[]; readonly inventory: Inventory; readonly trust: string; readonly moving: object }

/** A commit that changed statuses only is nothing to compile. */
function sameInput(before: Input | undefined, now: Input): boolean {
  if (
    before === undefined ||
    before.inventory !== now.inventory ||
    before.trust !== now.trust ||
    before.moving !== now.moving ||
    before.resources.length !== now.resources.length
  )
    return false
  return now.resources.every((resource, at) => {
    const old = before.resources[at]!
    return old === resource || asks(old) === asks(resource)
  })
}

const asks = ({ metadata: { uid, generation, labels, annotations } }: Resource): string =>
  JSON.stringify([uid, generation, labels, annotations])
