import assert from 'node:assert/strict'
import { globSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { BadInput, tellProblem } from '#base/note'
import type { HTTPRouteSpec } from './gateway-api.ts'
import type { Resource } from './kind.ts'
import { readDocuments } from './read.ts'
import { limits } from '#base/yaml'
import { kinds } from './registry.ts'
import { admit, validate } from './validate.ts'

const cases = join(import.meta.dirname, '../../test/cases/gateway-api')
const read = (file: string) => readDocuments(readFileSync(join(cases, file), 'utf8'), file)
const told = (text: string) => readDocuments(text, 'in.yaml').problems.map(tellProblem)
const route = (spec: unknown): unknown => ({ apiVersion: 'gateway.networking.k8s.io/v1', kind: 'HTTPRoute', metadata: { name: 'r' }, spec })

test('manifests of every kind are read as they stand', () => {
  const files = ['split.yaml', 'match.yaml', 'filters.yaml', 'others.yaml'].map(read)
  assert.deepEqual(
    files.flatMap(file => file.problems.map(tellProblem)),
    [],
  )
  const read1 = new Set(files.flatMap(file => file.resources.map(resource => resource.kind)))
  assert.deepEqual(
    kinds.filter(kind => !read1.has(kind.kind)).map(kind => kind.kind),
    [],
  )
})

test("the Gateway API repository's own examples are read unchanged", t => {
  const folder = process.env['GATEWAY_API_EXAMPLES']
  if (!folder) return t.skip('GATEWAY_API_EXAMPLES does not name a folder: set it to examples/ of a clone of kubernetes-sigs/gateway-api')
  const files = globSync('**/*.yaml', { cwd: folder })
  assert.ok(files.length > 50, `only ${files.length} files in ${folder}`)
  for (const file of files) assert.deepEqual(readDocuments(readFileSync(join(folder, file), 'utf8'), file).problems.map(tellProblem), [])
})

test('every mistake is told with its place, its field and what to do', () => {
  const lines = `${read('mistakes.yaml').problems.map(tellProblem).join('\n')}\n`
  const expected = join(cases, 'mistakes.expected.txt')
  if (process.env['REFRESH_CASES']) writeFileSync(expected, lines)
  assert.equal(lines, readFileSync(expected, 'utf8'))
})

test('a resource with a mistake is not handed on, its sound neighbours are', () => {
  assert.deepEqual(
    read('mistakes.yaml').resources.map(resource => resource.metadata.name),
    ['x'],
  )
})

test('the place of any field can be asked for', () => {
  const { resources, placeOf } = read('split.yaml')
  assert.deepEqual(placeOf(resources[0]!, ['spec', 'rules', 0, 'backendRefs', 1, 'weight']), { file: 'split.yaml', line: 13, column: 50 })
  assert.equal(placeOf(resources[1]!)?.line, 16)
})

test('JSON is read too, tabs included', () => {
  const text = `{\n\t"apiVersion": "v1",\n\t"kind": "Service",\n\t"metadata": {"name": "a"},\n\t"spec": {"prts": []}\n}`
  assert.match(told(text).join(), /^in.yaml:5:11: Service a: spec.prts: unknown field \(did you mean "ports"\?\)/)
})

test('aliases that multiply, and nesting without end, are refused and not followed', () => {
  const laughs = [
    'a: &a [x,x,x,x,x,x,x,x,x]',
    ...'bcdefghi'.split('').map((key, at) => `${key}: &${key} [${Array(9).fill(`*${'abcdefgh'[at]}`).join()}]`),
  ].join('\n')
  assert.match(told(laughs).join(), /has aliases that stand for too much/)
  for (const depth of [limits.maxDepth + 10, 50_000])
    assert.match(told('['.repeat(depth) + ']'.repeat(depth)).join(), /nested deeper than 64 levels/)
  assert.match(told(`a: ${'x'.repeat(limits.maxChars)}`).join(), /is larger than/)
})

test('an empty text, comments and empty documents are nothing', () => {
  for (const text of ['', '# only a comment\n', '---\n---\n']) {
    const { resources, problems } = readDocuments(text, 'in')
    assert.deepEqual({ resources, problems }, { resources: [], problems: [] })
  }
})

test('defaults are filled in on admission as the CRDs do', () => {
  const admitted = admit(
    route({
      parentRefs: [{ name: 'g' }],
      rules: [{ matches: [{ headers: [{ name: 'a', value: 'b' }] }], backendRefs: [{ name: 's', port: 80 }] }, {}],
    }),
  )
  const spec = admitted.spec as HTTPRouteSpec
  assert.deepEqual(spec.parentRefs, [{ group: 'gateway.networking.k8s.io', kind: 'Gateway', name: 'g' }])
  assert.deepEqual(spec.rules[0]!.matches, [
    { path: { type: 'PathPrefix', value: '/' }, headers: [{ type: 'Exact', name: 'a', value: 'b' }] },
  ])
  assert.deepEqual(spec.rules[0]!.backendRefs, [{ group: '', kind: 'Service', name: 's', port: 80, weight: 1 }])
  assert.deepEqual(spec.rules[1]!.matches, [{ path: { type: 'PathPrefix', value: '/' } }])
  assert.deepEqual((admit(route({})).spec as HTTPRouteSpec).rules, [{ matches: [{ path: { type: 'PathPrefix', value: '/' } }] }])
})

test('admission stores an older version as the newest, and admits what it admitted', () => {
  const older = { ...(route({ parentRefs: [] }) as Resource), apiVersion: 'gateway.networking.k8s.io/v1beta1', status: {} }
  const once = admit(older)
  assert.equal(once.apiVersion, 'gateway.networking.k8s.io/v1')
  assert.equal('status' in once, false)
  assert.deepEqual(admit(once), once)
})

test('rules over several fields hold as in the CRDs', () => {
  const redirect = { type: 'RequestRedirect', requestRedirect: {} }
  const rewrite = { type: 'URLRewrite', urlRewrite: { hostname: 'a.b' } }
  const says = (rule: unknown) => validate(route({ rules: [rule] })).map(problem => `${problem.path}: ${problem.says}`)
  assert.match(says({ filters: [redirect, rewrite] }).join(), /filters\[1\]: RequestRedirect and URLRewrite cannot be used together/)
  assert.match(says({ filters: [rewrite, rewrite] }).join(), /filters\[1\]: repeats the filter URLRewrite/)
  assert.match(
    says({ filters: [redirect], backendRefs: [{ name: 'a', port: 1 }] }).join(),
    /filters\[0\]: RequestRedirect cannot be used together with backendRefs/,
  )
  const prefix = { type: 'URLRewrite', urlRewrite: { path: { type: 'ReplacePrefixMatch', replacePrefixMatch: '/x' } } }
  assert.match(
    says({ matches: [{ path: { type: 'Exact', value: '/a' } }], filters: [prefix] }).join(),
    /replacePrefixMatch: needs a rule with exactly one match/,
  )
  assert.deepEqual(says({ matches: [{ path: { value: '/a' } }], filters: [prefix] }), [])
  const parents = (...refs: unknown[]) => validate(route({ parentRefs: refs })).map(problem => problem.path)
  assert.deepEqual(parents({ name: 'g' }, { name: 'g' }), ['spec.parentRefs[1]'])
  assert.deepEqual(parents({ name: 'g', port: 1 }, { name: 'g' }), ['spec.parentRefs[1]'])
  assert.deepEqual(parents({ name: 'g', port: 1 }, { name: 'g', port: 2 }), [])
  const matches = Array.from({ length: 64 }, () => ({}))
  assert.match(validate(route({ rules: [{ matches }, { matches }, {}] }))[0]!.says, /has 129 matches in all/)
})

test('admission refuses with every problem', () => {
  assert.throws(
    () => admit(route({ rules: [{ backendRefs: [{ name: 'x' }] }] })),
    (thrown: unknown) => thrown instanceof BadInput && /rules\[0\].backendRefs\[0\].port/.test(thrown.message),
  )
  assert.equal(validate(null).length, 1)
  assert.equal(validate(route({ rules: Array.from({ length: 17 }, () => ({})) }))[0]!.says, 'has too many entries: at most 16')
})
