import assert from 'node:assert/strict'
import { test } from 'node:test'
import { TestClock } from '#base/clock'
import type { Probe } from '#xds/rpcs'
import { Prober } from './probe.ts'

const probe: Probe = {
  name: 'probe/8080',
  host: '127.0.0.1',
  port: 8080,
  check: { type: 'tcp' },
  failures: 1,
  timeoutMs: 1000,
  intervalMs: 1000,
}

/** How often a port was asked in each of so many seconds. */
async function asked(seconds: number, serves: (second: number) => boolean): Promise<readonly number[]> {
  const clock = new TestClock()
  const counts: number[] = []
  let second = 0
  const prober = new Prober(
    async () => {
      counts[second] = (counts[second] ?? 0) + 1
      if (!serves(second)) throw new Error('refused')
    },
    clock,
    () => {},
  )
  prober.follow({ reportMs: 1000, probes: [probe] })
  for (; second < seconds; second++)
    for (let ms = 0; ms < 1000; ms += 5) {
      await new Promise(resolve => setImmediate(resolve))
      clock.advance(5)
    }
  prober.stop()
  return counts
}

test('a port that does not serve yet is asked eagerly at first, then as often as one that serves', async () => {
  const counts = await asked(30, () => false)
  assert.ok(counts[0]! >= 35 && counts[3]! >= 35, `${counts}`)
  assert.ok(counts[29]! <= 2, `${counts}`)
})

test('a port that serves is asked once in its interval', async () => {
  const counts = await asked(5, second => second > 0)
  assert.deepEqual(counts.slice(2), [1, 1, 1])
})

test('a port that served counts as gone when it refuses, or when it was silent three times in a row', async () => {
  const clock = new TestClock()
  let outcome: 'serves' | 'refuses' | 'silent' = 'serves'
  let said = ''
  const ask = (): Promise<void> =>
    outcome === 'silent'
      ? new Promise((_, reject) => clock.after(1000, () => reject(new Error('no answer'))))
      : outcome === 'serves'
        ? Promise.resolve()
        : Promise.reject(new Error('refused'))
  const prober = new Prober(ask, clock, ([result]) => (said = result!.status))
  prober.follow({ reportMs: 100, probes: [probe] })
  const pass = async (seconds: number): Promise<string> => {
    for (let ms = 0; ms < seconds * 1000; ms += 50) {
      await new Promise(resolve => setImmediate(resolve))
      clock.advance(50)
    }
    await new Promise(resolve => setImmediate(resolve))
    return said
  }
  assert.equal(await pass(2), 'healthy')
  outcome = 'silent'
  // Asked a second after the last answer, and each time for a second.
  assert.equal(await pass(4.5), 'healthy')
  assert.equal(await pass(3), 'unhealthy')
  outcome = 'serves'
  assert.equal(await pass(3), 'healthy')
  outcome = 'refuses'
  assert.equal(await pass(1.5), 'unhealthy')
  prober.stop()
})

test('a port that is to fail so often on end counts as gone with the last of them, and a success between begins anew', async () => {
  const clock = new TestClock()
  let serves = true
  let said = ''
  const ask = (): Promise<void> => (serves ? Promise.resolve() : Promise.reject(new Error('refused')))
  const prober = new Prober(ask, clock, ([result]) => (said = result!.status))
  prober.follow({ reportMs: 100, probes: [{ ...probe, failures: 3 }] })
  const pass = async (seconds: number): Promise<string> => {
    for (let ms = 0; ms < seconds * 1000; ms += 50) {
      await new Promise(resolve => setImmediate(resolve))
      clock.advance(50)
    }
    await new Promise(resolve => setImmediate(resolve))
    return said
  }
  assert.equal(await pass(1.5), 'healthy')
  serves = false
  assert.equal(await pass(2), 'healthy', 'two failures')
  serves = true
  await pass(1)
  serves = false
  assert.equal(await pass(2), 'healthy', 'two again')
  assert.equal(await pass(1), 'unhealthy')
  prober.stop()
})
