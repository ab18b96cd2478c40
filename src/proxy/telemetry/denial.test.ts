/** Every denial has a number, and the policy that it comes from, whatever kind of policy that is. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Failure, type FailureCode } from '#base/failure'
import type { Route } from '#model/route'
import { Denied, denialOf, nextDecision } from './denial.ts'

const route: Route = {
  name: 'r',
  origin: 'r',
  match: {},
  filters: [],
  action: { type: 'forward', backends: [] },
  tokens: 'shop/jwt',
  login: 'shop/login',
  authorize: ['shop/opa'],
  quota: { name: 'shop/quota', failsOpen: true, descriptors: [] },
}

test('numbers of decisions are told once', () => {
  const numbers = Array.from({ length: 1000 }, nextDecision)
  assert.equal(new Set(numbers).size, 1000)
  for (const number of numbers) assert.match(number, /^[0-9a-z]{4}-[0-9a-z]+$/)
})

test('rules tell which of them decided; other policies are known by the route, and what failed is no denial', () => {
  const by = { decision: 'a', policy: 'shop/web', rule: '1', condition: () => 'why' }
  assert.equal(denialOf(new Denied('access-denied', '', by), route), by)
  const policy = (code: FailureCode, on: Route | undefined = route) => denialOf(new Failure(code, 'told'), on)?.policy
  assert.deepEqual(
    (['token-missing', 'token-expired', 'login-required', 'external-authorization-denied', 'identity-required'] as const).map(code =>
      policy(code),
    ),
    ['shop/jwt', 'shop/jwt', 'shop/login', 'shop/opa', ''],
  )
  assert.equal(denialOf(new Failure('token-missing'))?.policy, '')
  assert.match(denialOf(new Failure('token-missing', 'shop/jwt'), route)!.condition(), /brings none: shop\/jwt$/)
  for (const code of [
    'rate-limited',
    'no-route',
    'upstream-reset',
    'overload',
    'external-authorization-unavailable',
    'login-failed',
  ] as const)
    assert.equal(denialOf(new Failure(code), route), undefined, code)
})
