import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Budget } from './budget.ts'

const constraint = { percent: 20, intervalMs: 10_000, least: { count: 10, intervalMs: 1000 } }

/** Requests at a steady rate, of which each fails and asks for one more try; gives how many tries were allowed. */
function storm(budget: Budget, perSecond: number, seconds: number, from = 0): number {
  let made = 0
  for (let at = 0; at < perSecond * seconds; at++) {
    const now = from + (at * 1000) / perSecond
    budget.count(now)
    if (budget.take(now)) made++
  }
  return made
}

test('of many requests that all fail a fifth is tried again and no more', () => {
  const made = storm(new Budget(constraint), 1000, 60)
  assert.ok(made <= 12_000 && made > 11_500, `${made} of 60,000`)
})

test('where there are few requests each may be tried again, up to ten a second', () => {
  assert.equal(storm(new Budget(constraint), 5, 60), 300)
  const made = storm(new Budget(constraint), 20, 60)
  assert.ok(made >= 540 && made <= 680, `${made} of 1200`)
})

test('a budget of nothing allows nothing, and one of everything everything', () => {
  assert.equal(storm(new Budget({ ...constraint, percent: 0, least: { count: 0, intervalMs: 1000 } }), 100, 10), 0)
  assert.equal(storm(new Budget({ ...constraint, percent: 100 }), 100, 10), 1000)
})

test('what was long ago counts no longer', () => {
  const budget = new Budget({ ...constraint, least: { count: 0, intervalMs: 1000 } })
  for (let at = 0; at < 100; at++) budget.count(0)
  assert.equal(budget.take(5000), true)
  assert.equal(budget.take(20_000), false)
})
