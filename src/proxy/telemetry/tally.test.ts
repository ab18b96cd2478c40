import assert from 'node:assert/strict'
import { test } from 'node:test'
import { observe, Registry } from '../registry.ts'
import { Share, Teller } from '../tally.ts'

function worker() {
  const registry = new Registry()
  const requests = registry.family('requests_total', 'counter', 'Requests', ['code'])
  const active = registry.family('active', 'gauge', 'Open', [])
  const duration = registry.family('seconds', 'histogram', 'Time', [])
  const teller = new Teller(registry)
  return { requests, active, duration, teller }
}

test('what workers count is added up, and each thing is told once', () => {
  const owner = new Registry()
  const workers = [worker(), worker()]
  const shares = workers.map(() => new Share(owner))
  const pass = () => workers.forEach(({ teller }, at) => shares[at]!.add(teller.take()))
  workers[0]!.requests.sample(['200']).value += 3
  workers[1]!.requests.sample(['200']).value += 4
  workers[1]!.requests.sample(['503']).value += 1
  observe(workers[0]!.duration.sample([]), 0.002)
  observe(workers[1]!.duration.sample([]), 0.004)
  pass()
  pass()
  workers[0]!.requests.sample(['200']).value += 1
  pass()
  const lines = owner.text().split('\n')
  assert.ok(lines.includes('requests_total{code="200"} 8'))
  assert.ok(lines.includes('requests_total{code="503"} 1'))
  assert.ok(lines.includes('seconds_bucket{le="0.002"} 1'))
  assert.ok(lines.includes('seconds_bucket{le="0.005"} 2'))
  assert.ok(lines.includes('seconds_count 2'))
  assert.deepEqual(workers[0]!.teller.take(), [])
})

test('when a worker is gone its counters stay and its gauges do not', () => {
  const owner = new Registry()
  const [left, gone] = [worker(), worker()]
  const [kept, lost] = [new Share(owner), new Share(owner)]
  left.active.sample([]).value = 2
  gone.active.sample([]).value = 5
  gone.requests.sample(['200']).value = 9
  kept.add(left.teller.take())
  lost.add(gone.teller.take())
  assert.match(owner.text(), /^active 7$/m)
  lost.withdraw()
  assert.match(owner.text(), /^active 2$/m)
  assert.match(owner.text(), /^requests_total\{code="200"\} 9$/m)
})
