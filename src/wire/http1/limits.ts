/** How much of a peer's message is taken before it is refused; every loop over hostile input ends at one of these. */

export type Limits = {
  /** The request line or status line with its CRLF; at most `maxHeadBytes`. Longer: `uri-too-long`. */
  readonly maxLineBytes: number
  /** The whole head: first line and fields. Longer: `header-too-large`. */
  readonly maxHeadBytes: number
  /** Field lines in a head or in trailers. */
  readonly maxFields: number
  readonly maxTrailerBytes: number
  /** Chunk extensions of one whole body: they carry nothing and cost time (Go's CVE-2023-39326). */
  readonly maxExtensionBytes: number
  /** 1xx responses to one request. */
  readonly maxInformational: number
}

export const defaultLimits: Limits = {
  maxLineBytes: 16_384,
  maxHeadBytes: 65_536,
  maxFields: 128,
  maxTrailerBytes: 8_192,
  maxExtensionBytes: 4_096,
  maxInformational: 32,
}
