import { test } from 'node:test'
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { compareLines } from './lines.ts'
import { unifiedDiff } from './unified.ts'

const patch = 'patch'
const plain = (_: unknown, text: string): string => text
const names = { left: 'a', right: 'b' }

test('the same text has no diff', () => {
  assert.deepEqual(unifiedDiff('x\ny\n', 'x\ny\n', names, plain), [])
})

test('a new object is all additions against nothing', () => {
  assert.deepEqual(unifiedDiff('', 'x\ny\n', names, plain), ['--- /dev/null', '+++ b', '@@ -0,0 +1,2 @@', '+x', '+y'])
})

test('changes near each other are one hunk, far ones are two', () => {
  const numbers = Array.from({ length: 30 }, (_, at) => `line ${at}`)
  const change = (...at: number[]): string => numbers.map((line, n) => (at.includes(n) ? 'changed' : line)).join('\n')
  const hunks = (text: string): number => unifiedDiff(numbers.join('\n'), text, names, plain).filter(line => line.startsWith('@@')).length
  assert.equal(hunks(change(5, 9)), 1)
  assert.equal(hunks(change(5, 20)), 2)
})

const text = fc.array(fc.constantFrom('a', 'b', 'c', 'd'), { maxLength: 30 })

test('the steps lead from one text to the other', () => {
  fc.assert(
    fc.property(text, text, (left, right) => {
      const steps = compareLines(left, right)
      assert.deepEqual(
        steps.filter(step => step.type !== 'added').map(step => step.line),
        left,
      )
      assert.deepEqual(
        steps.filter(step => step.type !== 'removed').map(step => step.line),
        right,
      )
    }),
  )
})

test('no shorter way exists than the one found', () => {
  const longestCommon = (a: readonly string[], b: readonly string[]): number => {
    let last = Array.from({ length: b.length + 1 }, () => 0)
    for (const x of a) {
      const row = [0]
      for (const [at, y] of b.entries()) row.push(x === y ? last[at]! + 1 : Math.max(last[at + 1]!, row[at]!))
      last = row
    }
    return last[b.length]!
  }
  fc.assert(
    fc.property(
      text,
      text,
      (left, right) => compareLines(left, right).filter(step => step.type === 'same').length === longestCommon(left, right),
    ),
  )
})

test('patch(1) makes the new text of the old one with it', t => {
  const folder = mkdtempSync(join(tmpdir(), 'weft-diff-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  try {
    execFileSync(patch, ['--version'])
  } catch {
    return t.skip('patch is not installed')
  }
  const file = join(folder, 'file')
  fc.assert(
    fc.property(text, text, (left, right) => {
      if (left.join() === right.join() || left.length === 0 || right.length === 0) return
      const [before, after] = [left, right].map(lines => `${lines.join('\n')}\n`)
      writeFileSync(file, before!)
      const made = execFileSync(patch, ['-s', '-o', '-', file], {
        input: `${unifiedDiff(before!, after!, names, plain).join('\n')}\n`,
        encoding: 'utf8',
      })
      assert.equal(made, after)
    }),
    { numRuns: 30 },
  )
})
