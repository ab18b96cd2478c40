/** How spans go to a collector: in batches, again where that may help, and never so that something waits for them. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { TestClock } from '#base/clock'
import { encodeSpan, type Span } from '#wire/otlp'
import { type Posted, SpanExporter } from './span-exporter.ts'

const span: Span = {
  traceId: '4bf92f3577b34da6a3ce929d0e0e4736',
  spanId: '00f067aa0ba902b7',
  parentId: '',
  isSampled: true,
  state: '',
  name: 'GET',
  kind: 'server',
  startUs: 1,
  endUs: 2,
  attributes: [],
  events: [],
}
const encoded = encodeSpan(span, 'json')
const ok: Posted = { status: 200, retryAfter: undefined, body: new Uint8Array(0) }
const answers = (status: number, retryAfter?: string): Posted => ({ status, retryAfter, body: new Uint8Array(0) })

function exporter() {
  const clock = new TestClock(1_000)
  const posts: { readonly spans: number; readonly at: number; readonly done: (posted: Posted) => void }[] = []
  const counts: Record<string, number> = {}
  const told: (string | undefined)[] = []
  const made = new SpanExporter({
    encoding: 'json',
    resource: () => [],
    post: (body, done) => {
      const { resourceSpans } = JSON.parse(Buffer.from(body).toString()) as { resourceSpans: { scopeSpans: { spans: unknown[] }[] }[] }
      posts.push({ spans: resourceSpans[0]!.scopeSpans[0]!.spans.length, at: clock.now(), done })
    },
    count: (outcome, spans) => {
      counts[outcome] = (counts[outcome] ?? 0) + spans
    },
    tell: says => void told.push(says),
    clock,
    random: () => 0,
  })
  const add = (spans: number): void => {
    for (let at = 0; at < spans; at++) made.add(encoded)
  }
  return { exporter: made, clock, posts, counts, told, add }
}

test('what ended in one second goes together, and 512 at once, one request after another', () => {
  const { clock, posts, counts, add } = exporter()
  add(3)
  clock.advance(999)
  assert.equal(posts.length, 0)
  clock.advance(1)
  assert.deepEqual(
    posts.map(each => each.spans),
    [3],
  ) // prettier-ignore
  add(600)
  clock.advance(5_000)
  assert.equal(posts.length, 1, 'the first is under way')
  posts[0]!.done(ok)
  assert.deepEqual(
    posts.map(each => each.spans),
    [3, 512],
  ) // prettier-ignore
  posts[1]!.done(ok)
  clock.advance(1_000)
  assert.deepEqual(
    posts.map(each => each.spans),
    [3, 512, 88],
  ) // prettier-ignore
  posts[2]!.done(ok)
  assert.deepEqual(counts, { exported: 603 })
})

test('a collector that has too much to do, or is not there, is asked again after a pause, five times at most', () => {
  const { clock, posts, counts, told, add } = exporter()
  add(1)
  clock.advance(1_000)
  for (const posted of [answers(503), answers(429, '7'), { why: 'connect-refused' }, answers(502), answers(504)]) {
    posts.at(-1)!.done(posted)
    clock.advance(7_000)
  }
  assert.equal(posts.length, 5)
  assert.equal(posts[1]!.at - posts[0]!.at, 1_000)
  assert.ok(posts[2]!.at - posts[1]!.at >= 7_000, 'Retry-After is heeded')
  assert.deepEqual(counts, { failed: 1 })
  assert.deepEqual(told, ['answers 503', 'answers 429', 'connect-refused', 'answers 502', 'answers 504'])
  add(1)
  clock.advance(1_000)
  posts.at(-1)!.done(ok)
  assert.equal(told.at(-1), undefined)
  assert.deepEqual(counts, { failed: 1, exported: 1 })
})

test('what a collector does not take as it is is not sent again', () => {
  const { clock, posts, counts, add } = exporter()
  add(2)
  clock.advance(1_000)
  posts[0]!.done(answers(400))
  clock.advance(60_000)
  assert.equal(posts.length, 1)
  assert.deepEqual(counts, { refused: 2 })
  add(2)
  clock.advance(1_000)
  posts[1]!.done({ ...answers(200), body: Buffer.from('{"partialSuccess":{"rejectedSpans":"1","errorMessage":"too old"}}') } as Posted)
  assert.deepEqual(counts, { refused: 3, exported: 1 })
})

test('while nobody takes them, 2,048 wait and the others are dropped', () => {
  const { clock, posts, counts, add } = exporter()
  add(10_000)
  clock.advance(1_000)
  assert.deepEqual(
    posts.map(each => each.spans),
    [512],
  ) // prettier-ignore
  assert.deepEqual(counts, { dropped: 10_000 - 512 - 2_048 })
})

test('a process that ends hands over what waits, and waits for no collector longer than it wants', async () => {
  const good = exporter()
  good.add(700)
  const flushed = good.exporter.flush(1_000)
  good.posts[0]!.done(ok)
  good.posts[1]!.done(ok)
  await flushed
  assert.deepEqual([good.posts.map(each => each.spans), good.counts], [[512, 188], { exported: 700 }])

  const silent = exporter()
  silent.add(700)
  const left = silent.exporter.flush(1_000)
  silent.clock.advance(1_000)
  await left
  assert.deepEqual(silent.counts, { failed: 700 })
  silent.posts[0]!.done(ok)
  assert.deepEqual(silent.counts, { failed: 700 }, 'what comes too late counts no more')

  const failing = exporter()
  failing.add(700)
  failing.posts[0]!.done({ why: 'connect-refused' })
  await failing.exporter.flush(1_000)
  assert.deepEqual([failing.posts.length, failing.counts], [1, { failed: 700 }])

  const empty = exporter()
  await empty.exporter.flush(1_000)
  assert.deepEqual([empty.posts.length, empty.counts], [0, {}])
})
