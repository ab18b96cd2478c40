import { test } from 'node:test'
import assert from 'node:assert/strict'
import { jsonPatch } from './json-patch.ts'
import { mergePatch } from './merge-patch.ts'
import { strategicMerge } from './strategic-merge.ts'

/** RFC 6902 appendix A: document, patch, result; where the result is absent the patch must be refused. */
const rfc6902: readonly [title: string, document: unknown, patch: unknown, result?: unknown][] = [
  ['A.1 adding a member', { foo: 'bar' }, [{ op: 'add', path: '/baz', value: 'qux' }], { baz: 'qux', foo: 'bar' }],
  ['A.2 adding an element', { foo: ['bar', 'baz'] }, [{ op: 'add', path: '/foo/1', value: 'qux' }], { foo: ['bar', 'qux', 'baz'] }],
  ['A.3 removing a member', { baz: 'qux', foo: 'bar' }, [{ op: 'remove', path: '/baz' }], { foo: 'bar' }],
  ['A.4 removing an element', { foo: ['bar', 'qux', 'baz'] }, [{ op: 'remove', path: '/foo/1' }], { foo: ['bar', 'baz'] }],
  ['A.5 replacing', { baz: 'qux', foo: 'bar' }, [{ op: 'replace', path: '/baz', value: 'boo' }], { baz: 'boo', foo: 'bar' }],
  [
    'A.6 moving a value',
    { foo: { bar: 'baz', waldo: 'fred' }, qux: { corge: 'grault' } },
    [{ op: 'move', from: '/foo/waldo', path: '/qux/thud' }],
    { foo: { bar: 'baz' }, qux: { corge: 'grault', thud: 'fred' } },
  ],
  [
    'A.7 moving an element',
    { foo: ['all', 'grass', 'cows', 'eat'] },
    [{ op: 'move', from: '/foo/1', path: '/foo/3' }],
    { foo: ['all', 'cows', 'eat', 'grass'] },
  ],
  [
    'A.8 testing: success',
    { baz: 'qux', foo: ['a', 2, 'c'] },
    [
      { op: 'test', path: '/baz', value: 'qux' },
      { op: 'test', path: '/foo/1', value: 2 },
    ],
    { baz: 'qux', foo: ['a', 2, 'c'] },
  ],
  ['A.9 testing: error', { baz: 'qux' }, [{ op: 'test', path: '/baz', value: 'bar' }]],
  [
    'A.10 adding a nested member',
    { foo: 'bar' },
    [{ op: 'add', path: '/child', value: { grandchild: {} } }],
    { foo: 'bar', child: { grandchild: {} } },
  ],
  ['A.11 ignoring unknown elements', { foo: 'bar' }, [{ op: 'add', path: '/baz', value: 'qux', xyz: 123 }], { foo: 'bar', baz: 'qux' }],
  ['A.12 adding to what is not there', { foo: 'bar' }, [{ op: 'add', path: '/baz/bat', value: 'qux' }]],
  ['A.14 escapes', { '/': 9, '~1': 10 }, [{ op: 'test', path: '/~01', value: 10 }], { '/': 9, '~1': 10 }],
  ['A.15 strings and numbers differ', { '/': 9, '~1': 10 }, [{ op: 'test', path: '/~01', value: '10' }]],
  [
    'A.16 adding an array value',
    { foo: ['bar'] },
    [{ op: 'add', path: '/foo/-', value: ['abc', 'def'] }],
    { foo: ['bar', ['abc', 'def']] },
  ],
  ['the whole document', { a: 1 }, [{ op: 'replace', path: '', value: { b: 2 } }], { b: 2 }],
  ['a copy', { a: { b: 1 } }, [{ op: 'copy', from: '/a', path: '/c' }], { a: { b: 1 }, c: { b: 1 } }],
  ['an index past the end', { a: [1] }, [{ op: 'add', path: '/a/2', value: 1 }]],
  ['a leading zero', { a: [1, 2] }, [{ op: 'remove', path: '/a/01' }]],
  ['an inherited property', {}, [{ op: 'test', path: '/constructor', value: 1 }]],
  ['a move into itself', { a: { b: {} } }, [{ op: 'move', from: '/a', path: '/a/b/c' }]],
  ['an operation that is none', {}, [{ op: 'rename', path: '/a' }]],
  ['a patch that is no list', {}, { op: 'add' }],
]

for (const [title, document, patch, result] of rfc6902)
  test(`JSON patch, RFC 6902 ${title}`, () => {
    const before = structuredClone(document)
    if (result === undefined) assert.throws(() => jsonPatch(document, patch), { name: 'Refusal' })
    else assert.deepEqual(jsonPatch(document, patch), result)
    assert.deepEqual(document, before, 'the document that was given is as it was')
  })

test('a JSON patch cannot reach the prototype of objects', () => {
  const patched = jsonPatch({}, [{ op: 'add', path: '/__proto__', value: { polluted: true } }]) as object
  assert.equal(({} as { polluted?: true }).polluted, undefined)
  assert.deepEqual(Object.keys(patched), ['__proto__'])
})

