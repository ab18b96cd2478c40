/**
 * Spans as OTLP 1 carries them (opentelemetry-proto, trace/v1 and collector/trace/v1): each is encoded by itself when it ends, and a request to the collector
 * is then only put together, so that no batch is long in the making. Both encodings of OTLP/HTTP; JSON has ids in hexadecimal and 64-bit numbers as text.
 */

import { jsonOf } from './otlp/json.ts'
import { Writer } from './otlp/protobuf.ts'
import { type Attributes, flagsOf, isError, kinds, type OtlpEncoding, type Span } from './otlp/span.ts'

export { refusedIn } from './otlp/refused.ts'
export type { Attributes, OtlpEncoding, OtlpValue, Span } from './otlp/span.ts'

export const otlpTypes = { protobuf: 'application/x-protobuf', json: 'application/json' } as const

const writer = new Writer()

/** A span for `request`. */
export function encodeSpan(span: Span, encoding: OtlpEncoding): Uint8Array {
  if (encoding === 'json') return Buffer.from(JSON.stringify(jsonOf(span)))
  writer.begin()
  writeSpan(span)
  return writer.take()
}

/** ExportTraceServiceRequest of spans in the same encoding. resource: who they are of. */
export function request(resource: Attributes, spans: readonly Uint8Array[], encoding: OtlpEncoding): Uint8Array {
  if (encoding === 'json') {
    const head = `{"resourceSpans":[{"resource":${JSON.stringify(jsonOf({ attributes: resource }))},"scopeSpans":[{"scope":{"name":"weft"},"spans":[`
    return Buffer.concat([Buffer.from(head), ...spans.flatMap((span, at) => (at === 0 ? [span] : [comma, span])), Buffer.from(']}]}]}')])
  }
  writer.begin()
  writer.message(1, () => {
    writer.message(1, () => writeAttributes(1, resource))
    writer.message(2, () => {
      writer.message(1, () => writer.text(1, 'weft'))
      for (const span of spans) writer.bytes(2, span)
    })
  })
  return writer.take()
}
const comma = Buffer.from(',')

/**
 * A record of a log (logs/v1) for `request`, in protobuf: that of logs has the numbers of that of spans. timeUs: microseconds since the epoch. ids: of the
 * trace and the span that it is of, in hexadecimal.
 */
export type LogRecord = {
  readonly timeUs: number
  readonly observedUs: number
  readonly body?: string
  readonly attributes: Attributes
  readonly traceId?: string | undefined
  readonly spanId?: string | undefined
}
export function encodeLog({ timeUs, observedUs, body, attributes, traceId, spanId }: LogRecord): Uint8Array {
  writer.begin()
  writer.nanoseconds(1, timeUs)
  if (body !== undefined) writer.message(5, () => writer.text(1, body))
  writeAttributes(6, attributes)
  if (traceId !== undefined) writer.hex(9, traceId)
  if (spanId !== undefined) writer.hex(10, spanId)
  writer.nanoseconds(11, observedUs)
  return writer.take()
}

function writeSpan(span: Span): void {
  writer.hex(1, span.traceId)
  writer.hex(2, span.spanId)
  if (span.state !== '') writer.text(3, span.state)
  if (span.parentId !== '') writer.hex(4, span.parentId)
  writer.text(5, span.name)
  writer.number(6, kinds[span.kind])
  writer.nanoseconds(7, span.startUs)
  writer.nanoseconds(8, span.endUs)
  writeAttributes(9, span.attributes)
  if (span.droppedAttributes !== undefined) writer.number(10, span.droppedAttributes)
  for (const { atUs, name, attributes } of span.events)
    writer.message(11, () => {
      writer.nanoseconds(1, atUs)
      writer.text(2, name)
      writeAttributes(3, attributes)
    })
  if (span.droppedEvents !== undefined) writer.number(12, span.droppedEvents)
  const { error } = span
  if (error !== undefined)
    writer.message(15, () => {
      if (error !== '') writer.text(2, error)
      writer.number(3, isError)
    })
  writer.fixed32(16, flagsOf(span))
}

function writeAttributes(field: number, attributes: Attributes): void {
  for (const [name, value] of attributes)
    writer.message(field, () => {
      writer.text(1, name)
      writer.message(2, () => {
        if (typeof value === 'string') writer.text(1, value)
        else if (typeof value === 'boolean') writer.number(2, value ? 1 : 0)
        else writer.number(3, value)
      })
    })
}
