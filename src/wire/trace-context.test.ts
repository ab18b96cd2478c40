/** What counts as the trace of a request, and how it goes on: the cases of the two descriptions, and what hostile callers write. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readTrace, type TraceFormat, withTrace } from './trace-context.ts'

const trace = '4bf92f3577b34da6a3ce929d0e0e4736'
const span = '00f067aa0ba902b7'
const w3c: readonly TraceFormat[] = ['w3c']
const b3: readonly TraceFormat[] = ['b3']
const parent = (value: string, ...more: readonly string[]) => readTrace(['traceparent', value, ...more], w3c)

test('a traceparent is read, with whether it is sampled', () => {
  assert.deepEqual(parent(`00-${trace}-${span}-01`), { traceId: trace, spanId: span, isSampled: true, state: '' })
  assert.equal(parent(`00-${trace}-${span}-00`)?.isSampled, false)
  assert.equal(parent(`00-${trace}-${span}-fc`)?.isRandom, undefined)
  const random = parent(`00-${trace}-${span}-fe`)!
  assert.equal(random.isSampled, false)
  assert.equal(withTrace([], { ...random, traceId: trace, spanId: span, parentId: '', isSampled: true }, w3c)[1], `00-${trace}-${span}-03`)
  assert.equal(parent(`00-${trace}-${span}-fd`)?.isSampled, true)
  assert.equal(readTrace(['TraceParent', ` 00-${trace}-${span}-01\t`], w3c)?.traceId, trace)
})

test('a traceparent that is not valid counts as absent, and several too', () => {
  const zeros = '0'.repeat(32)
  for (const value of [
    '',
    '00',
    `ff-${trace}-${span}-01`,
    `00-${zeros}-${span}-01`,
    `00-${trace}-0000000000000000-01`,
    `00-${trace.toUpperCase()}-${span}-01`,
    `0A-${trace}-${span}-01`,
    `00-${trace}-${span}-0A`,
    `00-${trace}-${span}-1`,
    `00-${trace}-${span}-01-`,
    `00-${trace}-${span}-01-more`,
    `00-${trace}-${span}-01 `.replace(' ', 'x'),
    `00-${trace.slice(1)}-${span}-01`,
    `00-${trace}g-${span}-01`,
    `00_${trace}_${span}_01`,
    `cc-${trace}-${span}-01.more`,
    '00-'.repeat(5000),
  ])
    assert.equal(parent(value), undefined, value.slice(0, 80))
  assert.equal(parent(`00-${trace}-${span}-01`, 'Traceparent', `00-${trace}-${span}-01`), undefined)
})

test('of a later version what this one knows is read', () => {
  assert.equal(parent(`cc-${trace}-${span}-01`)?.spanId, span)
  assert.equal(parent(`cc-${trace}-${span}-01-what-the-future-will-be-like`)?.isSampled, true)
})

test('tracestate goes on as it is, of several headers all in order, and is dropped where it is not valid', () => {
  const state = (...values: readonly string[]) => parent(`00-${trace}-${span}-01`, ...values.flatMap(value => ['tracestate', value]))?.state
  assert.equal(state('foo=1'), 'foo=1')
  assert.equal(state('foo=1 , \tbar=2', '', ' ,', 'rojo=00f067aa0ba902b7'), 'foo=1,bar=2,rojo=00f067aa0ba902b7')
  assert.equal(state('foo=1,bar=2', 'foo=3'), 'foo=1,bar=2')
  assert.equal(state('0tenant@sys=a b,z_-*/= x'), '0tenant@sys=a b,z_-*/= x')
  for (const bad of [
    'foo',
    'foo=',
    '=1',
    'FOO=1',
    'foo =1',
    'foo=1=2',
    'foo=é',
    '@foo=1',
    '_foo=1',
    `${'k'.repeat(257)}=1`,
    `foo=${'v'.repeat(257)}`,
  ])
    assert.equal(state(bad), '', bad.slice(0, 40))
  const many = Array.from({ length: 33 }, (_, at) => `k${at}=1`)
  assert.equal(state(many.slice(1).join()), many.slice(1).join())
  assert.equal(state(many.join()), '')
  assert.equal(readTrace(['traceparent', 'bad', 'tracestate', 'foo=1'], w3c), undefined)
})

test('B3 is read from one header or several, with or without a decision', () => {
  const single = (value: string) => readTrace(['b3', value], b3)
  assert.deepEqual(single(`${trace}-${span}-1`), {
    traceId: trace,
    spanId: span,
    isSampled: true,
    state: '',
    b3: { form: 'single', isDebug: false },
  })
  assert.equal(single(`${trace}-${span}`)?.isSampled, undefined)
  assert.equal(single(`${trace}-${span}-d-05e3ac9a4f6e3b90`)?.b3?.isDebug, true)
  assert.equal(single(`a3ce929d0e0e4736-${span}-0`)?.traceId, '0000000000000000a3ce929d0e0e4736')
  assert.deepEqual(single('0'), { isSampled: false, state: '', b3: { form: 'single', isDebug: false } })
  for (const bad of ['', '2', 'x', `${trace}`, `${trace}-${span}-2`, `${trace}-${span}-1-zz`, `${trace}-${span}-1-${span}-1`, `-${span}-1`])
    assert.equal(single(bad), undefined, bad)
  assert.equal(readTrace(['b3', '1', 'B3', '1'], b3), undefined)

  const ids = ['X-B3-TraceId', trace, 'X-B3-SpanId', span]
  assert.deepEqual(readTrace([...ids, 'X-B3-Sampled', '1', 'X-B3-ParentSpanId', span], b3), {
    traceId: trace,
    spanId: span,
    isSampled: true,
    state: '',
    b3: { form: 'multi', isDebug: false },
  })
  assert.equal(readTrace(ids, b3)?.isSampled, undefined)
  assert.equal(readTrace([...ids, 'x-b3-sampled', 'false'], b3)?.isSampled, false)
  assert.equal(readTrace([...ids, 'x-b3-sampled', '0', 'x-b3-flags', '1'], b3)?.isSampled, true)
  assert.equal(readTrace([...ids, 'x-b3-traceid', trace], b3), undefined)
  assert.equal(readTrace(['x-b3-sampled', '0'], b3)?.isSampled, false)
  assert.equal(readTrace(['x-b3-traceid', trace, 'x-b3-sampled', 'maybe'], b3), undefined)
})

