/** A field name as the writer of header blocks needs it: where it stands in the static table, its bytes, and whether its values are worth remembering. */

import { putLatin1 } from '../text.ts'
import { huffmanLength, putHuffman } from './huffman.ts'
import { putInteger } from './integer.ts'
import { staticCount, staticIndexOf, staticTable } from './static.ts'

/**
 * `always`: enters the table the first time. `repeat`: when the same value comes again. `once`: never, each value is new. `never`: never, and whoever passes
 * the block on must not either (RFC 7541 §7.1.3): a secret whose length a guess in the same table could tell.
 */
export type Indexing = 'always' | 'repeat' | 'once' | 'never'

const names = (indexing: Indexing, text: string): [string, Indexing][] => text.split(' ').map(name => [name, indexing])

const indexings = new Map<string, Indexing>([
  ...names('never', 'authorization proxy-authorization set-cookie x-api-key x-auth-token'),
  ...names(
    'once',
    'content-length date etag last-modified if-match if-none-match if-modified-since if-unmodified-since if-range age location range content-range ' +
      'traceparent x-request-id x-correlation-id x-trace-id x-b3-traceid x-b3-spanid x-b3-parentspanid b3 grpc-timeout x-envoy-expected-rq-timeout-ms ' +
      'sec-websocket-key sec-websocket-accept',
  ),
  ...names(
    'always',
    ':authority :method :scheme :status :protocol user-agent accept accept-encoding accept-language content-type content-encoding server te vary ' +
      'grpc-encoding grpc-accept-encoding grpc-status cache-control',
  ),
])

/** How many chains a writer keeps its table entries in; a name always belongs to the same one. */
export const slots = 64

export class HeaderName {
  /** Lower case, as it is written. */
  readonly lower: string
  readonly indexing: Indexing
  readonly slot: number
  /** The first entry of the static table with this name; 0: none. */
  readonly staticIndex: number
  /** How many entries in a row have it. */
  readonly staticEntries: number
  #literal: Uint8Array | undefined

  constructor(lower: string) {
    this.lower = lower
    this.indexing = indexings.get(lower) ?? 'repeat'
    let hash = 0
    for (let at = 0; at < lower.length; at++) hash = (Math.imul(hash, 31) + lower.charCodeAt(at)) | 0
    this.slot = (hash ^ (hash >>> 16)) & (slots - 1)
    const first = staticIndexOf(lower)
    let count = 0
    if (first > 0) while (first + count <= staticCount && staticTable[first + count]!.name === lower) count++
    this.staticIndex = first
    this.staticEntries = count
  }

  /** The name as a string literal (RFC 7541 §5.2), made when first needed: names that come once never are. */
  get literal(): Uint8Array {
    return (this.#literal ??= literalOf(this.lower))
  }
}

function literalOf(text: string): Uint8Array {
  const coded = huffmanLength(text)
  const into = Buffer.allocUnsafeSlow(text.length + 6)
  if (coded < text.length) return into.subarray(0, putHuffman(into, putInteger(into, 0, 0x80, 7, coded), text))
  const at = putInteger(into, 0, 0, 7, text.length)
  return into.subarray(0, at + putLatin1(into, text, at))
}
