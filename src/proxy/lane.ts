/** The connections to one endpoint for callers of one kind: a few that carry many exchanges where both ends speak HTTP/2, otherwise idle ones kept for the next request. */

import { Failure } from '#base/failure'
import type { Backend, Endpoint } from '#model/view'
import type { Ends } from '#wire/proxy-protocol'
import { connect, type Reach } from './connect.ts'
import { hopAlpn } from './hop.ts'
import { Multiplexed } from './multiplexed.ts'
import type { Upstream } from './upstream.ts'
import { Http1Upstream } from './upstream-http1.ts'

const maxIdle = 256
/** A peer that takes few streams at once gets more connections, up to this many. */
const maxMultiplexed = 16

/** How exchanges may travel: many on a connection, and what is offered in the TLS hello for that. */
type Manner = { readonly multiplexes: boolean; readonly offers: readonly string[] }

/** Between proxies HTTP/2 carries both versions (hop.ts); a peer that does not know how gets the version that its workload is to be spoken to in. */
function mannerOf(protocol: Backend['protocol'], mtls: boolean, isHttp1: boolean): Manner {
  const version = protocol === 'downstream' ? (isHttp1 ? 'http1' : 'http2') : protocol
  if (!mtls) return { multiplexes: version === 'http2', offers: [] }
  if (protocol === 'downstream') return { multiplexes: true, offers: [hopAlpn, isHttp1 ? 'http/1.1' : 'h2'] }
  return { multiplexes: true, offers: version === 'http2' ? [hopAlpn, 'h2'] : [hopAlpn, 'h2', 'http/1.1'] }
}

export class Lane {
  readonly #backend: Backend
  readonly #endpoint: Endpoint | undefined
  readonly #reach: Reach
  readonly #ends: Ends | undefined
  readonly #manner: Manner
  readonly #idle: Http1Upstream[] = []
  readonly #multiplexed: Multiplexed[] = []
  #opening: Promise<void> | undefined
  /** The peer chose HTTP/1.1. */
  #isHttp1Only = false
  #isClosed = false

  /** isHttp1: what the callers speak. ends: of the one caller that it is for, where the workload wants to know it. */
  constructor(backend: Backend, endpoint: Endpoint | undefined, reach: Reach, isHttp1: boolean, ends?: Ends) {
    this.#ends = ends
    this.#backend = backend
    this.#endpoint = endpoint
    this.#reach = reach
    this.#manner = mannerOf(backend.protocol, endpoint?.mtls === true, isHttp1)
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
    const { multiplexes, offers } = this.#manner
    while (multiplexes && !this.#isHttp1Only) {
      if (this.#multiplexed.length >= maxMultiplexed)
        throw new Failure('overload', `${this.#backend.name}: all ${maxMultiplexed} connections carry as many streams as the peer takes`)
      await (this.#opening ??= this.#openMultiplexed().finally(() => (this.#opening = undefined)))
      const upstream = this.take()
      if (upstream !== undefined) return upstream
    }
    return this.#http1(await connect(this.#backend, this.#endpoint, this.#reach, offers.slice(-1), this.#ends))
  }

  async #openMultiplexed(): Promise<void> {
    const { offers } = this.#manner
    const connected = await connect(this.#backend, this.#endpoint, this.#reach, offers, this.#ends)
    if (offers.length > 0 && connected.alpn !== hopAlpn && connected.alpn !== 'h2') {
      this.#isHttp1Only = true
      this.#idle.push(this.#http1(connected))
      return
    }
    const connection = new Multiplexed(connected, () => {
      const at = this.#multiplexed.indexOf(connection)
      if (at >= 0) this.#multiplexed.splice(at, 1)
    })
    if (this.#isClosed) connection.retire()
    else this.#multiplexed.push(connection)
  }

  #http1(connected: Awaited<ReturnType<typeof connect>>): Http1Upstream {
    return new Http1Upstream(connected, upstream => {
      if (this.#isClosed || this.#idle.length >= maxIdle) upstream.close()
      else this.#idle.push(upstream)
    })
  }

  get isEmpty(): boolean {
    return this.#idle.length === 0 && this.#multiplexed.length === 0
  }

  /** Closes what idles longer than its peer said it would keep it. now: ms of Date.now(). */
  sweep(now: number): void {
    const kept = this.#idle.filter(upstream => upstream.isUsable && !upstream.isStale(now))
    for (const upstream of this.#idle) if (!kept.includes(upstream)) upstream.close()
    this.#idle.splice(0, this.#idle.length, ...kept)
    for (const connection of [...this.#multiplexed]) connection.sweep(performance.now())
  }

  /** Connections take no new exchange; those under way are carried to their end. */
  retire(): void {
    for (const upstream of this.#idle.splice(0)) upstream.close()
    for (const connection of [...this.#multiplexed]) connection.retire()
  }

  /** As `retire`, and connections that are in use now are not kept afterwards either. */
  close(): void {
    this.#isClosed = true
    this.retire()
  }
}
