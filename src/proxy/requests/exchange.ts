/**
 * One request and its answer, as the steps of `serve` see it, whatever protocol carries it.
 * One file as a whole: what is known of a request and where its body stands are one state, that all steps read.
 */

import { concat } from '#base/bytes'
import { Failure } from '#base/failure'
import type { AccessRule } from '#model/access-rule'
import type { Endpoint } from '#model/backend'
import type { Claims } from '#model/claims'
import type { HeaderChange } from '#model/filter'
import type { RequestFacts } from '#model/match'
import type { Route } from '#model/route'
import { field, type Fields, type Length, type RequestHead } from '#wire/http1'
import type { Denial } from '../telemetry/denial.ts'
import type { Entry } from '../telemetry/entry.ts'
import type { RequestTrace } from '../telemetry/trace.ts'
import type { BodySink, Caller, Relay, Shape, Weigher } from './ends.ts'
import { trailing } from './forwarding.ts'

/** Of a request body that is handed on so much is remembered until the answer begins, so that a request which was not taken can be sent elsewhere. */
const maxKeptBytes = 65_536

/** Where the path of an absolute target begins; -1: it has none. mark: where its query does. */
function slashOf(target: string, mark: number): number {
  const slash = target.indexOf('/', target.indexOf('://') + 3)
  return mark >= 0 && slash > mark ? -1 : slash
}

const repeatable = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE', 'PUT', 'DELETE'])

export class Exchange implements RequestFacts {
  readonly head: RequestHead
  readonly length: Length
  readonly upgrade: string | undefined
  readonly expectsContinue: boolean
  readonly entry: Entry
  caller: Caller
  /** Milliseconds of performance.now(). */
  readonly startedAt: number
  /** The version that the caller's own program speaks. */
  readonly isHttp1: boolean
  /** As it came, but at a Gateway, which reads all spellings of a path as one. */
  path: string
  readonly search: string
  readonly host: string

  /** Among those under way in this process. */
  id = 0
  /** What the steps found, for metrics and answers. */
  route: Route | undefined
  service = ''
  workload = ''
  identity: string | undefined
  status = 0
  reason = ''
  /** Beside the reason: what the failure itself says. */
  detail = ''
  /** By which policy it was denied, where one says more than the reason. */
  denial: Denial | undefined
  /** Where it was sent last: a backend of the view, and which of its endpoints; undefined for the workload behind this proxy. How often it was sent anywhere. */
  backend = ''
  endpoint: Endpoint | undefined
  tries = 0
  /** The access log wants to know of it: when the endpoint began to answer (performance.now(), 0: not yet), and by which id it was asked. */
  isLogged = false
  firstByteAt = 0
  sentId: string | undefined
  /** By which rule it was let in, where there are any. */
  allowedBy: AccessRule | undefined
  /** Of which trace it is; undefined: nobody wants to know. */
  trace: RequestTrace | undefined
  /** Of a gRPC answer, when it is known. */
  grpcStatus: number | undefined
  receivedBytes = 0
  sentBytes = 0

