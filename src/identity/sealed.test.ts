import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Sealer } from './sealed.ts'

const key = (byte: number): Uint8Array => new Uint8Array(32).fill(byte)

test('what is sealed is opened by the same key and the same purpose, and twice sealed it is not the same', () => {
  const sealer = new Sealer([key(1)], 'session')
  const [one, other] = [sealer.seal('{"sub":"ann"}'), sealer.seal('{"sub":"ann"}')]
  assert.notEqual(one, other)
  assert.match(one, /^[\w-]+$/)
  assert.ok(!Buffer.from(one, 'base64url').includes('ann'))
  assert.equal(new Sealer([key(1)], 'session').open(one), '{"sub":"ann"}')
})

test('another key, another purpose, a changed bit, a cut end and another spelling are not opened', () => {
  const sealer = new Sealer([key(1)], 'session')
  const sealed = sealer.seal('text')
  assert.equal(new Sealer([key(2)], 'session').open(sealed), undefined)
  assert.equal(new Sealer([key(1)], 'pending').open(sealed), undefined)
  const bytes = Buffer.from(sealed, 'base64url')
  for (let at = 0; at < bytes.length; at++) {
    const changed = Buffer.from(bytes)
    changed[at]! ^= 1
    assert.equal(sealer.open(changed.toString('base64url')), undefined, `byte ${at}`)
  }
  for (const bad of ['', '=', sealed.slice(0, -4), sealed.slice(0, 8), `${sealed}A`, `${sealed}=`, `${sealed} `, 'ü'])
    assert.equal(sealer.open(bad), undefined, bad)
})

test('a new key seals, and that of before still opens', () => {
  const old = new Sealer([key(1)], 'session').seal('text')
  const rotated = new Sealer([key(2), key(1)], 'session')
  assert.equal(rotated.open(old), 'text')
  assert.equal(new Sealer([key(1)], 'session').open(rotated.seal('text')), undefined)
})
