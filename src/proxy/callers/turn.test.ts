import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Turn } from './turn.ts'

const nextTurn = () => new Promise(resolve => setImmediate(resolve))

test('what is put off several times within a turn runs once, as it was given last', async () => {
  const turn = new Turn()
  const ran: string[] = []
  turn.atEnd(() => ran.push('first'))
  turn.atEnd(() => ran.push('last'))
  assert.deepEqual(ran, [])
  await nextTurn()
  assert.deepEqual(ran, ['last'])
})

test('work may put itself off again', async () => {
  const turn = new Turn()
  let times = 0
  turn.atEnd(() => turn.atEnd(() => times++))
  await nextTurn()
  await nextTurn()
  assert.equal(times, 1)
})