  #sink: BodySink | undefined
  /** Came while nobody took it. */
  #held: Uint8Array[] = []
  /** Was handed on. */
  #kept: Uint8Array[] = []
  #keptBytes = 0
  #trailers: Fields | undefined
  isGone = false
  /** CONNECT or Upgrade was accepted: bytes pass both ways, each half ends by itself. */
  isTunnel = false
  /** What the token of the request says, where one was verified. */
  claims: Claims | undefined
  /** Headers that tokens and authorization services decide, whatever the caller wrote there; undefined: it has none. */
  claimHeaders: ReadonlyMap<string, string | undefined> | undefined
  /** When what lets it in holds no more, ms since the epoch, and by what reason it is then broken off; undefined: it may last. */
  ends: { readonly at: number; readonly code: 'token-expired' | 'login-required' } | undefined
  /** The query as it is sent on, where a token was taken out of it; without `?`. */
  sentSearch: string | undefined
  /** The path in the spelling by which it was let in: so it is sent on. */
  judgedPath: string | undefined
  /** What its head says of its body, which goes on in another coding. */
  codingChange: HeaderChange | undefined
  /** Set by whoever relays the answer: the caller reads again, or holds nothing any more. */
  onWritable: (() => void) | undefined
  /** More of the body was handed to an upstream than is remembered, so the request cannot be sent again. */
  isBodySpent = false
  /** Who relays it now. */
  upstream: Relay | undefined
  /** Called once when it is over, however it went. */
  onOver: (() => void) | undefined
  /** What could not be written on although it was read: two codecs disagree. */
  bug: unknown
  #isGrpc: boolean | undefined
  /** Who else gets the body as it comes. */
  #taps: readonly BodySink[] | undefined
  /** Something was waited for before its first try. */
  wasHeldUp = false
  /** Somebody waits for so much of the body before anybody takes it. */
  #gathering: { readonly bytes: number; readonly done: (gathered: Uint8Array | Failure) => void } | undefined
  /** How much of its body may come. */
  maxBodyBytes = Number.POSITIVE_INFINITY
  #tooLarge: Failure | undefined
  /** How long the body is that goes on, which may be another than the one that came. */
  sentLength: Length
  /** Its end has come and is not yet passed on. */
  isBodyHeld = false
  #changeBody: ((sink: BodySink) => BodySink) | undefined
  /** Next to the caller; who stands behind it is told by it. */
  #shaper: Shape | undefined
  /** What the request says besides on its way on. */
  requestChange: HeaderChange | undefined
  /** What its answer says besides, whoever gives it. */
  answerChange: HeaderChange | undefined
  /** For the sweep that ends what stands still: bytes and status at the last look, and when they changed. */
  #movedTo = -1
  #movedAt = 0

  constructor(
    head: RequestHead,
    length: Length,
    upgrade: string | undefined,
    expectsContinue: boolean,
    entry: Entry,
    caller: Caller,
    now: number,
    isHttp1 = true,
  ) {
    this.head = head
    this.length = length
    this.sentLength = length
    this.upgrade = upgrade
    this.expectsContinue = expectsContinue
    this.entry = entry
    this.caller = caller
    this.startedAt = now
    this.isHttp1 = isHttp1
    const target = head.target
    const mark = target.indexOf('?')
    // absolute-form (RFC 9112 §3.2.2): from clients that were given this proxy by HTTP_PROXY
    const isAbsolute = target.charCodeAt(0) !== 47
    const slash = isAbsolute ? slashOf(target, mark) : 0
    this.path = slash < 0 ? (target === '*' ? '*' : '/') : target.slice(slash, mark < 0 ? undefined : mark)
    this.search = mark < 0 ? '' : target.slice(mark + 1)
    this.host =
      isAbsolute && target !== '*'
        ? target.slice(head.method === 'CONNECT' ? 0 : target.indexOf('://') + 3, slash >= 0 ? slash : mark >= 0 ? mark : undefined)
        : (field(head.fields, 'host') ?? '')
  }

  /** It is another one's request, sent once more: what was settled about that holds for it. */
  settleAs({ judgedPath, sentSearch, requestChange, claims, claimHeaders }: Exchange): void {
    this.judgedPath = judgedPath
    this.sentSearch = sentSearch
    this.requestChange = requestChange
    this.claims = claims
    this.claimHeaders = claimHeaders
  }

  get method(): string {
    return this.head.method
  }
  /** May be sent twice (RFC 9110 §9.2.2). */
  get isRepeatable(): boolean {
    return repeatable.has(this.head.method)
  }
  /** Once, where there is an elsewhere: whether it is asked there after the workload of an endpoint broke off. It may be this request that kills those who get it. */
  takeSecondChance(): boolean {
    const had = this.hasSecondChance
    this.hasSecondChance = false
    return had
  }
  hasSecondChance = false
  /** Where its route asks for further tries: looks at each answer before it is passed on. */
  retries: Weigher | undefined

