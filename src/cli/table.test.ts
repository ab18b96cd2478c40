import { test } from 'node:test'
import assert from 'node:assert/strict'
import { tableLines } from './table.ts'

const plain = { paint: (_: unknown, text: string) => text }

test('columns align, numbers to the right, no spaces at the end of a line', () => {
  const lines = tableLines(
    plain,
    [{ name: 'name' }, { name: 'weight', right: true }, { name: 'to' }],
    [
      ['a', '100', 'x'],
      ['longer', '5', 'y'],
    ],
  )
  assert.deepEqual(lines, ['NAME     WEIGHT   TO', 'a           100   x', 'longer        5   y'])
})

test('an empty cell keeps its place, so that a row has as many words as the headings', () => {
  const [, row] = tableLines(plain, [{ name: 'a' }, { name: 'b' }, { name: 'c' }], [['1', '', '3']])
  assert.deepEqual(row!.split(/\s+/), ['1', '-', '3'])
})

test('what came over the network cannot steer the terminal or break a line', () => {
  const [, row] = tableLines(plain, [{ name: 'a' }], [['x\u001b[31mred\nnext\u0007']])
  assert.equal(row, 'xred next')
})

test('colours do not change the widths', () => {
  const painted = { paint: (_: unknown, text: string) => `<${text}>` }
  const lines = tableLines(
    painted,
    [{ name: 's', style: () => 'green' }, { name: 'n' }],
    [
      ['ok', '1'],
      ['failed', '2'],
    ],
  )
  assert.deepEqual(lines.slice(1), ['<ok>       1', '<failed>   2'])
})
