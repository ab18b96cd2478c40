import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isAmiss, toldBy } from './conditions.ts'

const condition = (type: string, status: 'True' | 'False' | 'Unknown', reason = 'Some') => ({
  type,
  status,
  reason,
  message: '',
  lastTransitionTime: '2026-01-01T00:00:00Z',
})

test('what is said of a route, a policy and a Gateway is told at each parent, target and listener', () => {
  const one = [condition('Accepted', 'True')]
  assert.deepEqual(
    toldBy({
      conditions: one,
      parents: [{ parentRef: { kind: 'Service', name: 'web' }, conditions: one }, { conditions: [] }],
      ancestors: [{ ancestorRef: { kind: 'Service', name: 'web', sectionName: 'http' }, conditions: one }],
      listeners: [{ name: 'https', conditions: one }],
    }).map(({ of }) => of),
    [undefined, 'Service web', 'Service web#http', 'listener https'],
  )
  assert.deepEqual(toldBy({}), [])
})

test('what should be True and is not is amiss, and so is a fault that is True, but not of the one that overrules', () => {
  for (const [given, expected] of [
    [condition('Accepted', 'True'), false],
    [condition('Accepted', 'False'), true],
    [condition('PartiallyInvalid', 'True'), true],
    [condition('Conflicted', 'True', 'Overruled'), true],
    [condition('Conflicted', 'True', 'Overrules'), false],
    [condition('Conflicted', 'False', 'NoConflicts'), false],
    [condition('Programmed', 'Unknown'), false],
  ] as const)
    assert.equal(isAmiss(given), expected, `${given.type} ${given.status} ${given.reason}`)
})