/** RFC 7396 appendix A. */
const rfc7396: readonly [unknown, unknown, unknown][] = [
  [{ a: 'b' }, { a: 'c' }, { a: 'c' }],
  [{ a: 'b' }, { b: 'c' }, { a: 'b', b: 'c' }],
  [{ a: 'b' }, { a: null }, {}],
  [{ a: 'b', b: 'c' }, { a: null }, { b: 'c' }],
  [{ a: ['b'] }, { a: 'c' }, { a: 'c' }],
  [{ a: 'c' }, { a: ['b'] }, { a: ['b'] }],
  [{ a: { b: 'c' } }, { a: { b: 'd', c: null } }, { a: { b: 'd' } }],
  [{ a: [{ b: 'c' }] }, { a: [1] }, { a: [1] }],
  [
    ['a', 'b'],
    ['c', 'd'],
    ['c', 'd'],
  ],
  [{ a: 'b' }, ['c'], ['c']],
  [{ a: 'foo' }, null, null],
  [{ a: 'foo' }, 'bar', 'bar'],
  [{ e: null }, { a: 1 }, { e: null, a: 1 }],
  [[1, 2], { a: 'b', c: null }, { a: 'b' }],
  [{}, { a: { bb: { ccc: null } } }, { a: { bb: {} } }],
]
test('merge patch: the examples of RFC 7396 appendix A', () => {
  for (const [document, patch, result] of rfc7396) assert.deepEqual(mergePatch(document, patch), result, JSON.stringify(patch))
})

const service = {
  spec: {
    type: 'ClusterIP',
    ports: [
      { port: 80, name: 'a', protocol: 'TCP' },
      { port: 81, name: 'b' },
    ],
  },
  metadata: { finalizers: ['x', 'y'] },
}

test('a JSON patch that grows or works beyond all measure is refused before it does', () => {
  const doubling = Array.from({ length: 64 }, (_, at) => ({ op: 'copy', from: '/a', path: `/a/k${at}` }))
  assert.throws(() => jsonPatch({ a: { d: 'x'.repeat(1000) } }, doubling), /the patch is too large: it copies more than 3145728 characters/)
  const wide = Array.from({ length: 10_000 }, () => 1)
  const shifting = Array.from({ length: 10_000 }, () => ({ op: 'add', path: '/l/0', value: 1 }))
  assert.throws(() => jsonPatch({ l: wide }, shifting), /the patch is too large: its operations go through more than 5000000 entries/)
  assert.deepEqual(jsonPatch({ l: [] }, shifting.slice(0, 2000)), { l: wide.slice(0, 2000) })
})

test('of items with one key a strategic merge patch means the first that is there', () => {
  const ports = (...all: readonly object[]) => ({ spec: { ports: all } })
  const [tcp, udp] = [
    { port: 53, protocol: 'TCP' },
    { port: 53, protocol: 'UDP' },
  ]
  assert.deepEqual(strategicMerge(ports(tcp, udp), ports({ port: 53, name: 'dns' })), ports({ ...tcp, name: 'dns' }, udp))
  const twice = ports({ $patch: 'delete', port: 53 }, { port: 53, name: 'dns' }, { port: 54 }, { port: 54, name: 'b' })
  assert.deepEqual(strategicMerge(ports(tcp, udp), twice), ports({ ...udp, name: 'dns' }, { port: 54, name: 'b' }))
  assert.deepEqual(strategicMerge(ports(tcp), ports({ $patch: 'delete', port: 1 })), ports(tcp))
})

test('a strategic merge patch merges ports by their number, and deletes the one it says', () => {
  assert.deepEqual(
    strategicMerge(service, {
      spec: {
        ports: [
          { port: 80, name: 'new' },
          { port: 82, name: 'c' },
        ],
      },
    }),
    {
      ...service,
      spec: {
        type: 'ClusterIP',
        ports: [
          { port: 80, name: 'new', protocol: 'TCP' },
          { port: 81, name: 'b' },
          { port: 82, name: 'c' },
        ],
      },
    },
  )
  assert.deepEqual((strategicMerge(service, { spec: { ports: [{ $patch: 'delete', port: 80 }] } }) as typeof service).spec.ports, [
    { port: 81, name: 'b' },
  ])
  assert.deepEqual((strategicMerge(service, { spec: { ports: [{ $patch: 'replace' }, { port: 9 }] } }) as typeof service).spec.ports, [
    { port: 9 },
  ])
})

test('a strategic merge patch keeps the order it names, merges sets, and replaces what it says', () => {
  const ordered = strategicMerge(service, {
    spec: { '$setElementOrder/ports': [{ port: 90 }, { port: 81 }, { port: 80 }], ports: [{ port: 90 }] },
  }) as typeof service
  assert.deepEqual(
    ordered.spec.ports.map(({ port }) => port),
    [90, 81, 80],
  )
  const sets = strategicMerge(service, { metadata: { finalizers: ['z'], '$deleteFromPrimitiveList/finalizers': ['x'] } }) as typeof service
  assert.deepEqual(sets.metadata.finalizers, ['y', 'z'])
  assert.deepEqual(strategicMerge(service, { spec: { $patch: 'replace', type: 'NodePort' } }), { ...service, spec: { type: 'NodePort' } })
  assert.deepEqual((strategicMerge(service, { spec: { $retainKeys: ['type'], type: 'NodePort' } }) as { spec: object }).spec, {
    type: 'NodePort',
  })
  assert.throws(() => strategicMerge(service, { spec: { ports: [{ name: 'no key' }] } }), /needs its merge key "port"/)
})
