/**
 * HPACK, RFC 7541: header fields as HTTP/2 writes them. This file is the door; the work is in hpack/.
 *
 * Both ends keep a table of fields that were sent; a field in it (or in the static table) takes a byte or two. The tables stay equal only when every block is
 * read whole and in order, also that of a message which is refused: reading tells fields to a sink, which decides what is kept.
 *
 *   bytes ─▶ decode.ts ─▶ table.ts ─▶ sink.field(entry)         an entry that stands in the table is one object for all messages: what is found out about it is noted once
 *   name, value ─▶ encode.ts ─▶ bytes                           header-name.ts says which values enter the table
 *
 * What enters the table is Huffman-coded where that is shorter; what is sent once is sent plainly: coding and decoding it costs more than the bytes do.
 */

export { Decoder, type FieldSink, initialTableSize } from './hpack/decode.ts'
export { Encoder, fieldRoom, isWritable } from './hpack/encode.ts'
export { Entry } from './hpack/entry.ts'
export { HeaderName } from './hpack/header-name.ts'
