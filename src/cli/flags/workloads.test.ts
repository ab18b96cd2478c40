import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readWorkloads } from './workloads.ts'

test('workloads are read as the flags that they stand for', () => {
  const [one] = readWorkloads(
    'workloads:\n- { name: web, ports: [8080], labels: { a: b }, command: [sleep, 1], env: { A: 1 } }\n',
    'mesh.yaml',
  )
  assert.deepEqual(one, { raw: { name: 'web', port: ['8080'], label: ['a=b'] }, command: ['sleep', '1'], env: { A: '1' } })
})

test('a file that is no YAML, says a key twice, or is made to be slow, is refused with its place', () => {
  for (const [text, says] of [
    ['workloads: [', /^mesh\.yaml:1:\d+: not valid YAML: /],
    ['workloads:\n- name: a\n  name: b\n', /^mesh\.yaml:3:3: not valid YAML: Map keys must be unique/],
    ['? '.repeat(1 << 19), /^mesh\.yaml:1:1: is nested deeper than 64 levels/],
    [`workloads: [${'a,'.repeat(1 << 19)}]`, /^mesh\.yaml:1:1: has more than 300000 keys/],
    ['', /^mesh\.yaml: it must have "workloads"/],
  ] as const)
    assert.throws(() => readWorkloads(text, 'mesh.yaml'), { message: says })
})
