/** The same messages in the JSON of OTLP: names in lowerCamelCase, enumerations as numbers, 64-bit numbers as text, ids in hexadecimal. */

import { type Attributes, flagsOf, isError, kinds, type OtlpValue, type Span } from './span.ts'

export function jsonOf(of: Span | { readonly attributes: Attributes }): Readonly<Record<string, unknown>> {
  if (!('traceId' in of)) return { attributes: attributesOf(of.attributes) }
  const { traceId, spanId, parentId, state, name, kind, startUs, endUs, attributes, droppedAttributes, events, droppedEvents, error } = of
  return {
    traceId,
    spanId,
    ...(state === '' ? {} : { traceState: state }),
    ...(parentId === '' ? {} : { parentSpanId: parentId }),
    flags: flagsOf(of),
    name,
    kind: kinds[kind],
    startTimeUnixNano: `${startUs}000`,
    endTimeUnixNano: `${endUs}000`,
    attributes: attributesOf(attributes),
    ...(droppedAttributes === undefined ? {} : { droppedAttributesCount: droppedAttributes }),
    ...(events.length === 0
      ? {}
      : { events: events.map(each => ({ timeUnixNano: `${each.atUs}000`, name: each.name, attributes: attributesOf(each.attributes) })) }),
    ...(droppedEvents === undefined ? {} : { droppedEventsCount: droppedEvents }),
    ...(error === undefined ? {} : { status: { code: isError, ...(error === '' ? {} : { message: error }) } }),
  }
}

const attributesOf = (attributes: Attributes) => attributes.map(([key, value]) => ({ key, value: valueOf(value) }))

const valueOf = (value: OtlpValue) =>
  typeof value === 'string' ? { stringValue: value } : typeof value === 'boolean' ? { boolValue: value } : { intValue: String(value) }
