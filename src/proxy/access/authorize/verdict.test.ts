import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { CheckField, CheckReply } from '#xds/rpcs'
import { verdictOf, verdictOfHttp } from './verdict.ts'

const set = (name: string, value: string): CheckField => ({ name, value, how: 'set' })
const ok = (more: Partial<Extract<CheckReply, { isAllowed: true }>>): CheckReply => ({
  isAllowed: true,
  fields: [],
  remove: [],
  answer: [],
  query: { set: [], remove: [] },
  ...more,
})
const none = (): boolean => false
const why = (reply: CheckReply): string => {
  const verdict = verdictOf(reply, none)
  return 'why' in verdict ? `${verdict.type}: ${verdict.why}` : verdict.type
}

test('headers are set, added, set only where there are none or some, and taken out', () => {
  const fields: readonly CheckField[] = [
    set('X-A', 'one'),
    set('x-a', 'two'),
    { name: 'x-b', value: 'b', how: 'add' },
    { name: 'x-here', value: 'c', how: 'absent' },
    { name: 'x-gone', value: 'd', how: 'absent' },
    { name: 'x-here', value: 'e', how: 'present' },
    { name: 'x-gone', value: 'f', how: 'present' },
  ]
  const verdict = verdictOf(ok({ fields, remove: ['X-C'] }), name => name === 'x-here')
  assert.ok(verdict.type === 'allowed')
  assert.deepEqual(verdict.request, {
    set: [
      { name: 'x-a', value: 'two' },
      { name: 'x-gone', value: 'd' },
      { name: 'x-here', value: 'e' },
    ],
    add: [{ name: 'x-b', value: 'b' }],
    remove: ['x-c'],
  })
})

test('what frames messages, rules hops or tells who called is not the service to say, nor is what no header may hold', () => {
  for (const name of [
    'host',
    ':path',
    'Content-Length',
    'transfer-encoding',
    'Connection',
    'te',
    'X-Weft-Error',
    'X-Forwarded-Client-Cert',
  ]) {
    assert.match(why(ok({ fields: [set(name, 'a')] })), /^invalid: it may not change the header/, name)
    assert.match(why(ok({ remove: [name] })), /^invalid: it may not change the header/, name)
  }
  for (const name of ['', 'a b', 'a\r\nb', 'é', 'a:b', 'x'.repeat(300)])
    assert.match(why(ok({ fields: [set(name, 'a')] })), /is no name of a header/, name)
  for (const value of ['a\nb', 'a\rb', 'a\0b', '\x7f'])
    assert.match(why(ok({ fields: [set('x-a', value)] })), /has a character that no header may have/)
  assert.match(why(ok({ fields: [set('x-a', 'x'.repeat(40_000))] })), /its headers have 40003 bytes/)
  assert.match(why(ok({ answer: [set('x-a', 'a\nb')] })), /has a character/)
  assert.match(why(ok({ query: { set: [{ name: 'a', value: 'b&c=d' }], remove: [] } })), /not written as in a URL/)
  assert.equal(why(ok({ fields: [set('traceparent', '00-1'), set('x-user', 'é\tb')] })), 'allowed')
})

test('a no has the status and the headers that it says, without those that frame it', () => {
  const verdict = verdictOf(
    { isAllowed: false, status: 302, fields: [set('Location', '/in'), set('content-length', '5')], body: 'é' },
    none,
  )
  assert.ok(verdict.type === 'denied')
  assert.deepEqual([verdict.status, verdict.fields, Buffer.from(verdict.body).toString()], [302, ['location', '/in'], 'é'])
  for (const status of [0, 42, 101, 600, 1.5])
    assert.match(why({ isAllowed: false, status, fields: [], body: '' }), /^invalid: it answers with the status/)
})

test('by HTTP 200 alone is a yes, of 5xx nothing is known, and all else is the answer', () => {
  const ask = { type: 'http', prefix: '', headers: [], toBackend: ['x-user'], toCaller: ['x-left'] } as const
  const reply = (status: number, ...fields: string[]) => ({ status, fields, body: new Uint8Array(0) })
  const yes = verdictOfHttp(reply(200, 'X-User', 'ann', 'X-Left', '7', 'X-Other', 'a', 'Content-Length', '3'), ask)
  assert.ok(yes.type === 'allowed')
  assert.deepEqual([yes.request.set, yes.answer.add], [[{ name: 'x-user', value: 'ann' }], [{ name: 'x-left', value: '7' }]])
  const all = verdictOfHttp(reply(200, 'X-User', 'ann', 'Connection', 'x-user-2', 'x-user-2', 'a', 'Content-Length', '3', 'Date', 'now'), {
    ...ask,
    toBackend: 'all',
  })
  assert.deepEqual(all.type === 'allowed' && all.request.set.map(({ name }) => name), ['x-user', 'date'])
  assert.equal(verdictOfHttp(reply(503), ask).type, 'none')
  for (const status of [201, 204, 302, 403, 418]) assert.equal(verdictOfHttp(reply(status), ask).type, 'denied', String(status))
})
