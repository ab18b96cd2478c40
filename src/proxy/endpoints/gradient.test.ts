import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { AdaptiveConcurrency } from '#model/listener'
import { Gradient } from './gradient.ts'

const settings: AdaptiveConcurrency = {
  percentile: 50,
  intervalMs: 100,
  mostLimit: 1000,
  roundTrip: { intervalMs: 60_000, requests: 10, jitterPercent: 0, limit: 3, bufferPercent: 25 },
}

/** A server that does so many at once in 10 ms each, the others wait; asked by as many as the limit lets in, at most `callers`. Milliseconds of a clock of its own. */
class Server {
  readonly gradient: Gradient
  now = 0
  constructor(change: Partial<AdaptiveConcurrency> = {}) {
    this.gradient = new Gradient({ ...settings, ...change }, 0, () => 0)
  }
  /** Rounds of callers that all ask at once. Refused in the last one. */
  rounds(times: number, callers: number, atOnce: number, takesMs = 10): number {
    let refused = 0
    for (let round = 0; round < times; round++) {
      refused = 0
      const began = this.now
      let entered = 0
      for (let each = 0; each < callers; each++)
        if (this.gradient.enter(began)) entered++
        else refused++
      const ends = Array.from({ length: entered }, (_, at) => began + takesMs * (Math.floor(at / atOnce) + 1))
      for (const end of ends) this.gradient.left(began, (this.now = end))
      if (entered === 0) this.now += takesMs
    }
    return refused
  }
}

test('the least time is measured with few at once, and only then the limit grows as long as answers stay fast', () => {
  const server = new Server()
  assert.deepEqual([server.gradient.limit, server.gradient.isMeasuring, server.gradient.leastMs], [3, true, 0])
  assert.equal(server.rounds(3, 20, 100), 17)
  assert.equal(server.gradient.isMeasuring, true, 'nine answers are one too few')
  server.rounds(1, 20, 100)
  assert.deepEqual([server.gradient.isMeasuring, server.gradient.leastMs], [false, 10])
  assert.equal(server.rounds(200, 50, 100), 0)
  assert.ok(server.gradient.limit >= 50, String(server.gradient.limit))
})

test('the limit comes down to what the server bears when more only wait longer', () => {
  const server = new Server()
  server.rounds(4, 20, 20)
  server.rounds(400, 400, 20)
  // Twenty at once, and a queue that the buffer and the room for bursts allow.
  assert.ok(server.gradient.limit >= 15 && server.gradient.limit <= 60, String(server.gradient.limit))
})

test('it never goes above the highest limit, nor below the one of the measuring', () => {
  const high = new Server({ mostLimit: 30 })
  high.rounds(4, 20, 1000)
  high.rounds(100, 500, 1000)
  assert.equal(high.gradient.limit, 30)
  const low = new Server()
  low.rounds(4, 20, 100)
  // Ten times slower than it was: five times at the lowest, then it is measured anew.
  let least = Number.POSITIVE_INFINITY
  for (let round = 0; round < 30 && !low.gradient.isMeasuring; round++) {
    low.rounds(1, 50, 100, 100)
    least = Math.min(least, low.gradient.limit)
  }
  assert.equal(least, 3)
  assert.equal(low.gradient.isMeasuring, true)
  low.rounds(10, 50, 100, 100)
  assert.equal(low.gradient.leastMs, 100, 'now this is how fast it is')
})

test('after its interval the least time is measured again, and the limit goes on from where it was', () => {
  const server = new Server()
  server.rounds(4, 20, 100)
  server.rounds(300, 40, 100)
  const before = server.gradient.limit
  server.now = 61_000
  server.rounds(1, 40, 100)
  assert.deepEqual([server.gradient.isMeasuring, server.gradient.limit], [true, 3])
  server.rounds(4, 40, 100)
  assert.equal(server.gradient.isMeasuring, false)
  assert.ok(server.gradient.limit >= before, 'it was not begun anew')
})

test('what was given up, or began before the measuring, says nothing of how fast the server is', () => {
  const gradient = new Gradient(settings, 1000)
  for (let at = 0; at < 20; at++) {
    assert.equal(gradient.enter(1000), true)
    gradient.left(at % 2 === 0 ? undefined : 500, 1001)
  }
  assert.deepEqual([gradient.isMeasuring, gradient.underWay], [true, 0])
})
