import assert from 'node:assert/strict'
import { test } from 'node:test'
import { tellMtls } from './mtls.ts'

test('how much of the mesh takes plaintext is said plainly', () => {
  assert.deepEqual(tellMtls({ strict: 4, permissive: 0, disabled: 0, plaintext: 0 }), { isStrict: true, says: 'strict at all 4 ports' })
  assert.deepEqual(tellMtls({ strict: 1, permissive: 2, disabled: 0, plaintext: 1 }), {
    isStrict: false,
    says: 'permissive at 2 ports of 3, which take plaintext too; 1 port was called so in the last 10 min',
  })
  assert.match(tellMtls({ strict: 1, permissive: 0, disabled: 1, plaintext: 0 }).says, /^disabled at 1 port of 2; nobody spoke plaintext/)
})
