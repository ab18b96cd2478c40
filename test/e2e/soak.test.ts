/** The short form of `npm run soak`. WEFT_TEST_SOAK=2m: for that long. */

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import process from 'node:process'
import { test } from 'node:test'
import { root } from '../harness/mesh.ts'

test('mixed load with broken requests, changes and new certificates: nothing fails that should not, nothing stays open', context => {
  const args = ['--disable-warning=ExperimentalWarning', join(root, 'test/soak.ts'), '--for', process.env['WEFT_TEST_SOAK'] ?? '20s']
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8', timeout: 600_000 })
  context.diagnostic(stdout)
  assert.equal(status, 0, `${stdout}\n${stderr}`)
})
