/** The times of rules: moments, hours on the wall, the nights that a clock is put forward or back, and when it has to be asked again. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { Access, AccessRule, TimeWindow } from '../access-rule.ts'
import { CallerAccess } from '../access.ts'
import { accessNow, changesAfter, isOpen, nextChange } from './window.ts'

const at = (text: string): number => Date.parse(text)
const berlin = (from: number, to: number, days = [0, 1, 2, 3, 4, 5, 6]): TimeWindow => ({
  weekly: { days, from, to, timeZone: 'Europe/Berlin' },
})
const hours = (from: number, to: number): TimeWindow => berlin(from * 60, to * 60)
const rule = (name: string, ...when: readonly TimeWindow[]): AccessRule => ({
  name,
  from: [],
  to: [],
  ...(when.length === 0 ? {} : { when }),
})

test('a moment is in it from its first to before its last', () => {
  const window: TimeWindow = { notBefore: at('2026-12-01T00:00:00Z'), notAfter: at('2026-12-02T00:00:00Z') }
  const open = ['2026-11-30T23:59:59.999Z', '2026-12-01T00:00:00Z', '2026-12-01T23:59:59.999Z', '2026-12-02T00:00:00Z']
  assert.deepEqual(
    open.map(text => isOpen(window, at(text))),
    [false, true, true, false],
  )
  assert.equal(changesAfter(window, at('2026-11-01T00:00:00Z')), window.notBefore)
  assert.equal(changesAfter(window, window.notBefore!), window.notAfter)
  assert.equal(changesAfter(window, window.notAfter!), Infinity)
})

test('hours are those of the wall, whichever the offset of the season', () => {
  const office = berlin(9 * 60, 17 * 60, [1, 2, 3, 4, 5])
  for (const [text, wanted] of [
    ['2026-01-05T07:59:59Z', false], // a Monday, in winter an hour ahead
    ['2026-01-05T08:00:00Z', true],
    ['2026-07-06T06:59:59Z', false], // in summer two
    ['2026-07-06T07:00:00Z', true],
    ['2026-07-06T15:00:00Z', false],
    ['2026-07-04T10:00:00Z', false], // a Saturday
  ] as const)
    assert.equal(isOpen(office, at(text)), wanted, text)
})

test('what ends before it begins goes on into the next day', () => {
  const night = berlin(22 * 60, 6 * 60, [5])
  for (const [text, wanted] of [
    ['2026-01-09T20:59:59Z', false],
    ['2026-01-09T21:00:00Z', true], // Friday 22:00
    ['2026-01-10T04:59:59Z', true], // Saturday 05:59
    ['2026-01-10T05:00:00Z', false],
    ['2026-01-10T21:30:00Z', false], // Saturday evening begins none
    ['2026-01-09T02:00:00Z', false], // Friday night is of Thursday
  ] as const)
    assert.equal(isOpen(night, at(text)), wanted, text)
})

test('an hour that a clock skips is in no window, and one that it shows twice is in it twice', () => {
  // 2026-03-29: 02:00 becomes 03:00 at 01:00Z. 2026-10-25: 03:00 becomes 02:00 at 01:00Z.
  assert.deepEqual(
    ['2026-03-29T00:59:59Z', '2026-03-29T01:00:00Z', '2026-03-29T01:30:00Z'].map(text => isOpen(hours(2, 3), at(text))),
    [false, false, false],
  )
  assert.deepEqual(
    ['2026-10-25T00:30:00Z', '2026-10-25T01:30:00Z', '2026-10-25T02:00:00Z'].map(text => isOpen(hours(2, 3), at(text))),
    [true, true, false],
  )
  // What ends in the hour that is skipped ends when it is skipped.
  assert.equal(isOpen(berlin(60, 150), at('2026-03-29T00:59:59.999Z')), true)
  assert.equal(changesAfter(berlin(60, 150), at('2026-03-29T00:30:00Z')), at('2026-03-29T01:00:00Z'))
  assert.equal(isOpen(berlin(60, 150), at('2026-03-29T01:00:00Z')), false)
})

test('nothing opens or closes between one asking and the next that is told', () => {
  const zones = ['UTC', 'Europe/Berlin', 'America/New_York', 'Australia/Lord_Howe', 'Asia/Kathmandu', 'Pacific/Apia', 'America/St_Johns']
  const window = fc.record({
    days: fc.subarray([0, 1, 2, 3, 4, 5, 6], { minLength: 1 }),
    from: fc.integer({ min: 0, max: 1439 }),
    to: fc.integer({ min: 1, max: 1440 }),
    timeZone: fc.constantFrom(...zones),
  })
  // The days about which clocks are moved in one of these, and any.
  const around = ['2026-03-08', '2026-03-29', '2026-04-05', '2026-10-04', '2026-10-25', '2026-11-01', '2011-12-30'].map(day =>
    at(`${day}T00:00:00Z`),
  )
  const start = fc.tuple(fc.constantFrom(...around), fc.integer({ min: -86_400_000, max: 86_400_000 })).map(([day, off]) => day + off)
  fc.assert(
    fc.property(
      window,
      start,
      fc.array(fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }), { maxLength: 20 }),
      (weekly, now, parts) => {
        if (weekly.from === weekly.to) return
        const next = changesAfter({ weekly }, now)
        assert.ok(next > now && next - now <= 86_400_000, `${next - now}`)
        const was = isOpen({ weekly }, now)
        for (const part of [...parts, 0.999_999_9]) {
          const then = Math.min(next - 1, Math.floor(now + part * (next - now)))
          assert.equal(isOpen({ weekly }, then), was, `${new Date(now).toISOString()} and ${new Date(then).toISOString()}`)
        }
      },
    ),
    { numRuns: 300 },
  )
})

test('a rule that allows or denies at other times does neither, and what holds stays the same object until something changes', () => {
  const day = hours(8, 20)
  const access: Access = { deny: [rule('d', hours(20, 24))], allow: [rule('a', day)] }
  const judged = (text: string) => new CallerAccess(access, { identity: undefined, address: undefined }, at(text)).judgeConnection()
  assert.deepEqual([judged('2026-01-05T12:00:00Z').isAllowed, judged('2026-01-05T12:00:00Z').rule?.name], [true, 'a'])
  assert.deepEqual([judged('2026-01-05T20:00:00Z').isAllowed, judged('2026-01-05T20:00:00Z').rule?.name], [false, 'd'])
  assert.deepEqual([judged('2026-01-05T02:00:00Z').isAllowed, judged('2026-01-05T02:00:00Z').rule], [false, undefined])
  const noon = at('2026-01-05T12:00:00Z')
  assert.equal(accessNow(access, noon), accessNow(access, noon + 60_000))
  assert.equal(accessNow(access, noon), accessNow(access, noon - 60_000), 'a clock that goes back')
  assert.notEqual(accessNow(access, noon), accessNow(access, at('2026-01-05T20:00:00Z')))
  assert.equal(nextChange(access, noon), at('2026-01-05T19:00:00Z'))
  const timeless: Access = { deny: [rule('d')] }
  assert.deepEqual([accessNow(timeless, noon) === timeless, nextChange(timeless, noon)], [true, Infinity])
})
