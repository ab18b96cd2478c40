import assert from 'node:assert/strict'
import { test } from 'node:test'
import { bySpecificity, commonHost, ownerOf } from './hosts.ts'

test('a listener and a route meet in the hosts that both name, the narrower of the two', () => {
  assert.equal(commonHost('*', 'a.example.com'), 'a.example.com')
  assert.equal(commonHost('a.example.com', '*'), 'a.example.com')
  assert.equal(commonHost('*.example.com', 'a.b.example.com'), 'a.b.example.com')
  assert.equal(commonHost('a.example.com', '*.example.com'), 'a.example.com')
  assert.equal(commonHost('*.example.com', '*.b.example.com'), '*.b.example.com')
  assert.equal(commonHost('*.example.com', 'example.com'), undefined)
  assert.equal(commonHost('*.example.com', 'a.example.org'), undefined)
  assert.equal(commonHost('*.b.com', '*.ab.com'), undefined)
})

test('a host belongs to the listener that names it most narrowly', () => {
  const [all, suffix, longer, exact] = ['*', '*.example.com', '*.b.example.com', 'a.example.com'].map(hostname => ({ hostname }))
  const every = [all!, suffix!, longer!, exact!]
  assert.equal(ownerOf(every, 'a.example.com'), exact)
  assert.equal(ownerOf(every, 'c.b.example.com'), longer)
  assert.equal(ownerOf(every, '*.b.example.com'), longer)
  assert.equal(ownerOf(every, 'x.example.com'), suffix)
  assert.equal(ownerOf(every, 'example.org'), all)
  assert.equal(ownerOf([exact!], 'example.org'), undefined)
  assert.deepEqual(['*', '*.example.com', 'a.example.com', '*.b.example.com'].sort(bySpecificity), [
    'a.example.com',
    '*.b.example.com',
    '*.example.com',
    '*',
  ])
})
