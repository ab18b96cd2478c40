import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { IdMap } from './id-map.ts'

test('it holds what a Map holds, whatever comes and goes', () => {
  const step = fc.record({ id: fc.integer({ min: 1, max: 80 }), act: fc.constantFrom('set', 'delete') })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 400 }), steps => {
      const map = new Map<number, number>()
      const ids = new IdMap<number>(4)
      steps.forEach(({ id, act }, at) => {
        if (act === 'set') {
          map.set(id, at)
          ids.set(id, at)
        } else assert.equal(ids.delete(id), map.delete(id))
        assert.equal(ids.size, map.size)
      })
      for (let id = 1; id <= 80; id++) assert.equal(ids.get(id), map.get(id))
      assert.deepEqual(
        ids.values().sort((a, b) => a - b),
        [...map.values()].sort((a, b) => a - b),
      )
    }),
  )
})

test('a long-lived entry stays among a million that come and go', () => {
  const ids = new IdMap<string>()
  ids.set(1, 'stays')
  for (let id = 3; id < 2_000_000; id += 2) {
    ids.set(id, 'goes')
    if (id > 100) ids.delete(id - 64)
  }
  assert.equal(ids.get(1), 'stays')
})

test('cleared, it is empty and serves on', () => {
  const ids = new IdMap<string>()
  ids.set(7, 'x')
  ids.clear()
  assert.deepEqual([ids.size, ids.get(7), ids.values()], [0, undefined, []])
  ids.set(7, 'y')
  assert.equal(ids.get(7), 'y')
})
