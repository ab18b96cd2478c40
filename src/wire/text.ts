/** Latin-1 between bytes and strings, the encoding of everything in HTTP that is not a body: one byte is one character, so nothing can change its length. */

type Latin1 = {
  latin1Slice(this: Uint8Array, from: number, to: number): string
  latin1Write(this: Uint8Array, text: string, at: number, length: number): number
}

// The methods behind buffer.toString('latin1') and buffer.write(…, 'latin1'), without the checks of their arguments: half the cost on heads of 300 bytes (bench/codec.ts).
const { latin1Slice, latin1Write } = Buffer.prototype as unknown as Latin1

export const latin1 = (bytes: Uint8Array, from: number, to: number): string => latin1Slice.call(bytes, from, to)

/** Every character must be below U+0100; the writer checks that before. Returns the bytes written. */
export const putLatin1 = (into: Uint8Array, text: string, at: number): number => latin1Write.call(into, text, at, text.length)
