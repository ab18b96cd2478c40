import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Resource } from '#resources/kind'
import { changesBetween } from './audit.ts'

const secret = (value: string, applied = true): Resource => {
  const plain = { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'keys', namespace: 'shop' }, data: { password: value } }
  const annotations = { 'kubectl.kubernetes.io/last-applied-configuration': JSON.stringify(plain) }
  return { ...plain, metadata: { ...plain.metadata, ...(applied ? { annotations } : {}) } }
}

test('what a Secret holds is in no record: not when it is made, changed or deleted, and not in what kubectl notes of it', () => {
  const [one, two] = [secret('cGxhbnRlZC1vbmU='), secret('cGxhbnRlZC10d28=')]
  for (const [before, after] of [
    [undefined, one],
    [one, two],
    [one, undefined],
    [secret('cGxhbnRlZC1vbmU=', false), two],
    [two, secret('cGxhbnRlZC1vbmU=', false)],
  ] as const) {
    const changes = changesBetween(before, after)
    const text = JSON.stringify(changes)
    assert.doesNotMatch(text, /cGxhbnRlZC/, text)
    assert.match(text, /"data/)
    assert.match(text, /annotations.*\(hidden\)/)
  }
  // That it is there, and what it is called, is told.
  const made = changesBetween(undefined, one).find(({ path }) => path === 'metadata')!
  assert.deepEqual(made.after, { name: 'keys', namespace: 'shop', annotations: '(hidden)' })
})

test('of what is no Secret everything is told', () => {
  const map = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'a', annotations: { b: 'c' } }, data: { d: 'e' } }
  assert.deepEqual(changesBetween(undefined, map as Resource).find(({ path }) => path === 'data')?.after, { d: 'e' })
})
