/** The connections to one endpoint for callers of one kind: a few that carry many exchanges where both ends speak HTTP/2, otherwise idle ones kept for the next request. */

import { Failure } from '#base/failure'
import type { Backend, Endpoint } from '#model/backend'
import type { Ends } from '#wire/proxy-protocol'
import { connect, openFlow } from './connect.ts'
import type { Reach } from './reach.ts'
import { hopAlpn } from './hop.ts'
import { Multiplexed } from './multiplexed.ts'
import type { Upstream } from './upstream.ts'
import { Http1Upstream } from './upstream-http1.ts'
import { UdpUpstream } from './upstream-udp.ts'

const maxIdle = 256
/** A peer that takes few streams at once gets more connections, up to this many. */
const maxMultiplexed = 16
/** Where those carry as many as the peer takes, so many more requests wait, and not longer than this. */
const maxWaiting = 4096
const maxWaitMs = 30_000

/** How exchanges may travel: many on a connection, and what is offered in the TLS hello for that. */
type Manner = { readonly multiplexes: boolean; readonly offers: readonly string[] }

/** Between proxies HTTP/2 carries both versions (hop.ts); a peer that does not know how gets the version that its workload is to be spoken to in. */
function mannerOf({ protocol, tls, isTlsInside }: Backend, mtls: boolean, isHttp1: boolean): Manner {
  const version = protocol === 'downstream' ? (isHttp1 ? 'http1' : 'http2') : protocol
  if (!mtls || isTlsInside === true)
    return { multiplexes: version === 'http2', offers: tls !== undefined ? [version === 'http2' ? 'h2' : 'http/1.1'] : [] }
  if (protocol === 'udp') return { multiplexes: true, offers: [hopAlpn, 'h2'] }
  if (protocol === 'downstream') return { multiplexes: true, offers: [hopAlpn, isHttp1 ? 'http/1.1' : 'h2'] }
  return { multiplexes: true, offers: version === 'http2' ? [hopAlpn, 'h2'] : [hopAlpn, 'h2', 'http/1.1'] }
}

type Waiting = { readonly resolve: (upstream: Upstream) => void; readonly reject: (thrown: unknown) => void; readonly since: number }

/** What there is to an endpoint now. alpn: what was agreed: `weft`, `h2` or `http/1.1`; without TLS, what is spoken. */
export type Standing = { readonly alpn: string; readonly connections: number; readonly streams: number; readonly waiting: number }

/** ends: of the one caller that it is for, where the workload wants to know it. mayConnect: whether the backend may have one connection more. */
type LaneOptions = { readonly ends?: (() => Ends | undefined) | undefined; readonly mayConnect?: () => boolean }

export class Lane {
  readonly #backend: Backend
  readonly #endpoint: Endpoint | undefined
  readonly #reach: Reach
  readonly #ends: (() => Ends | undefined) | undefined
  readonly #mayConnect: (() => boolean) | undefined
  readonly #manner: Manner
  readonly #idle: Http1Upstream[] = []
  readonly #multiplexed: Multiplexed[] = []
  /** Requests without a connection yet, the longest waiting first. */
  #waiting: Waiting[] = []
  #isOpening = false
  /** The peer chose HTTP/1.1. */
  #isHttp1Only = false
  #isClosed = false
  #http1Open = 0
  #http1Opening = 0

  /** isHttp1: what the callers speak. */
  constructor(backend: Backend, endpoint: Endpoint | undefined, reach: Reach, isHttp1: boolean, { ends, mayConnect }: LaneOptions) {
    this.#ends = ends
    this.#mayConnect = mayConnect
    this.#backend = backend
    this.#endpoint = endpoint
    this.#reach = reach
    this.#manner = mannerOf(backend, endpoint?.mtls === true, isHttp1)
  }