test('the first format that says something valid is believed', () => {
  const both = ['b3', `${'a'.repeat(32)}-${span}-1`, 'traceparent', `00-${trace}-${span}-01`]
  assert.equal(readTrace(both, ['w3c', 'b3'])?.traceId, trace)
  assert.equal(readTrace(both, ['b3', 'w3c'])?.traceId, 'a'.repeat(32))
  assert.equal(readTrace(['traceparent', 'bad', ...both.slice(0, 2)], ['w3c', 'b3'])?.traceId, 'a'.repeat(32))
})

test('what goes on stands there once, in every format that is asked for, and other formats are left alone', () => {
  const came = ['Host', 'a', 'TraceParent', 'x', 'tracestate', 'y', 'b3', 'z', 'X-B3-Flags', '1', 'x-other', 'o', 'traceparent', 'x2']
  const out = { traceId: trace, spanId: span, parentId: '05e3ac9a4f6e3b90', isSampled: true, state: 'foo=1' }
  assert.deepEqual(withTrace(came, out, w3c), [
    'Host',
    'a',
    'b3',
    'z',
    'X-B3-Flags',
    '1',
    'x-other',
    'o',
    'traceparent',
    `00-${trace}-${span}-01`,
    'tracestate',
    'foo=1',
  ]) // prettier-ignore
  assert.deepEqual(withTrace(['a', 'b', 'b3', '1'], { ...out, isSampled: false, b3: { form: 'single', isDebug: true } }, b3), [
    'a',
    'b',
    'b3',
    `${trace}-${span}-0-05e3ac9a4f6e3b90`,
  ])
  assert.deepEqual(withTrace([], { ...out, parentId: '' }, ['b3', 'w3c']).slice(0, 6), [
    'x-b3-traceid',
    trace,
    'x-b3-spanid',
    span,
    'x-b3-sampled',
    '1',
  ]) // prettier-ignore
  assert.deepEqual(withTrace([], { ...out, b3: { form: 'multi', isDebug: true } }, b3).slice(-4), [
    'x-b3-parentspanid',
    '05e3ac9a4f6e3b90',
    'x-b3-flags',
    '1',
  ])
})

test('whatever is written comes back', () => {
  const out = { traceId: trace, spanId: span, parentId: '', isSampled: true, state: 'a=1,b=2' }
  assert.deepEqual(readTrace(withTrace([], out, w3c), w3c), { traceId: trace, spanId: span, isSampled: true, state: 'a=1,b=2' })
  for (const form of ['single', 'multi'] as const)
    for (const isSampled of [true, false]) {
      const read = readTrace(withTrace([], { ...out, isSampled, b3: { form, isDebug: false } }, b3), b3)
      assert.deepEqual(read, { traceId: trace, spanId: span, isSampled, state: '', b3: { form, isDebug: false } })
    }
})

test('whatever a caller writes, what goes on is valid and stands there once', () => {
  let seed = 20_260_101
  const below = (end: number): number => (seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648) % end
  const names = [
    'traceparent',
    'TraceParent',
    'tracestate',
    'b3',
    'B3',
    'x-b3-traceid',
    'X-B3-SpanId',
    'x-b3-sampled',
    'x-b3-flags',
    'x-b3-parentspanid',
    'host',
  ]
  const parts = [
    '00',
    'ff',
    '01',
    trace,
    span,
    '0'.repeat(32),
    '-',
    '-',
    '-',
    'd',
    '1',
    '=',
    ',',
    ' ',
    'a',
    'A',
    '\u00e9',
    '\u0000',
    '@',
    '*',
  ]
  const value = (): string => Array.from({ length: below(10) }, () => parts[below(parts.length)]!).join('')
  for (let round = 0; round < 20_000; round++) {
    const fields = Array.from({ length: below(6) }, () => [names[below(names.length)]!, value()]).flat()
    const formats = ([['w3c'], ['b3'], ['w3c', 'b3'], ['b3', 'w3c']] as const)[below(4)]!
    const came = readTrace(fields, formats)
    const out = {
      traceId: came?.traceId ?? trace,
      spanId: span,
      parentId: came?.spanId ?? '',
      isSampled: came?.isSampled ?? true,
      state: came?.state ?? '',
      b3: came?.b3,
    }
    const written = withTrace(fields, out, formats)
    for (const format of formats) {
      const again = readTrace(written, [format])
      assert.deepEqual([again?.traceId, again?.spanId, again?.isSampled], [out.traceId, span, out.isSampled], JSON.stringify(fields))
    }
  }
})
