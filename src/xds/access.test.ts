/** Access over xDS: any rules come out as they went in, Envoy gets what it needs besides, and what cannot be carried out is refused by name. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { create } from '@bufbuild/protobuf'
import { anyPack, anyUnpack } from '@bufbuild/protobuf/wkt'
import fc from 'fast-check'
import { readPath } from '#model/access'
import type { Access, AccessCondition, AccessRule, TextMatch, TimeWindow } from '#model/access-rule'
import { decodeAccess, decodeAccessFilters } from './decode/access.ts'
import { Rejected } from './decode/carried.ts'
import { accessFilters, encodeAccess, httpAccess, networkAccess, unclearPaths } from './encode/access.ts'
import { RBAC_Action } from './gen/envoy/config/rbac/v3/rbac_pb.ts'
import { RBACPerRouteSchema } from './gen/envoy/extensions/filters/http/rbac/v3/rbac_pb.ts'

const text = fc.string({ minLength: 1, maxLength: 8 }).filter(value => value === value.trim() && !/[,\\]/.test(value))
const match: fc.Arbitrary<TextMatch> = fc.record(
  { type: fc.constantFrom('exact', 'prefix', 'suffix'), value: text },
  { noNullPrototype: true },
)
const matches = fc.array(match, { minLength: 1, maxLength: 3 })
const not = fc.constantFrom({}, { not: true as const })
const on = (...kinds: readonly ('method' | 'path' | 'host' | 'identity')[]): fc.Arbitrary<AccessCondition> =>
  fc.tuple(fc.constantFrom(...kinds), matches, not).map(([kind, any, more]) => ({ on: kind, any, ...more }))
const address: fc.Arbitrary<AccessCondition> = fc
  .tuple(fc.array(fc.constantFrom('10.0.0.0/8', '192.0.2.1/32', '2001:db8::/32'), { minLength: 1, maxLength: 2 }), not)
  .map(([networks, more]) => ({ on: 'address', networks, ...more }))
const header: fc.Arbitrary<AccessCondition> = fc
  .tuple(fc.constantFrom('x-a', 'x-b'), fc.array(match, { maxLength: 2 }), not)
  .map(([name, any, more]): AccessCondition => ({ on: 'header', name, any, ...more }))
/** As the compiler has it: of what lets in. */
const whole = fc
  .array(match, { minLength: 1, maxLength: 2 })
  .map((any): AccessCondition => ({ on: 'header', name: 'x-a-b', any, isWhole: true }))
const all = (condition: fc.Arbitrary<AccessCondition>) => fc.array(fc.array(condition, { minLength: 1, maxLength: 2 }), { maxLength: 2 })
const moments = fc.integer({ min: 0, max: 4_000_000_000 }).map(seconds => seconds * 1000)
const window: fc.Arbitrary<TimeWindow> = fc
  .record({
    notBefore: fc.option(moments, { nil: undefined }),
    notAfter: fc.option(moments, { nil: undefined }),
    weekly: fc.record(
      {
        days: fc.subarray([0, 1, 2, 3, 4, 5, 6], { minLength: 1 }),
        from: fc.integer({ min: 0, max: 1439 }),
        to: fc.integer({ min: 1, max: 1440 }),
        timeZone: fc.constantFrom('UTC', 'Europe/Berlin'),
      },
      { noNullPrototype: true },
    ),
  })
  .map(({ notBefore, notAfter, weekly }) => ({
    ...(notBefore === undefined ? {} : { notBefore }),
    ...(notAfter === undefined ? {} : { notAfter }),
    ...(notBefore === undefined || notAfter === undefined ? { weekly } : {}),
  }))
