/** The proxy's side of the control plane: three streams over one connection, each opened again with back-off when it ends. What was learnt stays in use meanwhile. */

import { backoffMs } from '#base/backoff'
import type { Clock } from '#base/clock'
import type { Log } from '#base/log'
import type { Rpc } from '#base/rpc'
import { type GrpcChannel, type GrpcStream, rpcCodes } from '#io/grpc'
import type { View } from '#model/view'
import type { ProxyNode } from '#model/workload'
import { AdsClient, type ClientEvent, type Shelf } from '#xds/client'
import { nodeOf } from '#xds/node'
import { callDelta, type HealthReport, type MetricsMessage, streamHealthCheck, streamMetrics } from '#xds/rpcs'
import type { Meter } from './telemetry/meter.ts'
import { Prober } from './upstreams/probe.ts'

export { Shelf } from '#xds/client'

export type LinkOptions = {
  readonly node: ProxyNode
  readonly channel: GrpcChannel
  readonly meter: Meter
  /** A whole view, to be put to use. */
  readonly onView: (view: View) => void
  /** Asks a port of the workload; true when it serves. */
  readonly probe: ConstructorParameters<typeof Prober>[0]
  readonly clock: Clock
  readonly log: Log
  /** The certificate of this proxy is not believed, or lets it be something else than it says; true: another one is being asked for. */
  readonly onRefused?: () => boolean
  /** The control plane, asked for the first time, says that this proxy may not be what it says it is: asking again is of no use. */
  readonly onDenied?: (reason: string) => void
  /** Decoded resources, shared with other proxies of this process. */
  readonly shelf?: Shelf | undefined
}

const backoff = { baseMs: 100, maxMs: 5000 }
/** Without a connection a stream fails here, at no cost to the control plane: the channel has a back-off of its own, this one only notices that it is there again. */
const absence = { baseMs: 100, maxMs: 1000 }
/** How often counts go out while anything changes. */
const pushMs = 1000
/** How long a process that ends waits for a control plane that it has a connection to: a busy one is slow, a frozen one must not keep it. */
const farewellMs = 5000
/** And where there is no connection, for the attempt under way. */
const vainMs = 500

type Open<Out, In> = {
  readonly begin: (stream: GrpcStream<Out>) => void
  readonly message: (message: In) => void
  readonly over: () => void
}

export class Link {
  readonly #options: LinkOptions
  readonly #ads: AdsClient
  readonly #prober: Prober
  readonly #cancels = new Set<() => void>()
  readonly #streams = new Set<{ cancel(): void }>()
  #metrics: GrpcStream<MetricsMessage> | undefined
  #health: GrpcStream<HealthReport> | undefined
  #configuration: { end(): void } | undefined
  #hasLeft = false
  readonly #over = Promise.withResolvers<void>()
  readonly #counted = Promise.withResolvers<void>()
  /** When it took its leave. */
  #wasConnected = false
  #isClosed = false
  #isConnected = false
  #wasEverConnected = false
  readonly #tried = Promise.withResolvers<void>()

  constructor(options: LinkOptions) {
    this.#options = options
    this.#ads = new AdsClient({ node: nodeOf(options.node), ...(options.shelf === undefined ? {} : { shelf: options.shelf }) })
    this.#prober = new Prober(options.probe, options.clock, results => this.#health?.send({ type: 'results', results }))
    this.#follow()
    this.#report()
    this.#push()
  }

  get isConnected(): boolean {
    return this.#isConnected
  }

  /** Resolves when the control plane has said something for the first time, or cannot be reached. */
  get tried(): Promise<void> {
    return this.#tried.promise
  }

