import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Fault } from '#model/view'
import { hitBy } from './fault.ts'

const half: Fault = {
  policy: 'default/half',
  delay: { ms: 100, jitterMs: 20, share: 500_000 },
  abort: { type: 'http', status: 503, share: 250_000 },
}
const rolls = (...values: readonly number[]) => {
  let at = 0
  return () => values[at++] ?? 0
}

test('delay and abort befall a request by a chance of their own each', () => {
  assert.equal(hitBy(half, rolls(0.5, 0.25), 0), undefined)
  assert.deepEqual(hitBy(half, rolls(0.49, 0.25, 0.5), 0), { delayMs: 100, abort: undefined })
  assert.deepEqual(hitBy(half, rolls(0.5, 0.24), 0), { delayMs: 0, abort: half.abort })
  assert.deepEqual(hitBy(half, rolls(0, 0, 0), 0), { delayMs: 80, abort: half.abort })
})

test('a share of nothing spares everybody, of all nobody', () => {
  const all: Fault = { policy: 'x', abort: { type: 'reset', share: 1_000_000 } }
  assert.notEqual(
    hitBy(all, () => 0.999_999_9, 0),
    undefined,
  )
  assert.equal(
    hitBy({ policy: 'x', abort: { type: 'reset', share: 0 } }, () => 0, 0),
    undefined,
  )
})

test('what has ended does nothing, whoever still has it', () => {
  assert.notEqual(
    hitBy({ ...half, endsAt: 1000 }, () => 0, 999),
    undefined,
  )
  assert.equal(
    hitBy({ ...half, endsAt: 1000 }, () => 0, 1000),
    undefined,
  )
})