const when = fc.option(fc.array(window, { minLength: 1, maxLength: 2 }), { nil: undefined })
const rulesOf = (to: fc.Arbitrary<AccessRule['to']>): fc.Arbitrary<readonly AccessRule[]> =>
  fc
    .uniqueArray(fc.stringMatching(/^[a-z]{1,6}\/[a-z]{1,6}#\d$/), { minLength: 1, maxLength: 3 })
    .chain(names =>
      fc.tuple(
        ...names.map(name =>
          fc
            .record({ name: fc.constant(name), from: all(fc.oneof(on('identity'), address)), to, when }, { noNullPrototype: true })
            .map(({ when: some, ...rest }): AccessRule => ({ ...rest, ...(some === undefined ? {} : { when: some }) })),
        ),
      ),
    )
const accessOf = (to: fc.Arbitrary<AccessRule['to']>): fc.Arbitrary<Access> =>
  fc
    .tuple(rulesOf(to), fc.option(rulesOf(to), { nil: undefined }), fc.option(rulesOf(to), { nil: undefined }))
    .map(([deny, allow, audited]) => ({
      deny,
      ...(allow === undefined ? {} : { allow }),
      ...(audited === undefined ? {} : { audit: { deny: audited, ...(allow === undefined ? { allow: audited } : {}) } }),
    }))
const at = (key: string): string => key

test('rules of requests and of connections come out as they went in', () => {
  fc.assert(
    fc.property(accessOf(all(fc.oneof(on('method', 'path', 'host'), header))), access => {
      assert.deepEqual(decodeAccess(encodeAccess(access), at), { access })
      assert.deepEqual(decodeAccessFilters(httpAccess(access), 'http', ''), { access })
    }),
    { numRuns: 200 },
  )
  fc.assert(
    fc.property(accessOf(fc.constant([])), access => {
      assert.deepEqual(decodeAccessFilters(networkAccess(access, 'in'), 'network', ''), { access })
    }),
    { numRuns: 100 },
  )
})

test('Envoy takes a header with underscores for the same where it shuts out, and one of a claim for one value', () => {
  fc.assert(
    fc.property(rulesOf(all(whole)), allow => {
      assert.deepEqual(decodeAccess(encodeAccess({ deny: [], allow }), at), { access: { deny: [], allow } })
    }),
    { numRuns: 50 },
  )
  const to: AccessRule['to'] = [[{ on: 'header', name: 'x-a-b', any: [{ type: 'exact', value: 'v' }] }]]
  const rule: AccessRule = { name: 'n/p#0', from: [], to }
  const both: Access = { deny: [rule], allow: [rule] }
  const encoded = encodeAccess(both)
  const namesIn = (filter: string) =>
    JSON.stringify(anyUnpack(encoded[filter]!, RBACPerRouteSchema)?.rbac?.rules?.policies['n/p#0']?.permissions).match(/"x.a.b"/g)
  assert.deepEqual(namesIn(accessFilters.deny), ['"x-a-b"', '"x-a_b"', '"x_a-b"', '"x_a_b"'])
  assert.deepEqual(namesIn(accessFilters.allow), ['"x-a-b"'])
  assert.deepEqual(decodeAccess(encoded, at), { access: both })
})

test('Envoy takes a method in any case of letters for the same where it shuts out, and to the letter where it lets in', () => {
  const of = (not: boolean): AccessRule => ({
    name: 'n/p#0',
    from: [],
    to: [[{ on: 'method', any: [{ type: 'exact', value: 'DELETE' }], ...(not ? { not: true as const } : {}) }]],
  })
  for (const [access, filter, ignores] of [
    [{ deny: [of(false)] }, accessFilters.deny, true],
    [{ deny: [of(true)] }, accessFilters.deny, false],
    [{ deny: [], allow: [of(false)] }, accessFilters.allow, false],
    [{ deny: [], allow: [of(true)] }, accessFilters.allow, true],
  ] as const) {
    const encoded = encodeAccess(access)
    const text = JSON.stringify(anyUnpack(encoded[filter]!, RBACPerRouteSchema)?.rbac?.rules?.policies['n/p#0']?.permissions)
    assert.equal(text.includes('"ignoreCase":true'), ignores, text)
    assert.deepEqual(decodeAccess(encoded, at), { access })
  }
})

const byPath: Access = { deny: [], allow: [{ name: 'a/b#0', from: [], to: [[{ on: 'path', any: [{ type: 'prefix', value: '/a/' }] }]] }] }

test('Envoy denies what it could read in another way where paths count, and nothing more where they do not', () => {
  const rules = anyUnpack(encodeAccess(byPath)[accessFilters.deny]!, RBACPerRouteSchema)?.rbac?.rules
  assert.equal(rules?.action, RBAC_Action.DENY)
  const rule = rules.policies[unclearPaths]?.permissions[0]?.rule
  const pattern = rule?.case === 'urlPath' && rule.value.rule.case === 'path' ? rule.value.rule.value.matchPattern : undefined
  const unclear = new RegExp(`^${pattern?.case === 'safeRegex' ? pattern.value.regex : '$nothing'}$`)
  for (const path of [
    '//a',
    '/a/../b',
    '/a/%2e%2e/b',
    '/a%2Fb',
    '/a%5cb',
    '/a;x',
    '/a\\b',
    '/%61',
    '/caf%c3%A9',
    '/caf%C3%a9',
    '/a%00',
    '/a%252f',
    '/%c0%af',
  ])
    assert.match(path, unclear)
  for (const path of ['/', '/a/b', '/a/b.c', '/caf%C3%A9', '/a%20b', '/a%40', '/a%E2%82%AC']) assert.doesNotMatch(path, unclear)
  const { to: _, ...plain } = byPath.allow![0]!
  assert.deepEqual(Object.keys(encodeAccess({ deny: [], allow: [{ ...plain, to: [] }] })), [accessFilters.allow])
})

test('of every escape Envoy is told what our own proxy makes of it', () => {
  const rules = anyUnpack(encodeAccess(byPath)[accessFilters.deny]!, RBACPerRouteSchema)?.rbac?.rules
  const rule = rules?.policies[unclearPaths]?.permissions[0]?.rule
  const pattern = rule?.case === 'urlPath' && rule.value.rule.case === 'path' ? rule.value.rule.value.matchPattern : undefined
  const unclear = new RegExp(`^${pattern?.case === 'safeRegex' ? pattern.value.regex : '$nothing'}$`)
  const digits = [...'0123456789ABCDEFabcdefgG/']
  for (const one of digits)
    for (const two of ['', ...digits]) {
      const path = `/a%${one}${two}`
      const read = readPath(path)
      assert.equal(unclear.test(path), read?.path !== path || read.other !== undefined, path)
    }
  for (const more of ['', '25', '2525'])
    for (const one of '0123567cC')
      for (const two of digits) {
        const path = `/a%25${more}${one}${two}`
        const read = readPath(path)
        assert.equal(unclear.test(path), read?.path !== path || read.other !== undefined, path)
      }
  for (let byte = 0x21; byte < 0x7f; byte++) {
    const path = `/a${String.fromCharCode(byte)}`
    if (byte !== 0x25) assert.equal(unclear.test(path), readPath(path)?.path !== path || readPath(path)?.other !== undefined, path)
  }
})

test('what this proxy cannot do is refused with its place', () => {
  const perRoute = (rbac: object | undefined) => ({
    [accessFilters.deny]: anyPack(RBACPerRouteSchema, create(RBACPerRouteSchema, rbac === undefined ? {} : { rbac })),
  })
  const policy = (permission: object, principal: object = { identifier: { case: 'any', value: true } }) =>
    perRoute({ rules: { action: RBAC_Action.DENY, policies: { p: { permissions: [permission], principals: [principal] } } } })
  const any = { rule: { case: 'any', value: true } }
  const refused: readonly (readonly [Parameters<typeof decodeAccess>[0], RegExp])[] = [
    [perRoute(undefined), /rbac is missing/],
    [perRoute({ rules: { action: RBAC_Action.ALLOW, policies: {} } }), /rules\.action: must be DENY/],
    [policy({ rule: { case: 'destinationPort', value: 80 } }), /policies\["p"\]\.permissions\[0\]: destinationPort/],
    [policy(any, { identifier: { case: 'remoteIp', value: { addressPrefix: '10.0.0.0', prefixLen: 8 } } }), /principals\[0\]: remoteIp/],
    [policy(any, { identifier: { case: 'directRemoteIp', value: { addressPrefix: '10.0.0.300', prefixLen: 8 } } }), /is no network/],
    [
      policy({
        rule: {
          case: 'header',
          value: {
            name: ':authority',
            headerMatchSpecifier: { case: 'stringMatch', value: { matchPattern: { case: 'exact', value: 'a' } } },
          },
        },
      }),
      /each value is compared by itself/,
    ],
    [policy({ rule: { case: 'notRule', value: any } }), /not_rule/],
    [
      perRoute({
        rules: {
          action: RBAC_Action.DENY,
          policies: {
            p: {
              permissions: [any],
              principals: [{ identifier: { case: 'any', value: true } }],
              condition: { exprKind: { case: 'identExpr', value: { name: 'x' } } },
            },
          },
        },
      }),
      /policies\["p"\]\.condition: only the times/,
    ],
  ]
  for (const [configs, says] of refused)
    assert.throws(
      () => decodeAccess(configs, at),
      (thrown: unknown) => thrown instanceof Rejected && says.test(thrown.reason),
      String(says),
    )
  assert.throws(() => decodeAccessFilters([...httpAccess(byPath), ...httpAccess(byPath)], 'http', ''), Rejected)
})
