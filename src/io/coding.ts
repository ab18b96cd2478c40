/** Bodies in gzip, br and zstd, as they pass: bytes in, coded or decoded bytes out, off the event loop. */

import type { Transform } from 'node:stream'
import {
  constants,
  createBrotliCompress,
  createBrotliDecompress,
  createGunzip,
  createGzip,
  createZstdCompress,
  createZstdDecompress,
} from 'node:zlib'

/** Who takes what comes out. */
export interface CodedOut {
  coded(bytes: Uint8Array): void
  /** All is out. */
  allCoded(): void
  /** What came in is not in this coding, or breaks off. */
  failed(why: string): void
  /** What waited to be coded has become little. */
  drained(): void
}

export interface Coder {
  write(bytes: Uint8Array): void
  /** Lets out what is held for better coding, as far as it goes. */
  flush(): void
  end(): void
  /** Holds back what comes out. */
  pause(): void
  resume(): void
  /** Nobody wants the rest. */
  drop(): void
  /** Bytes that wait to be coded. */
  readonly waiting: number
}

/** Levels at which a core codes some ten megabytes a second at least: what proxies usually take. */
const compressors = {
  gzip: () => createGzip({ level: 5 }),
  br: () => createBrotliCompress({ params: { [constants.BROTLI_PARAM_QUALITY]: 4, [constants.BROTLI_PARAM_LGWIN]: 18 } }),
  zstd: () => createZstdCompress({ params: { [constants.ZSTD_c_compressionLevel]: 3 } }),
}
const decompressors = { gzip: () => createGunzip(), br: () => createBrotliDecompress(), zstd: () => createZstdDecompress() }

export const compressing = (coding: keyof typeof compressors, out: CodedOut): Coder => coderOf(compressors[coding](), out, flushes[coding])
export const decompressing = (coding: keyof typeof compressors, out: CodedOut): Coder =>
  coderOf(decompressors[coding](), out, flushes[coding])

/** What was learnt of the data so far is kept. */
const flushes = { gzip: constants.Z_SYNC_FLUSH, br: constants.BROTLI_OPERATION_FLUSH, zstd: constants.ZSTD_e_flush }

type Zlib = Transform & { flush(kind: number, done?: () => void): void }

function coderOf(stream: Zlib, out: CodedOut, flushKind: number): Coder {
  let isOver = false
  stream.on('data', (bytes: Uint8Array) => isOver || out.coded(bytes))
  stream.on('end', () => {
    if (isOver) return
    isOver = true
    out.allCoded()
  })
  stream.on('drain', () => isOver || out.drained())
  stream.on('error', (error: Error) => {
    if (isOver) return
    isOver = true
    out.failed(error.message)
  })
  return {
    write: bytes => void (isOver || stream.write(bytes)),
    flush: () => void (isOver || stream.flush(flushKind)),
    end: () => void (isOver || stream.end()),
    pause: () => void stream.pause(),
    resume: () => void stream.resume(),
    drop: () => {
      isOver = true
      stream.destroy()
    },
    get waiting() {
      return stream.writableLength
    },
  }
}
