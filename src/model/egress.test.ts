import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import {
  allowedHosts,
  deniedAt,
  type Egress,
  forAddresses,
  forNames,
  isHost,
  isOwnLoopback,
  judgeEgress,
  tellEgress,
  withoutNames,
} from './egress.ts'

const rule = (name: string, ...to: Egress['allow'][number]['to']) => ({ name: `ns/p#${name}`, to })
const strict = (allow: Egress['allow'], deny: Egress['deny'] = []): Egress => ({ default: 'deny', policy: 'ns/p', deny, allow })
const get = (path: string) => ({ method: 'GET', path })

describe('what may leave the mesh', () => {
  test('what is denied goes first, then what is allowed, then the default', () => {
    const egress = strict([rule('1', { hosts: ['*.a.example'] })], [rule('0', { hosts: ['bad.a.example'] })])
    assert.deepEqual(judgeEgress(egress, { name: 'bad.a.example', port: 1 }), { isAllowed: false, rule: 'ns/p#0' })
    assert.deepEqual(judgeEgress(egress, { name: 'good.a.example', port: 1 }), { isAllowed: true, rule: 'ns/p#1' })
    assert.deepEqual(judgeEgress(egress, { name: 'b.example', port: 1 }), { isAllowed: false })
    assert.equal(judgeEgress({ ...egress, default: 'allow' }, { port: 1 }).isAllowed, true)
  })

  test('a wildcard takes any number of labels, and not the name behind it', () => {
    assert.deepEqual(
      ['x.a.example', 'x.y.a.example', 'a.example', 'xa.example', undefined].map(name => isHost('*.a.example', name)),
      [true, true, false, false, false],
    )
  })

  test('all that a destination says must fit, one of several is enough', () => {
    const egress = strict([rule('0', { networks: ['10.0.0.0/8'], ports: [5432] }, { networks: ['fd00::/8'] })])
    const judged = (address: string | undefined, port: number) => judgeEgress(egress, { address, port }).isAllowed
    assert.deepEqual(
      [judged('10.1.2.3', 5432), judged('10.1.2.3', 5433), judged('fd00::1', 1), judged('11.0.0.1', 5432), judged(undefined, 5432)],
      [true, false, true, false, false],
    )
  })

  test('methods and paths that cannot be seen allow nothing, and deny all the same', () => {
    const target = { hosts: ['a.example'], methods: ['GET'], paths: [{ type: 'prefix', value: '/open/' } as const] }
    const seen = (egress: Egress, path: string) => judgeEgress(egress, { name: 'a.example', port: 80, request: get(path) }).isAllowed
    const allowing = strict([rule('0', target)])
    assert.deepEqual(
      ['/open/x', '/open/../x', '/open/%2e%2e/x', '/open%2fx', '/open/..%2fx', '/%00'].map(path => seen(allowing, path)),
      [true, false, false, false, false, false],
    )
    const denying: Egress = { ...strict([], [rule('0', target)]), default: 'allow' }
    assert.deepEqual(
      ['/open/x', '/shut', '/x/../open/x', '/open%2fx', '/%00'].map(path => seen(denying, path)),
      [false, true, false, false, false],
    )
    assert.equal(judgeEgress(allowing, { name: 'a.example', port: 443 }).isAllowed, false)
    assert.equal(judgeEgress(denying, { name: 'a.example', port: 443 }).isAllowed, false)
    assert.equal(judgeEgress(denying, { name: 'b.example', port: 443 }).isAllowed, true)
  })

  test('a method is let out to the letter, and denied in any case of letters', () => {
    const target = { hosts: ['a.example'], methods: ['DELETE'] }
    const each = (egress: Egress) =>
      ['DELETE', 'delete', 'GET'].map(
        method => judgeEgress(egress, { name: 'a.example', port: 80, request: { method, path: '/' } }).isAllowed,
      )
    assert.deepEqual(each(strict([rule('0', target)])), [true, false, false])
    assert.deepEqual(each({ ...strict([], [rule('0', target)]), default: 'allow' }), [false, false, true])
  })

  test('of a tunnel nothing is seen: what names CONNECT allows it, and what says anything of requests denies it', () => {
    const asked = { name: 'a.example', port: 80, request: { method: 'CONNECT', path: '' } }
    const path = [{ type: 'prefix', value: '/' } as const]
    const cases = [
      [{}, true],
      [{ methods: ['CONNECT'] }, true],
      [{ methods: ['GET'] }, false],
      [{ paths: path }, false],
      [{ methods: ['CONNECT'], paths: path }, false],
    ] as const
    for (const [says, isAllowed] of cases) {
      const target = { hosts: ['a.example'], ...says }
      assert.equal(judgeEgress(strict([rule('0', target)]), asked).isAllowed, isAllowed, JSON.stringify(says))
      assert.equal(judgeEgress({ ...strict([], [rule('0', target)]), default: 'allow' }, asked).isAllowed, false, JSON.stringify(says))
    }
  })

  test('names and addresses do not borrow from each other', () => {
    const egress = strict([rule('0', { hosts: ['b.example', 'a.example'], ports: [443] }, { networks: ['10.0.0.0/8'] }), rule('1')])
    assert.deepEqual(allowedHosts(egress), ['a.example', 'b.example'])
    assert.deepEqual(forNames(egress).allow, [rule('0', { hosts: ['b.example', 'a.example'], ports: [443] })])
    assert.deepEqual(forAddresses(egress).allow, [rule('0', { networks: ['10.0.0.0/8'] }), rule('1')])
  })

  test('of a host that is known only what fits it is left, and addresses are left to who finds them', () => {
    const egress = strict(
      [],
      [
        rule('0', { hosts: ['*.a.example'], ports: [80] }, { hosts: ['c.example'] }),
        rule('1', { networks: ['10.0.0.0/8'] }),
        rule('2', { hosts: ['x.a.example'] }),
      ],
    )
    assert.deepEqual(withoutNames(egress, 'x.a.example').deny, [rule('0', { ports: [80] }, { hosts: ['c.example'] }), rule('2')])
    assert.equal(deniedAt(egress, '10.1.1.1', 80), 'ns/p#1')
    assert.equal(deniedAt(egress, '11.1.1.1', 80), undefined)
  })

  test('loopback is reached by name only where a rule allows that network', () => {
    const open = strict([rule('0', { networks: ['127.0.0.0/8'] })])
    assert.deepEqual(
      ['127.0.0.1', '::1', '10.0.0.1'].map(address => isOwnLoopback(strict([]), address)),
      [true, true, false],
    )
    assert.deepEqual(
      ['127.0.0.1', '::1'].map(address => isOwnLoopback(open, address)),
      [false, true],
    )
  })

  test('it is told which rule decided, or whose default', () => {
    const egress = strict([])
    assert.equal(tellEgress(egress, { isAllowed: false, rule: 'ns/p#3' }), 'rule 3 of EgressPolicy ns/p denies it')
    assert.equal(tellEgress(egress, { isAllowed: false }), 'the default of EgressPolicy ns/p, Deny, denies it')
    assert.equal(tellEgress({ ...egress, policy: '', default: 'allow' }, { isAllowed: true }), 'no EgressPolicy says anything of it')
  })
})
