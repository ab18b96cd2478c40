import assert from 'node:assert/strict'
import { test } from 'node:test'
import { TestClock } from '#base/clock'
import { metricNames } from '#model/metrics'
import { nobody } from './entry.ts'
import { Meter } from './meter.ts'

function following() {
  const clock = new TestClock(1_000_000)
  const meter = new Meter(() => nobody, 0)
  let own = { notAfter: clock.now() + 86_400_000, serial: 'aa' }
  meter.follow(() => own, clock)
  const pushed = (which: 'all' | 'changed') =>
    meter.registry.collect(which).find(({ name }) => name === metricNames.certificateExpiry)?.metrics
  return { clock, meter, pushed, renew: (serial: string) => (own = { notAfter: clock.now() + 86_400_000, serial }) }
}

test('how long the certificate is good for is in the first push, without anybody having asked for the metrics page', () => {
  const { pushed } = following()
  assert.deepEqual(pushed('all'), [{ labels: { serial: 'aa' }, value: 86_400 }])
})

test('an idle proxy gives a sign of life every 15 seconds, not every second', () => {
  const { clock, pushed } = following()
  pushed('all')
  const told = Array.from({ length: 45 }, () => {
    clock.advance(1000)
    return pushed('changed')?.[0]?.value
  })
  assert.deepEqual(
    told.flatMap((value, at) => (value === undefined ? [] : [[at + 1, value]])),
    [
      [15, 86_385],
      [30, 86_370],
      [45, 86_355],
    ],
  )
})

test('a renewed certificate is told at once, and the old one no more', () => {
  const { clock, meter, pushed, renew } = following()
  pushed('all')
  clock.advance(1000)
  renew('bb')
  assert.deepEqual(pushed('changed'), [{ labels: { serial: 'bb' }, value: 86_400 }])
  clock.advance(2000)
  const page = meter.registry.text()
  assert.match(page, /^weft_certificate_expiry_seconds\{serial="bb"\} 86398$/m)
  assert.doesNotMatch(page, /serial="aa"/)
})
