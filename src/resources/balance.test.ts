import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readDocuments } from './read.ts'

const problemsOf = (spec: string): readonly string[] =>
  readDocuments(
    `apiVersion: weft.dev/v1alpha1\nkind: BackendPolicy\nmetadata: { name: a, namespace: b }\nspec: { targetRefs: [{ name: x }], ${spec} }\n`,
    'policy.yaml',
  ).problems.map(({ path, says }) => `${path}: ${says}`)

test('what belongs to an algorithm stands beside it, and beside no other', () => {
  for (const spec of [
    'balance: RoundRobin',
    'balance: LeastRequest, choices: All, slowStart: 3s',
    'balance: PeakEWMA, slowStart: 1m, panicThreshold: 20, locality: {}',
    'balance: Maglev, hash: [{ header: X-User }, { sourceIP: true }, { cookie: { name: a, ttl: 0s } }, { query: q }]',
    'panicThreshold: 0, locality: { prefer: Region, failover: [eu] }',
  ])
    assert.deepEqual(problemsOf(spec), [], spec)
})

for (const [spec, problem] of [
  ['balance: Fastest', /^spec\.balance: .*RoundRobin/],
  ['balance: LeastRequest, choices: 1', /^spec\.choices: must be a number from 2 to 100, or All/],
  ['balance: LeastRequest, choices: Some', /^spec\.choices: must be a number from 2 to 100, or All/],
  ['choices: 3', /^spec\.choices: needs balance: LeastRequest/],
  ['balance: RingHash', /^spec\.hash: is needed for RingHash/],
  ['balance: Maglev, hash: []', /^spec\.hash: has too few entries/],
  ['hash: [{ header: a }]', /^spec\.hash: needs balance: RingHash or Maglev/],
  ['balance: Maglev, hash: [{ header: a, query: b }]', /^spec\.hash\[0\]: names exactly one/],
  ['balance: Maglev, hash: [{}]', /^spec\.hash\[0\]: names exactly one/],
  ['balance: RingHash, hash: [{ cookie: { name: a, path: "/;x" } }]', /^spec\.hash\[0\]\.cookie\.path: must be a path/],
  ['balance: Random, slowStart: 3s', /^spec\.slowStart: needs balance/],
  ['panicThreshold: 101', /^spec\.panicThreshold: is too large/],
  ['connectTimeout: 0s', /^spec\.connectTimeout: must be above 0/],
  ['locality: { prefer: City }', /^spec\.locality\.prefer: "City" is not allowed/],
] as const)
  test(`a policy that says ${spec} is refused at the field`, () => {
    const problems = problemsOf(spec)
    assert.equal(problems.length, 1, problems.join('\n'))
    assert.match(problems[0]!, problem)
  })
