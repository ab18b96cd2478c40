import assert from 'node:assert/strict'
import { test } from 'node:test'
import { TestClock } from '#base/clock'
import { driveRotation, type Life, renewAt, Rotation } from './rotation.ts'

const life: Life = { notBefore: 0, notAfter: 30_000 }
const half = (): number => 0.5

test('the first certificate is asked for at once, the next after two thirds of its life', () => {
  const rotation = new Rotation(0, half)
  assert.equal(rotation.deadline, 0)
  assert.deepEqual(rotation.expire(0), ['ask'])
  assert.equal(rotation.state, 'first')
  assert.equal(rotation.deadline, undefined)
  rotation.got(life)
  assert.equal(rotation.deadline, 20_000)
  assert.deepEqual(rotation.expire(19_999), [])
  assert.deepEqual(rotation.expire(20_000), ['ask'])
  assert.equal(rotation.state, 'renewing')
})

test('renewals spread over a tenth of the life', () => {
  assert.equal(renewAt(life, 0), 18_500)
  assert.equal(renewAt(life, 1), 21_500)
})

test('a failed renewal is tried again with growing waits, and the certificate stays in use until it ends', () => {
  const rotation = new Rotation(0, half)
  rotation.expire(0)
  rotation.got(life)
  const waits: number[] = []
  let now = 20_000
  while (now < 28_000) {
    assert.deepEqual(rotation.expire(now), ['ask'])
    rotation.failed(now)
    assert.equal(rotation.state, 'held')
    waits.push(rotation.deadline! - now)
    now = rotation.deadline!
  }
  assert.deepEqual(
    waits,
    waits.toSorted((a, b) => a - b),
  )
  assert.ok(waits.at(-1)! > waits[0]!)
})

test('a certificate that ends while an answer is awaited is told as expired, and the answer still helps', () => {
  const rotation = new Rotation(0, half)
  rotation.expire(0)
  rotation.got(life)
  rotation.expire(20_000)
  assert.equal(rotation.deadline, 30_000)
  assert.deepEqual(rotation.expire(30_000), ['expired'])
  assert.equal(rotation.state, 'late')
  rotation.failed(30_000)
  assert.equal(rotation.state, 'expired')
  assert.deepEqual(rotation.expire(rotation.deadline!), ['ask'])
  rotation.got({ notBefore: 31_000, notAfter: 61_000 })
  assert.equal(rotation.state, 'held')
})

test('a host that slept past the end hears both: expired, and ask', () => {
  const rotation = new Rotation(0, half)
  rotation.got(life)
  assert.deepEqual(rotation.expire(99_000), ['expired', 'ask'])
  assert.equal(rotation.state, 'late')
})

test('what cannot happen is an error', () => {
  const rotation = new Rotation(0, half)
  assert.throws(() => rotation.failed(0), /failed cannot happen in state empty/)
})

test('the driver renews by its clock, survives failures, and stops', async () => {
  const clock = new TestClock(0)
  let asked = 0
  const failures: unknown[] = []
  let expiries = 0
  const driven = driveRotation({
    clock,
    random: half,
    kept: life,
    ask: async () => {
      if (++asked <= 2) throw new Error('down')
      return { notBefore: clock.now(), notAfter: clock.now() + 30_000 }
    },
    failed: thrown => void failures.push(thrown),
    expired: () => void expiries++,
  })
  const settle = (): Promise<void> => new Promise(resolve => setImmediate(resolve))
  clock.advance(20_000)
  await settle()
  assert.deepEqual([asked, failures.length, driven.state()], [1, 1, 'held'])
  clock.advance(10_000)
  await settle()
  clock.advance(60_000)
  await settle()
  assert.deepEqual([asked, failures.length, expiries, driven.state()], [3, 2, 1, 'held'])
  driven.stop()
  clock.advance(1_000_000)
  await settle()
  assert.equal(asked, 3)
})