  /** gRPC over HTTP/2, not gRPC-Web: what it is answered is a gRPC status. */
  get isGrpc(): boolean {
    return (this.#isGrpc ??=
      !this.isHttp1 && this.head.method === 'POST' && /^application\/grpc(?:$|[+;])/.test(field(this.head.fields, 'content-type') ?? ''))
  }

  header(name: string): string | undefined {
    if (this.claimHeaders?.has(name) === true) return this.claimHeaders.get(name)
    const fields = this.head.fields
    let joined: string | undefined
    for (let at = 0; at < fields.length; at += 2) {
      const key = fields[at]!
      if (key.length === name.length && key.toLowerCase() === name)
        joined = joined === undefined ? fields[at + 1]! : `${joined},${fields[at + 1]!}`
    }
    return joined
  }

  get isBodyComplete(): boolean {
    return this.#trailers !== undefined && !this.isBodyHeld
  }

  /** Nobody takes what comes of the body: before somebody does, and after an answer of the mesh's own. */
  get isBodyUnread(): boolean {
    return this.#sink === undefined
  }

  // From the caller's connection.

  bodyData(bytes: Uint8Array): void {
    this.receivedBytes += bytes.length
    if (this.receivedBytes > this.maxBodyBytes) return this.#refuseBody()
    if (this.#taps !== undefined) for (const tap of this.#taps) tap.data(bytes)
    if (this.#sink === undefined) {
      this.#held.push(bytes)
      if (this.#gathering === undefined || this.receivedBytes > this.#gathering.bytes) this.caller.readBody(false)
      this.#gathered()
      return
    }
    this.#keep(bytes)
    try {
      this.#sink.data(bytes)
    } catch (thrown) {
      this.#unwritable(thrown)
    }
  }

  bodyEnd(all: Fields): void {
    const trailers = all.length === 0 ? all : trailing(all, this.entry, this.claimHeaders)
    this.#trailers = trailers
    if (this.#taps !== undefined) for (const tap of this.#taps) tap.end(trailers)
    this.#gathered()
    try {
      this.#sink?.end(trailers)
    } catch (thrown) {
      this.#unwritable(thrown)
    }
  }

  bodyFlush(): void {
    this.#sink?.flush()
    if (this.#taps !== undefined) for (const tap of this.#taps) tap.flush()
  }

  /** code: of RFC 9113 §7, where the caller gave one. */
  callerGone(code?: number): void {
    this.isGone = true
    this.#sink?.gone(code)
    if (this.#taps !== undefined) for (const tap of this.#taps) tap.gone(code)
  }

  /** Nothing passed for so long that it is not waited for any longer. */
  expire(failure: Failure): void {
    if (this.upstream !== undefined) return this.upstream.expire(failure)
    this.reason = failure.code
    this.callerGone()
    this.caller.abort()
  }

  #unwritable(thrown: unknown): void {
    if (thrown instanceof Failure) return this.upstream?.expire(thrown)
    this.bug = thrown
    this.upstream?.expire(new Failure('bad-request', thrown instanceof Error ? thrown.message : String(thrown)))
  }

  /** Body bytes that come to the sink later than from the caller. */
  late(pass: () => void): void {
    try {
      pass()
    } catch (thrown) {
      this.#unwritable(thrown)
    }
  }

  /** Of a body that no length told of before. Where it waits for a connection, whoever gets that is told. */
  #refuseBody(): void {
    if (this.#tooLarge !== undefined) return
    this.#tooLarge = new Failure('request-too-large', `more than ${this.maxBodyBytes} bytes came`)
    this.caller.readBody(false)
    this.upstream?.expire(this.#tooLarge)
    this.#gathered()
  }

  #keep(bytes: Uint8Array): void {
    if (this.isBodySpent) return
    this.#keptBytes += bytes.length
    if (this.#keptBytes <= maxKeptBytes) this.#kept.push(bytes)
    else this.#forget()
  }

  #forget(): void {
    this.isBodySpent = this.length !== 0
    this.#kept = []
  }

  /** How long nothing has passed. now: performance.now(). Exact to the time between two looks. */
  stillFor(now: number): number {
    const moved = this.receivedBytes + this.sentBytes + this.status
    if (moved !== this.#movedTo) {
      this.#movedTo = moved
      this.#movedAt = now
    }
    return now - this.#movedAt
  }

  // From the relaying side.

  /** Sends the body, what came so far first, to a sink. */
  readBody(to: BodySink): void {
    if (this.#tooLarge !== undefined) throw this.#tooLarge
    let sink = to
    if (this.#changeBody !== undefined) {
      this.isBodyHeld = false
      this.#sink?.stop?.()
      sink = this.#changeBody(to)
    }
    this.#sink = sink
    for (const bytes of this.#kept) sink.data(bytes)
    const held = this.#held
    this.#held = []
    for (const bytes of held) {
      this.#keep(bytes)
      sink.data(bytes)
    }
    if (this.#trailers !== undefined) sink.end(this.#trailers)
    else this.caller.readBody(true)
  }

  /** Waits for the body until it is complete or longer than so many bytes, while nobody takes it; whoever does gets all of it. done: once, with what came, or why no more is taken. */
  gather(bytes: number, done: (gathered: Uint8Array | Failure) => void): void {
    this.#gathering = { bytes, done }
    if (this.#gathered()) return
    // Who waits for leave to send it (RFC 9110 §10.1.1) gets it here: nobody behind has been asked yet.
    if (this.expectsContinue) {
      this.caller.informational({ status: 100, reason: '', minor: 1, fields: [] })
      this.caller.flush()
    }
    this.caller.readBody(true)
  }

  #gathered(): boolean {
    const wanted = this.#gathering
    if (wanted === undefined) return false
    if (this.#tooLarge === undefined && this.#trailers === undefined && this.receivedBytes <= wanted.bytes) return false
    this.#gathering = undefined
    wanted.done(this.#tooLarge ?? concat(this.#held))
    return true
  }

  /** The body goes there too: what came so far, and then as it comes. Before anything was handed on. */
  tap(sink: BodySink): void {
    for (const bytes of this.#held) sink.data(bytes)
    if (this.#trailers === undefined) this.#taps = [...(this.#taps ?? []), sink]
    else sink.end(this.#trailers)
  }

  /** Its answer is complete, or there will be none: nothing of it is held any more, and of the body no more comes. */
  over(): void {
    if (this.#changeBody !== undefined) this.#sink?.stop?.()
    this.#shaper?.over()
    this.onWritable?.()
    this.onOver?.()
    if (this.#taps !== undefined) for (const tap of this.#taps) tap.gone()
  }

  /** Takes the sink away again; body bytes are held back from now on. */
  stopBody(): void {
    if (this.#changeBody !== undefined) this.#sink?.stop?.()
    this.#sink = undefined
  }

  /** The caller reads again. */
  writable(): void {
    if (this.#shaper === undefined) this.onWritable?.()
    else this.#shaper.writable()
  }

  /** The answer goes by it, and by those that stand there already. */
  wrap(shaper: Shape): void {
    if (this.#shaper === undefined) this.#shaper = shaper
    else this.#shaper.addOuter(shaper)
    this.caller = shaper
  }

  /** The body goes by what is made there, for each try anew; what was asked for before comes first. */
  changeBody(make: (sink: BodySink) => BodySink): void {
    const before = this.#changeBody
    this.#changeBody = before === undefined ? make : sink => before(make(sink))
  }

  /** Besides what is to be changed already. */
  changeAnswer({ set, add, remove }: HeaderChange): void {
    const before = this.answerChange ?? { set: [], add: [], remove: [] }
    this.answerChange = { set: [...before.set, ...set], add: [...before.add, ...add], remove: [...before.remove, ...remove] }
  }

  /** The endpoint's answer begins: it is this one and no other. */
  answeredBy(status: number): void {
    this.status = status
    if (this.isLogged) this.firstByteAt = performance.now()
    this.#forget()
  }
}
