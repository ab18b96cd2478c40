import assert from 'node:assert/strict'
import { test } from 'node:test'
import { logTemplateProblem, partsOf } from './log-fields.ts'

test('a template is text with fields between; doubled braces are braces', () => {
  assert.deepEqual(partsOf('{{{method}}} a{path}{status}b}}'), [
    '{',
    { field: 'method' },
    '} a',
    { field: 'path' },
    { field: 'status' },
    'b}',
  ])
  assert.deepEqual(partsOf('{method}'), [{ field: 'method' }])
})

test('a template that says nothing, or what nobody knows, is told what is wrong', () => {
  for (const [template, wrong] of [
    ['{method} {path}', undefined],
    ['plain', /names no field/],
    ['{{method}}', /names no field/],
    ['{verb}', /names \{verb\}, which is no field/],
    ['{method} {', /single \{/],
    ['{method} }', /single \}/],
    ['{method}\n', /one line/],
  ] as const) {
    const problem = logTemplateProblem(template)
    if (wrong === undefined) assert.equal(problem, undefined, template)
    else assert.match(problem ?? '', wrong, template)
  }
})
