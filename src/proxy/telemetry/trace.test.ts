/** Which requests are sampled, and what they take along. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Tracing } from '#model/telemetry'
import { traceOf, untraced } from './trace.ts'

const tracing: Tracing = { url: 'http://c', backend: 'b', service: 'web', encoding: 'json', propagation: ['w3c', 'b3'], attributes: [] }
const trace = '4bf92f3577b34da6a3ce929d0e0e4736'
const span = '00f067aa0ba902b7'
const part = { ...tracing, share: 10_000 }

test('what a request says of sampling holds; without a word of it chance decides', () => {
  assert.equal(traceOf([], tracing).isSampled, true)
  assert.equal(traceOf([], part, () => 0.00999).isSampled, true)
  assert.equal(traceOf([], part, () => 0.01).isSampled, false)
  assert.equal(traceOf([], { ...tracing, share: 0 }, () => 0).isSampled, false)
  for (const [fields, isSampled] of [
    [['traceparent', `00-${trace}-${span}-01`], true],
    [['traceparent', `00-${trace}-${span}-00`], false],
    [['b3', '0'], false],
    [['b3', 'd'], true],
  ] as const)
    for (const chance of [0, 0.999]) assert.equal(traceOf(fields, part, () => chance).isSampled, isSampled, fields.join())
  const undecided = ['b3', `${trace}-${span}`]
  assert.deepEqual(
    [0, 0.999].map(chance => traceOf(undecided, part, () => chance).isSampled),
    [true, false],
  )
})

test('each request has a span of its own, in the trace that it brought or in a new one', () => {
  const made = Array.from({ length: 2_000 }, () => traceOf([], tracing))
  assert.equal(new Set(made.map(each => each.traceId)).size, 2_000)
  assert.equal(new Set(made.map(each => each.spanId)).size, 2_000)
  for (const { traceId, spanId, parentId } of made)
    assert.ok(/^[0-9a-f]{32}$/.test(traceId) && /^[0-9a-f]{16}$/.test(spanId) && parentId === '')
  const brought = traceOf(['traceparent', `00-${trace}-${span}-01`], tracing)
  assert.deepEqual([brought.traceId, brought.parentId], [trace, span])
  assert.notEqual(brought.spanId, span)
})

test('what a request causes besides belongs to its span', () => {
  const brought = traceOf(['traceparent', `00-${trace}-${span}-03`, 'tracestate', 'a=1', 'b3', '1'], tracing)
  const lent = brought.lent()
  brought.failed('b', undefined, 'connect-refused', 1)
  assert.equal(lent.failedTries, undefined)
  assert.deepEqual(lent.written(['host', 'a']), brought.written(['host', 'a']))
  assert.match(
    lent.written([]).join(' '),
    new RegExp(`^traceparent 00-${trace}-${brought.spanId}-03 tracestate a=1 x-b3-traceid ${trace} `),
  )
})

test('those that carry spans say that they are not sampled', () => {
  assert.match(
    untraced({ ...tracing, propagation: ['w3c'] })
      .lent()
      .written([])[1]!,
    /^00-[0-9a-f]{32}-[0-9a-f]{16}-00$/,
  )
})