  /** What can carry one exchange and is there already. */
  take(): Upstream | undefined {
    for (const connection of this.#multiplexed) if (connection.isOpen) return connection.stream()
    if (this.#idle.length === 0) return undefined
    const now = Date.now()
    // The one used last: it is the least likely to be closed by the peer.
    for (let upstream = this.#idle.pop(); upstream !== undefined; upstream = this.#idle.pop()) {
      if (upstream.isUsable && !upstream.isStale(now)) return upstream
      upstream.close()
    }
    return undefined
  }

  /** A connection is made for it; or for many at once, where one can carry them. */
  async open(): Promise<Upstream> {
    if (this.#backend.protocol === 'udp' && !this.#manner.multiplexes)
      return new UdpUpstream(on => openFlow(this.#backend, this.#endpoint, this.#reach, on))
    if (this.#manner.multiplexes && !this.#isHttp1Only) return this.#turn()
    if (this.#mayConnect?.() === false)
      throw new Failure('backend-limit', 'limits.connections is reached, and HTTP/1 needs one for each request')
    this.#http1Opening++
    try {
      return this.#http1(await connect(this.#backend, this.#endpoint, this.#reach, this.#manner.offers.slice(-1), this.#ends))
    } finally {
      this.#http1Opening--
    }
  }

  /** Made or being made. */
  get connections(): number {
    return this.#multiplexed.length + Number(this.#isOpening) + this.#http1Open + this.#http1Opening
  }

  /** When one of the connections has room. */
  #turn(): Promise<Upstream> {
    if (this.#waiting.length >= maxWaiting)
      return Promise.reject(new Failure('overload', `${this.#backend.name}: ${maxWaiting} requests wait for a connection`))
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject, since: performance.now() })
      this.#serveWaiting()
    })
  }

  /** Those who wait longest get what room there is. Another connection is made where there is none, and the newest one has said how many it takes. */
  #serveWaiting(): void {
    if (this.#waiting.length === 0) return
    for (const connection of this.#multiplexed)
      while (this.#waiting.length > 0 && connection.isOpen) this.#waiting.shift()!.resolve(connection.stream())
    if (this.#waiting.length === 0 || this.#isOpening || this.#multiplexed.length >= maxMultiplexed) return
    if (this.#multiplexed.at(-1)?.isSettled === false) return
    // The first is always made: what waits for room on it is bounded by other limits.
    if (this.#multiplexed.length > 0 && this.#mayConnect?.() === false) return
    this.#isOpening = true
    this.#openMultiplexed().then(
      () => {
        this.#isOpening = false
        this.#serveWaiting()
      },
      (thrown: unknown) => {
        this.#isOpening = false
        for (const { reject } of this.#waiting.splice(0)) reject(thrown)
      },
    )
  }

  async #openMultiplexed(): Promise<void> {
    const { offers } = this.#manner
    const connected = await connect(this.#backend, this.#endpoint, this.#reach, offers, this.#ends)
    if (offers.length > 0 && connected.alpn !== hopAlpn && connected.alpn !== 'h2') {
      if (this.#backend.protocol === 'udp') {
        connected.socket.destroy()
        throw new Failure('tls-failed', 'the endpoint does not agree on HTTP/2, in which datagrams travel')
      }
      this.#isHttp1Only = true
      const [first, ...others] = this.#waiting.splice(0)
      if (first === undefined) this.#idle.push(this.#http1(connected))
      else first.resolve(this.#http1(connected))
      for (const { resolve, reject } of others) this.open().then(resolve, reject)
      return
    }
    const connection = new Multiplexed(connected, {
      over: () => {
        const at = this.#multiplexed.indexOf(connection)
        if (at < 0) return
        this.#multiplexed.splice(at, 1)
        this.#serveWaiting()
      },
      room: () => this.#serveWaiting(),
    })
    this.#multiplexed.push(connection)
    if (!this.#isClosed) return
    // It was closed meanwhile: those who waited for it are still served.
    this.#serveWaiting()
    connection.retire()
  }

  #http1(connected: Awaited<ReturnType<typeof connect>>): Http1Upstream {
    this.#http1Open++
    connected.socket.once('close', () => this.#http1Open--)
    return new Http1Upstream(connected, upstream => {
      if (this.#isClosed || this.#idle.length >= maxIdle) upstream.close()
      else this.#idle.push(upstream)
    })
  }

  standings(): Standing[] {
    const waiting = this.#waiting.length
    const found = [hopAlpn, 'h2'].flatMap(alpn => {
      const of = this.#multiplexed.filter(({ isWeft }) => isWeft === (alpn === hopAlpn))
      return of.length === 0 ? [] : [{ alpn, connections: of.length, streams: of.reduce((sum, { streams }) => sum + streams, 0), waiting }]
    })
    if (this.#http1Open > 0) found.push({ alpn: 'http/1.1', connections: this.#http1Open, streams: 0, waiting })
    return found
  }

  get isEmpty(): boolean {
    return this.#idle.length === 0 && this.#multiplexed.length === 0
  }

  /** Closes what idles longer than its peer said it would keep it. now: ms of Date.now(). */
  sweep(now: number): void {
    const kept = this.#idle.filter(upstream => upstream.isUsable && !upstream.isStale(now))
    for (const upstream of this.#idle) if (!kept.includes(upstream)) upstream.close()
    this.#idle.splice(0, this.#idle.length, ...kept)
    const at = performance.now()
    for (const connection of this.#multiplexed.slice()) connection.sweep(at)
    while (this.#waiting.length > 0 && at - this.#waiting[0]!.since > maxWaitMs)
      this.#waiting.shift()!.reject(new Failure('overload', `${this.#backend.name}: no connection had room within ${maxWaitMs} ms`))
  }

  /** Connections take no new exchange; those under way are carried to their end. */
  retire(): void {
    for (const upstream of this.#idle.splice(0)) upstream.close()
    for (const connection of this.#multiplexed.slice()) connection.retire()
  }

  /** As `retire`, and connections that are in use now are not kept afterwards either. */
  close(): void {
    this.#isClosed = true
    this.retire()
  }
}
