/** What a collector says of a request that it took. */

import type { OtlpEncoding } from './span.ts'

/** How many spans of a request that was taken were refused nevertheless (ExportTracePartialSuccess), and why; undefined: none, or it cannot be read. */
export function refusedIn(reply: Uint8Array, encoding: OtlpEncoding): { readonly spans: number; readonly why: string } | undefined {
  try {
    const { spans, why } = encoding === 'json' ? refusedInJson(reply) : refusedInProtobuf(reply)
    return spans > 0 ? { spans, why } : undefined
  } catch {
    return undefined
  }
}

function refusedInJson(reply: Uint8Array): { readonly spans: number; readonly why: string } {
  const told = JSON.parse(new TextDecoder().decode(reply)) as { partialSuccess?: { rejectedSpans?: unknown; errorMessage?: unknown } }
  const { rejectedSpans = 0, errorMessage } = told.partialSuccess ?? {}
  return { spans: Number(rejectedSpans), why: typeof errorMessage === 'string' ? errorMessage : '' }
}

/** partial_success = 1 { rejected_spans = 1, error_message = 2 }. */
function refusedInProtobuf(reply: Uint8Array): { readonly spans: number; readonly why: string } {
  const partial = fieldsOf(reply).get(1)
  if (!(partial instanceof Uint8Array)) return { spans: 0, why: '' }
  const told = fieldsOf(partial)
  const [spans, why] = [told.get(1), told.get(2)]
  return { spans: typeof spans === 'number' ? spans : 0, why: why instanceof Uint8Array ? new TextDecoder().decode(why) : '' }
}

/** The last of each field of a message that has varints and fields with a length only. */
function fieldsOf(message: Uint8Array): ReadonlyMap<number, number | Uint8Array> {
  const found = new Map<number, number | Uint8Array>()
  let at = 0
  const varint = (): number => {
    let value = 0
    for (let place = 1; ; place *= 128) {
      const byte = message[at++]
      if (byte === undefined || place > 2 ** 63) throw new RangeError('it is cut off')
      value += (byte & 127) * place
      if (byte < 128) return value
    }
  }
  while (at < message.length) {
    const tag = varint()
    if ((tag & 7) === 0) found.set(tag >>> 3, varint())
    else if ((tag & 7) === 2) {
      const length = varint()
      if (at + length > message.length) throw new RangeError('it is cut off')
      found.set(tag >>> 3, message.subarray(at, (at += length)))
    } else throw new RangeError('a field that nobody asked for')
  }
  return found
}
