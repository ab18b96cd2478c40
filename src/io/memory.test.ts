import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import process from 'node:process'
import { test } from 'node:test'
import { promisify } from 'node:util'

test('a process that rests after much work gives its memory back, and still ends by itself', async () => {
  const script = `
    import { giveBackWhenResting } from ${JSON.stringify(join(import.meta.dirname, 'memory.ts'))}
    giveBackWhenResting()
    let kept = []
    for (let n = 0; n < 60; n++) kept = [...kept.slice(-20), Array.from({ length: 20_000 }, () => ({ n }))]
    kept = []
    const before = process.memoryUsage.rss()
    for (let waited = 0; waited < 60 && process.memoryUsage.rss() > before - 8e6; waited++) await new Promise(r => setTimeout(r, 500))
    console.log(JSON.stringify({ before, after: process.memoryUsage.rss(), gc: typeof gc }))`
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', script], { timeout: 60_000 })
  const { before, after, gc } = JSON.parse(stdout) as { before: number; after: number; gc: string }
  assert.ok(after < before - 8e6, `${before} before, ${after} after`)
  assert.equal(gc, 'undefined', 'no program gets a gc() by this')
})
