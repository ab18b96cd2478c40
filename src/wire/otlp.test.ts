/** Spans and records of logs are written as OpenTelemetry's own library writes them (PyPI opentelemetry-proto 1.38), byte for byte. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { encodeLog, encodeSpan, refusedIn, request, type Span } from './otlp.ts'

const first: Span = {
  traceId: '4bf92f3577b34da6a3ce929d0e0e4736',
  spanId: '00f067aa0ba902b7',
  parentId: '05e3ac9a4f6e3b90',
  isSampled: true,
  state: 'foo=1',
  name: 'GET',
  kind: 'server',
  startUs: 1_764_000_000_123_456,
  endUs: 1_764_000_000_223_456,
  attributes: [
    ['http.response.status_code', 503],
    ['weft.reason', 'é'.repeat(100)],
    ['b', true],
    ['n', -1],
  ],
  droppedAttributes: 2,
  events: [{ atUs: 1_764_000_000_133_456, name: 'weft.try.failed', attributes: [['weft.endpoint', '10.0.0.1:80']] }],
  error: 'upstream-reset',
}
const { droppedAttributes: _, error: __, ...plain } = first
const second: Span = {
  ...plain,
  spanId: '00f067aa0ba902b8',
  parentId: '',
  state: '',
  name: 'POST /x',
  kind: 'client',
  attributes: [],
  events: [],
}

const known = [
  '0aa4040a1a0a180a0c736572766963652e6e616d6512080a066f72646572731285040a060a047765667412b9030a104bf92f3577b34da6a3ce929d0e0e4736120800f067aa0ba902b7',
  '1a05666f6f3d31220805e3ac9a4f6e3b902a0347455430023900ca256fa7fc7a184100ab1b75a7fc7a184a200a19687474702e726573706f6e73652e7374617475735f636f646512031',
  `8f7034adb010a0b776566742e726561736f6e12cb010ac801${'c3a9'.repeat(100)}4a070a0162120210014a100a016e120b18ffffffffffffffffff0150025a3a098060be6fa7fc7a18`,
  '120f776566742e7472792e6661696c65641a1e0a0d776566742e656e64706f696e74120d0a0b31302e302e302e313a38307a12120e757073747265616d2d7265736574180285010103',
  '0000123f0a104bf92f3577b34da6a3ce929d0e0e4736120800f067aa0ba902b82a07504f5354202f7830033900ca256fa7fc7a184100ab1b75a7fc7a18850101010000',
].join('')

test('protobuf is what the library of OpenTelemetry writes', () => {
  const spans = [first, second].map(span => encodeSpan(span, 'protobuf'))
  assert.equal(Buffer.from(request([['service.name', 'orders']], spans, 'protobuf')).toString('hex'), known)
})

test('long messages and many of them have lengths of several bytes', () => {
  const long = encodeSpan({ ...first, attributes: [['a', 'x'.repeat(200_000)]] }, 'protobuf')
  const made = request(
    [],
    Array.from({ length: 20 }, () => long),
    'protobuf',
  ) // prettier-ignore
  assert.ok(made.length > 4_000_000)
  // 1: resource_spans, to the end.
  let at = 1
  let length = 0
  for (let shift = 0; ; shift += 7) {
    length |= (made[at]! & 127) << shift
    if (made[at++]! < 128) break
  }
  assert.equal(at + length, made.length)
})

test('JSON has ids in hexadecimal and numbers of 64 bits as text', () => {
  const made = request([['service.name', 'orders']], [encodeSpan(first, 'json'), encodeSpan(second, 'json')], 'json')
  const { resourceSpans } = JSON.parse(Buffer.from(made).toString()) as {
    resourceSpans: readonly { resource: unknown; scopeSpans: readonly { scope: unknown; spans: readonly Record<string, unknown>[] }[] }[]
  }
  assert.deepEqual(resourceSpans[0]!.resource, { attributes: [{ key: 'service.name', value: { stringValue: 'orders' } }] })
  const [one, other] = resourceSpans[0]!.scopeSpans[0]!.spans
  assert.deepEqual(one, {
    traceId: first.traceId,
    spanId: first.spanId,
    traceState: 'foo=1',
    parentSpanId: first.parentId,
    flags: 0x301,
    name: 'GET',
    kind: 2,
    startTimeUnixNano: '1764000000123456000',
    endTimeUnixNano: '1764000000223456000',
    attributes: [
      { key: 'http.response.status_code', value: { intValue: '503' } },
      { key: 'weft.reason', value: { stringValue: 'é'.repeat(100) } },
      { key: 'b', value: { boolValue: true } },
      { key: 'n', value: { intValue: '-1' } },
    ],
    droppedAttributesCount: 2,
    events: [
      {
        timeUnixNano: '1764000000133456000',
        name: 'weft.try.failed',
        attributes: [{ key: 'weft.endpoint', value: { stringValue: '10.0.0.1:80' } }],
      },
    ],
    status: { code: 2, message: 'upstream-reset' },
  })
  assert.deepEqual([other!['parentSpanId'], other!['status'], other!['flags']], [undefined, undefined, 0x101])
})

test('what the collector refused of a request that it took is read', () => {
  const said = Buffer.from('0a0c08ac021207746f6f206f6c64', 'hex')
  assert.deepEqual(refusedIn(said, 'protobuf'), { spans: 300, why: 'too old' })
  const json = Buffer.from('{"partialSuccess":{"rejectedSpans":"300","errorMessage":"too old"}}')
  assert.deepEqual(refusedIn(json, 'json'), { spans: 300, why: 'too old' })
  for (const nothing of ['', '{}', 'null', '{"partialSuccess":{}}', 'not at all'])
    assert.equal(refusedIn(Buffer.from(nothing), 'json'), undefined)
  for (const nothing of ['', '0a00', '0aff', 'ff', '0d01020304', `0a0c${'ff'.repeat(12)}`])
    assert.equal(refusedIn(Buffer.from(nothing, 'hex'), 'protobuf'), undefined, nothing)
})

test('records of a log are what the library of OpenTelemetry writes', () => {
  const logged = [
    '0a95010a1a0a180a0c736572766963652e6e616d6512080a066f726465727312770a060a0477656674124c0900ca256fa7fc7a18320d0a06737461747573120318f703320d0a',
    '047061746812050a032fc3a94a104bf92f3577b34da6a3ce929d0e0e4736520800f067aa0ba902b75900ab1b75a7fc7a18121f0900ca256fa7fc7a182a0b0a09474554202f20',
    '3230305900ca256fa7fc7a18',
  ].join('')
  const timeUs = first.startUs
  const records = [
    {
      timeUs,
      observedUs: first.endUs,
      attributes: [
        ['status', 503],
        ['path', '/é'],
      ],
      traceId: first.traceId,
      spanId: first.spanId,
    },
    { timeUs, observedUs: timeUs, attributes: [], body: 'GET / 200' },
  ] as const
  assert.equal(Buffer.from(request([['service.name', 'orders']], records.map(encodeLog), 'protobuf')).toString('hex'), logged)
})