  #follow(): void {
    const { clock, onView, meter, log } = this.#options
    let stream: GrpcStream<Parameters<typeof callDelta.request.encode>[0]> | undefined
    let expire: (() => void) | undefined
    const act = (events: readonly ClientEvent[]) => {
      for (const event of events) {
        if (event.type === 'view') {
          if (event.ready) onView(event.view)
          continue
        }
        meter.rejections.sample([event.typeUrl.split('.').at(-1) ?? event.typeUrl]).value++
        log.warn('a resource of the control plane cannot be carried out; the last good one stays', {
          resource: event.resource,
          reason: event.reason,
        })
      }
      for (const request of this.#ads.drain()) stream?.send(request)
      expire?.()
      const deadline = this.#ads.deadline
      if (deadline !== undefined) expire = clock.after(Math.max(0, deadline - clock.now()), () => act(this.#ads.expire(clock.now())))
    }
    this.#keepOpen('configuration', callDelta, {
      begin: opened => {
        stream = opened
        this.#configuration = opened
        this.#ads.open(clock.now())
        act([])
      },
      message: reply => {
        if (!this.#isConnected) log.info('the control plane is connected')
        this.#isConnected = true
        this.#wasEverConnected = true
        this.#tried.resolve()
        act(this.#ads.receive(reply, clock.now()))
      },
      over: () => {
        stream = undefined
        this.#configuration = undefined
        if (this.#hasLeft) this.#over.resolve()
        expire?.()
        if (this.#isConnected && !this.#hasLeft) log.warn('the control plane is gone; serving on with what is known')
        this.#isConnected = false
        this.#ads.close()
      },
    })
  }

  #report(): void {
    this.#keepOpen('health', streamHealthCheck, {
      begin: stream => {
        this.#health = stream
        stream.send({ type: 'hello', node: nodeOf(this.#options.node) })
      },
      message: orders => this.#prober.follow(orders),
      over: () => {
        this.#health = undefined
      },
    })
  }

  #push(): void {
    const { meter, clock } = this.#options
    let stop: (() => void) | undefined
    this.#keepOpen('metrics', streamMetrics as Rpc<MetricsMessage, unknown>, {
      begin: stream => {
        this.#metrics = stream
        stream.send({ node: nodeOf(this.#options.node), families: meter.registry.collect('all') })
        const tick = () => {
          const families = meter.registry.collect('changed')
          if (families.length > 0) stream.send({ families })
          stop = clock.after(pushMs, tick)
        }
        stop = clock.after(pushMs, tick)
      },
      message: () => {},
      over: () => {
        this.#metrics = undefined
        if (this.#hasLeft) this.#counted.resolve()
        stop?.()
      },
    })
  }

  #keepOpen<Out, In>(what: string, rpc: Rpc<Out, In>, on: Open<Out, In>): void {
    const { channel, clock, log } = this.#options
    let attempt = 0
    let told = ''
    const open = () => {
      if (this.#isClosed) return
      const stream: GrpcStream<Out> = channel.stream(rpc, {
        message: message => {
          attempt = 0
          told = ''
          on.message(message)
        },
        end: status => {
          this.#streams.delete(stream)
          on.over()
          if (what === 'configuration' && this.#isDenied(status)) return
          if (this.#isClosed || this.#hasLeft) return
          const waitMs = backoffMs(status.code === 14 ? absence : backoff, attempt++, Math.random())
          log.debug(`the ${what} stream ended`, { code: status.code, details: status.details, againInMs: waitMs })
          // Said aloud once when it is not mere absence: a refusal will not mend itself.
          if (status.code !== 0 && status.code !== 14 && status.code !== 1 && told !== status.details) {
            told = status.details
            log.warn(`the control plane refuses the ${what} stream: ${status.details}`)
          }
          if (status.code === rpcCodes.unauthenticated) this.#options.onRefused?.()
          const cancel = clock.after(waitMs, () => {
            this.#cancels.delete(cancel)
            open()
          })
          this.#cancels.add(cancel)
        },
      })
      this.#streams.add(stream)
      on.begin(stream)
    }
    open()
  }

  /** True: it is of no use to ask again. */
  #isDenied({ code, details }: { readonly code: number; readonly details: string }): boolean {
    const { onRefused, onDenied } = this.#options
    const isFirstWord = code === rpcCodes.permissionDenied && !this.#wasEverConnected && !this.#hasLeft && onDenied !== undefined
    // By another certificate it is tried once more.
    if (isFirstWord && onRefused?.() === true) return false
    if (isFirstWord) onDenied(details)
    this.#tried.resolve()
    return isFirstWord
  }

  /** Says good-bye: the control plane takes the workload's endpoints away at once. */
  leave(): void {
    if (this.#hasLeft) return
    this.#hasLeft = true
    this.#wasConnected = this.#isConnected
    this.#prober.stop()
    if (this.#configuration === undefined) this.#over.resolve()
    this.#configuration?.end()
  }

  /** After `leave`: hands the last counts over, and waits until the control plane has heard all. A process that ended before would count as one that died. Does not wait for ever. */
  async farewell(): Promise<void> {
    const families = this.#options.meter.registry.collect('changed')
    if (families.length > 0) this.#metrics?.send({ families })
    if (this.#metrics === undefined) this.#counted.resolve()
    this.#metrics?.end()
    const heard = Promise.all([this.#over.promise, this.#counted.promise])
    await Promise.race([heard, new Promise(resolve => setTimeout(resolve, this.#wasConnected ? farewellMs : vainMs))])
  }

  close(): void {
    this.#isClosed = true
    this.#prober.stop()
    for (const cancel of this.#cancels) cancel()
    for (const stream of this.#streams) stream.cancel()
  }
}
