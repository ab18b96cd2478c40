import { test } from 'node:test'
import assert from 'node:assert/strict'
import type { Client } from '#api/client'
import type { Convergence } from '#api/mesh-api'
import type { Session } from '../session.ts'
import { judge, waitForProxies } from './wait.ts'

function heard(): { readonly lines: string[]; readonly session: Session } {
  const lines: string[] = []
  const out = (text: string): void => void lines.push(text)
  const say = {
    out,
    err: out,
    raw: out,
    paint: (_: unknown, text: string) => text,
    progress: () => {},
    isTTY: false,
    hasColour: false,
    columns: 80,
  }
  return { lines, session: { say, signal: new AbortController().signal } as unknown as Session }
}

/** Answers with one after the other, the last one for ever. */
const answering = (...replies: readonly Convergence[]): Client => {
  let at = 0
  return { convergence: async () => replies[Math.min(at++, replies.length - 1)]! } as unknown as Client
}
const state = (active: number, total: number, rest: Partial<Convergence> = {}): Convergence => ({
  revision: 7,
  active,
  total,
  pending: [],
  rejected: [],
  ...rest,
})

test('the wait ends when every proxy has it active', async () => {
  const { lines, session } = heard()
  assert.equal(await waitForProxies(session, answering(state(0, 3), state(2, 3), state(3, 3)), 7, 5000, performance.now()), true)
  assert.match(lines.join('\n'), /^active on 3\/3 proxies in \d+ ms$/)
})

test('it ends at once when all have answered and some refused, and says who and why', async () => {
  const { lines, session } = heard()
  const refused = state(2, 3, { rejected: [{ proxy: 'a.default', resource: 'shop/orders:80', reason: 'no such thing' }] })
  assert.equal(await waitForProxies(session, answering(refused), 7, 60_000, performance.now()), false)
  assert.match(lines[0]!, /^active on 2\/3 proxies after/)
  assert.equal(lines[1], '  a.default refused shop/orders:80: no such thing')
})

test('it ends at the timeout and names who has not confirmed', async () => {
  const { lines, session } = heard()
  assert.equal(await waitForProxies(session, answering(state(1, 2, { pending: ['b.default'] })), 7, 60, performance.now()), false)
  assert.match(lines[1]!, /b\.default has not confirmed it/)
})

test('a mesh without proxies has nothing to wait for', async () => {
  const { lines, session } = heard()
  assert.equal(await waitForProxies(session, answering(state(0, 0)), 7, 60, performance.now()), true)
  assert.match(lines[0]!, /no proxy is connected/)
})

const condition = (type: string, status: 'True' | 'False', observedGeneration: number) => ({
  type,
  status,
  reason: 'R',
  message: 'm',
  observedGeneration,
  lastTransitionTime: '',
})

test('conditions about an older spec are not taken for an answer', () => {
  const status = { parents: [{ parentRef: { kind: 'Service', name: 'orders' }, conditions: [condition('Accepted', 'True', 1)] }] }
  assert.equal(judge(status, 2, true).isCurrent, false)
  assert.equal(judge(status, 1, true).isCurrent, true)
  assert.equal(judge({}, 1, true).isCurrent, false)
  assert.equal(judge({}, 1, false).isCurrent, true)
})

test('what is not True is held against it, with the parent at which it is so', () => {
  const status = {
    parents: [
      {
        parentRef: { kind: 'Service', name: 'orders' },
        conditions: [condition('Accepted', 'True', 1), condition('ResolvedRefs', 'False', 1), condition('PartiallyInvalid', 'True', 1)],
      },
    ],
  }
  const { held } = judge(status, 1, true)
  assert.deepEqual(
    held.map(({ of, conditions }) => [of, conditions.map(({ type }) => type)]),
    [[' at service/orders', ['ResolvedRefs', 'PartiallyInvalid']]],
  )
})

test('of a policy each target counts, and of two in conflict only the one that is overruled', () => {
  const target = (reason: string, type = 'Conflicted') => ({
    ancestorRef: { kind: 'Service', name: 'orders', sectionName: 'http' },
    conditions: [condition('Accepted', 'True', 1), { ...condition(type, 'True', 1), reason }],
  })
  const bad = (status: Parameters<typeof judge>[0]) => judge(status, 1, true).held.map(({ of, conditions }) => [of, conditions[0]!.type])
  assert.deepEqual(bad({ ancestors: [target('Overruled')] }), [[' at service/orders#http', 'Conflicted']])
  assert.deepEqual(bad({ ancestors: [target('Overrules')] }), [])
  assert.deepEqual(bad({ ancestors: [target('UnsupportedValue', 'PartiallyInvalid')] }), [[' at service/orders#http', 'PartiallyInvalid']])
})
