import { test } from 'node:test'
import assert from 'node:assert/strict'
import { readDuration, tellAgo, tellLatency, tellLeft, tellSpan } from './moment.ts'

test('durations are read as Gateway API writes them, bare numbers as seconds', () => {
  assert.deepEqual(['30s', '1m30s', '500ms', '2', '0.5', 'soon', '', '-1s'].map(readDuration), [
    30_000,
    90_000,
    500,
    2000,
    500,
    undefined,
    undefined,
    undefined,
  ])
})

test('spans are told in two parts at most', () => {
  const minute = 60_000
  const spans = [0, 119_000, 3 * minute + 5000, 90 * minute, 200 * minute, 49 * 60 * minute, 400 * 24 * 60 * minute]
  assert.deepEqual(spans.map(tellSpan), ['0s', '119s', '3m5s', '90m', '3h20m', '2d1h', '400d'])
})

test('a time that is not known is told as such', () => {
  const now = Date.parse('2026-01-01T03:00:00Z')
  assert.deepEqual(
    ['2026-01-01T00:00:00Z', ''].map(at => tellAgo(at, now)),
    ['3h ago', 'unknown'],
  )
})

test('latencies keep two figures', () => {
  assert.deepEqual([0.84, 12.3, 1234, undefined].map(tellLatency), ['0.8 ms', '12 ms', '1.23 s', '-'])
})

test('an expired certificate is told as expired', () => {
  assert.equal(tellLeft('2026-01-02T00:00:00Z', Date.parse('2026-01-01T00:00:00Z')), '24h left')
  assert.equal(tellLeft('2026-01-01T00:00:00Z', Date.parse('2026-01-01T00:01:00Z')), 'expired 60s ago')
})
