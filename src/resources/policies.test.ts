import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readDocuments } from './read.ts'

const problemsOf = (kind: string, spec: string): readonly string[] =>
  readDocuments(
    `apiVersion: weft.dev/v1alpha1\nkind: ${kind}\nmetadata: { name: a, namespace: b }\nspec: { targetRefs: [{ name: x }], ${spec} }\n`,
    'policy.yaml',
  ).problems.map(({ path, says }) => `${path}: ${says}`)

const limited = (type: string, value: string): string =>
  `by: [{ type: ${type} }], local: { requests: 1 }, overrides: [{ when: [{ type: ${type}, values: ["${value}"] }], local: { requests: 2 } }]`

for (const [kind, spec, problem] of [
  ['RateLimitPolicy', limited('Identity', 'not an id'), /^spec\.overrides\[0\]\.when\[0\]\.values\[0\]: must be a SPIFFE id such as/],
  ['RateLimitPolicy', limited('Identity', 'batch'), /values\[0\]: must be a SPIFFE id such as .* NAMESPACE\/SERVICEACCOUNT/],
  ['RateLimitPolicy', limited('Path', 'login'), /values\[0\]: must be a path, without its query/],
  ['RateLimitPolicy', limited('Path', '/login?a=b'), /values\[0\]: must be a path, without its query/],
  ['RateLimitPolicy', limited('Method', 'get'), /values\[0\]: never comes: methods are told apart by case, write GET/],
  [
    'BackendPolicy',
    'outlierDetection: { consecutiveLocalOriginFailures: 3 }',
    /^spec\.outlierDetection\.consecutiveLocalOriginFailures: needs splitLocalOrigin: true/,
  ],
] as const)
  test(`a ${kind} that says what never happens is refused at the field: ${spec}`, () => {
    const problems = problemsOf(kind, spec)
    assert.equal(problems.length, 1, problems.join('\n'))
    assert.match(problems[0]!, problem)
  })

test('a limit for callers by identity, path or method, and one for those that have none, is taken', () => {
  for (const [type, value] of [
    ['Identity', 'spiffe://weft.local/ns/shop/sa/web'],
    ['Identity', 'shop/web'],
    ['Identity', '-'],
    ['Path', '/login'],
    ['Method', 'GET'],
    ['Method', 'brew'],
  ] as const)
    assert.deepEqual(problemsOf('RateLimitPolicy', limited(type, value)), [], value)
  assert.deepEqual(problemsOf('BackendPolicy', 'outlierDetection: { splitLocalOrigin: true, consecutiveLocalOriginFailures: 3 }'), [])
})
