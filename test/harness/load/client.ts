/**
 * The program that makes the load: an ordinary HTTP client that sends at a fixed rate whatever comes back (open loop), and does what it is
 * told by lines of JSON on its standard input.
 *
 * Every answer must be a 200 with exactly the body that was sent; anything else is a failure with its reason. There is no timeout: a slow
 * machine makes answers late, not wrong. What cannot be sent because a thousand requests are out already is counted as held back.
 */

import { Agent, type IncomingMessage, request } from 'node:http'
import { connect } from 'node:net'
import { createInterface } from 'node:readline'
import type { Asked, Order, Report } from '../load.ts'

const { TO = 'http://127.0.0.1:8080', RATE = '0', TICKS = '0', TCP = '' } = process.env
const rate = Number(RATE)
const maxOut = 1000

type Outcome = { readonly by: string; readonly saw: string; readonly failure?: string }

const agent = new Agent({ keepAlive: true, maxSockets: 64 })
const payload = Buffer.alloc(3000, 'weft ')

const count = { sent: 0, ok: 0, posts: 0, heldBack: 0, slowestMs: 0, out: 0, ticks: 0, echoes: 0 }
let failed: Record<string, number> = {}
let failedPosts = 0
let by: Record<string, number> = {}
let cut: string[] = []
let isStopping = false

/** Resolves always; a failure is an outcome. */
function send({ path = '/', method, headers = {} }: Pick<Asked, 'path' | 'method' | 'headers'>, size: number): Promise<Outcome> {
  return new Promise(resolve => {
    const body = payload.subarray(0, size)
    const wrong = (reason: string): void => resolve({ by: '', saw: '', failure: reason })
    const outgoing = request(
      new URL(path, TO),
      { agent, method: method ?? 'GET', headers: { ...headers, ...(size > 0 ? { 'content-length': size } : {}) } },
      response => {
        const parts: Buffer[] = []
        response.on('data', (part: Buffer) => parts.push(part))
        response.on('error', error => wrong(`broken answer: ${error.message}`))
        response.on('end', () => resolve(judge(response, Buffer.concat(parts), body)))
      },
    )
    outgoing.on('error', error => wrong(`${(error as NodeJS.ErrnoException).code ?? ''} ${error.message}`.trim()))
    outgoing.end(size > 0 ? body : undefined)
  })
}

function judge({ statusCode, headers }: IncomingMessage, got: Buffer, sent: Buffer): Outcome {
  const [answeredBy, saw] = [String(headers['x-answered-by'] ?? ''), String(headers['x-saw'] ?? '')]
  if (statusCode !== 200)
    return {
      by: answeredBy,
      saw,
      failure: `${statusCode} ${String(headers['x-weft-error'] ?? '')} ${String(headers['x-weft-error-detail'] ?? '')}`.trim(),
    }
  if (!got.equals(sent)) return { by: answeredBy, saw, failure: `sent ${sent.length} bytes, got ${got.length} back` }
  return { by: answeredBy, saw }
}

async function one(at: number): Promise<void> {
  const isPost = at % 4 === 3
  if (isPost) count.posts++
  count.sent++
  count.out++
  const began = performance.now()
  const { failure, by: answeredBy } = await send({ method: isPost ? 'POST' : 'GET' }, isPost ? 1 + ((at * 37) % payload.length) : 0)
  count.out--
  count.slowestMs = Math.max(count.slowestMs, performance.now() - began)
  if (failure === undefined) {
    count.ok++
    by[answeredBy] = (by[answeredBy] ?? 0) + 1
    return
  }
  if (isPost) failedPosts++
  failed[failure] = (failed[failure] ?? 0) + 1
}

const began = performance.now()
const ticker = setInterval(() => {
  const due = Math.floor(((performance.now() - began) * rate) / 1000)
  for (let at = count.sent + count.heldBack; at < due && !isStopping; at++) {
    if (count.out < maxOut) void one(at)
    else count.heldBack++
  }
}, 5)

/** Answers that never end; the first line counts as the connection made. */
function listen(): void {
  request(new URL('/ticks', TO), response => {
    response.on('data', (lines: Buffer) => (count.ticks += lines.length / 5))
    response.on('error', () => {})
    response.on('close', () => isStopping || cut.push('an endless answer'))
  })
    .on('error', error => isStopping || cut.push(`an endless answer: ${error.message}`))
    .end()
}
for (let at = 0; at < Number(TICKS); at++) listen()

/** A byte every 100 ms over one connection, which comes back. */
function echo(host: string, port: number): void {
  const socket = connect(port, host)
  socket.on('data', bytes => (count.echoes += bytes.length))
  socket.on('error', () => {})
  socket.on('close', () => isStopping || cut.push('a TCP connection'))
  setInterval(() => socket.writable && socket.write('.'), 100).unref()
}
if (TCP !== '') echo(new URL(TCP).hostname, Number(new URL(TCP).port))

const report = (): Report => ({ ...count, seconds: (performance.now() - began) / 1000, failed, failedPosts, by, cut })

/** As fast as they come back. */
async function ask({ times = 1, atOnce = 16, ...what }: Asked): Promise<Readonly<Record<string, number>>> {
  const tally: Record<string, number> = {}
  let left = times
  const work = async (): Promise<void> => {
    while (left-- > 0) {
      const { by: answeredBy, saw, failure } = await send(what, what.method === 'POST' ? 100 : 0)
      const key = failure ?? `${answeredBy}${saw === '' ? '' : ` saw ${saw}`}`
      tally[key] = (tally[key] ?? 0) + 1
    }
  }
  await Promise.all(Array.from({ length: Math.min(atOnce, times) }, work))
  return tally
}

const say = (id: number, value: unknown): void => void process.stdout.write(`${JSON.stringify({ id, value })}\n`)

for await (const line of createInterface({ input: process.stdin })) {
  const order = JSON.parse(line) as Order
  if (order.do === 'ask') void ask(order).then(tally => say(order.id, tally))
  else if (order.do === 'report') say(order.id, report())
  else {
    isStopping = true
    clearInterval(ticker)
    while (count.out > 0) await new Promise(resolve => setTimeout(resolve, 10))
    say(order.id, report())
    break
  }
}
process.exit(0)
