/** Which bodies are compressed and which are taken apart, and what is worth it where nobody says otherwise. */

/**
 * answers: in the first of these codings that the caller likes best. requests: on their way to the backend, always, so that it must read this coding. Both:
 * of so many bytes at least, where the length is told, and of these types only, in lower case. takesCoded: bodies of requests that are coded are
 * taken apart, up to so many bytes.
 */
export type Compression = {
  readonly answers?: { readonly codings: readonly Coding[] } & Compressible
  readonly requests?: { readonly coding: Coding } & Compressible
  readonly takesCoded?: { readonly maxBytes: number }
}

export type Compressible = { readonly minBytes: number; readonly types: readonly string[] }

/** How a body may be coded (RFC 9110 §8.4.1, RFC 7932, RFC 8878). */
export type Coding = (typeof codings)[number]

export const codings = ['gzip', 'br', 'zstd'] as const

export const usualCompressible: Compressible = {
  minBytes: 512,
  types: [
    'application/javascript',
    'application/json',
    'application/manifest+json',
    'application/problem+json',
    'application/x-ndjson',
    'application/xhtml+xml',
    'application/xml',
    'image/svg+xml',
    'text/css',
    'text/csv',
    'text/event-stream',
    'text/html',
    'text/javascript',
    'text/markdown',
    'text/plain',
    'text/xml',
  ],
}
