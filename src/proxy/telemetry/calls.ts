/** Counts, on the called side, who called which port with what: kinds of calls in bounded number, of which least-privilege policies are made. */

import { type FailureCode, failures } from '#base/failure'
import { readPath } from '#model/access'
import { anyPath, pathKind } from '#model/calls'
import type { Listener } from '#model/listener'
import { callLabels, metricNames } from '#model/metrics'
import type { Entry } from './entry.ts'
import type { Family, Registry, Sample } from '../registry.ts'

/** Kinds of calls of one proxy; of one caller at one port; and paths as they came whose kind is remembered. */
const mostKinds = 2_000
const mostOfCaller = 60
const mostPaths = 64

/** Of a connection that was turned away, and why: what the caller itself did wrong is no call that somebody needs, nor what came without the proof that the port demands. */
export const isCall = (reason: string): boolean =>
  reason !== 'identity-required' && (reason === '' || failures[reason as FailureCode]?.blame !== 'downstream')

type Known = Map<string, Map<string | undefined, Map<string, CallKinds>>>

export class Calls {
  readonly #family: Family
  /** By listener, caller and protocol; denied ones apart. */
  readonly #known: Known = new Map()
  readonly #denied: Known = new Map()

  constructor(registry: Registry) {
    this.#family = registry.family(metricNames.calls, 'counter', 'Calls that were taken in, by who called and what', callLabels)
  }

  /** undefined: none of the called side. */
  of({ listener, peer }: Entry, protocol: string, isDenied: boolean): CallKinds | undefined {
    const known = isDenied ? this.#denied : this.#known
    const found = known.get(listener.name)?.get(peer)?.get(protocol)
    return found ?? this.#add(known, listener, peer, protocol, isDenied)
  }

  #add(known: Known, { name, direction }: Listener, peer: string | undefined, protocol: string, isDenied: boolean) {
    const port = direction === 'inbound' ? /^inbound\/(\d+)/.exec(name)?.[1] : undefined
    if (port === undefined) return undefined
    const labels = [peer ?? '', port, protocol] as const
    const outcome = isDenied ? 'denied' : 'allowed'
    const made = new CallKinds(protocol === 'grpc', (method, path) => this.#sample([...labels, method, path, outcome]))
    let byPeer = known.get(name)
    if (byPeer === undefined) known.set(name, (byPeer = new Map()))
    let byProtocol = byPeer.get(peer)
    if (byProtocol === undefined) {
      if (byPeer.size >= mostKinds) return made
      byPeer.set(peer, (byProtocol = new Map()))
    }
    byProtocol.set(protocol, made)
    return made
  }

  #sample(labels: readonly string[]): Sample {
    const isRoom = this.#family.samples.size < mostKinds || this.#family.has(labels)
    return this.#family.sample(isRoom ? labels : ['others', '0', '', '', '', 'allowed'])
  }
}

/** Of one caller at one port. */
export class CallKinds {
  readonly #isGrpc: boolean
  readonly #sampleOf: (method: string, path: string) => Sample
  readonly #byKind = new Map<string, Map<string, Sample>>()
  #kinds = 0
  /** By method and path as they came: most callers ask for few. */
  readonly #byPath = new Map<string, Map<string, Sample>>()
  #paths = 0

  constructor(isGrpc: boolean, sampleOf: (method: string, path: string) => Sample) {
    this.#isGrpc = isGrpc
    this.#sampleOf = sampleOf
  }

  /** path: as it came; '' where no HTTP is seen. */
  count(method: string, path: string): void {
    const byPath = this.#byPath.get(method)
    const known = byPath?.get(path)
    if (known !== undefined) known.value++
    else this.#countNew(method, path, byPath)
  }

  #countNew(method: string, path: string, byPath: Map<string, Sample> | undefined): void {
    const sample = this.#find(method, path)
    if (sample === undefined) return
    sample.value++
    if (this.#paths >= mostPaths || path.length > 128) return
    this.#paths++
    if (byPath === undefined) this.#byPath.set(method, new Map([[path, sample]]))
    else byPath.set(path, sample)
  }

  #find(method: string, path: string): Sample | undefined {
    const spelled = path === '' ? '' : readPath(path)?.path
    if (spelled === undefined) return undefined
    const kind = path === '' ? '' : pathKind(spelled, this.#isGrpc)
    // A path is a word of its caller: it must not fill the labels.
    const short = kind.length > 200 ? anyPath : kind
    const made = this.#byKind.get(method)?.get(short)
    if (made !== undefined) return made
    const isRoom = this.#kinds < mostOfCaller
    const [kindOfMethod, kindOfPath] = isRoom ? [method, short] : [method.slice(0, 16), anyPath]
    let byPath = this.#byKind.get(kindOfMethod)
    let sample = byPath?.get(kindOfPath)
    if (sample === undefined) {
      if (this.#kinds++ >= mostOfCaller + 16) return undefined
      if (byPath === undefined) this.#byKind.set(kindOfMethod, (byPath = new Map()))
      byPath.set(kindOfPath, (sample = this.#sampleOf(kindOfMethod, kindOfPath)))
    }
    return sample
  }
}
