/** How much a peer may ask of one connection; every loop and every store that a peer can make grow ends at one of these. */

export type Limits2 = {
  /** Names, values and 32 bytes for each field (RFC 9113 §6.5.2), announced to the peer. A longer request gets 431, a longer response a reset. */
  readonly maxHeadBytes: number
  readonly maxTrailerBytes: number
  /** Fields in a head or in trailers. A byte of a block can be a whole field out of the table: this bounds what the array of them takes. */
  readonly maxFields: number
  /** One header block before it is decoded, all its CONTINUATION frames together. Past it the table cannot be kept in step, so the connection ends. */
  readonly maxBlockBytes: number
  /** Frames of one header block: 64 KiB take five; more are a flood (CVE-2024-27316 and its kin). */
  readonly maxBlockFrames: number
  /** Heads of all open streams together: a peer that leaves its window closed keeps them all in memory (the header bomb with a zero window). Past it new streams are refused. */
  readonly maxOpenHeadBytes: number
  /** Streams that a client may have open, announced to it. Past it they are refused. */
  readonly maxStreams: number
  /** Until its settings say otherwise, what a client expects of a server (RFC 9113 §6.5.2 recommends no fewer than 100). */
  readonly assumedMaxStreams: number
  /** Streams that a client has open at once, whatever its server would take: servers bound the memory of a connection too (Node's at 10 MB: some 2,000 streams), and what is beyond goes by another one. */
  readonly maxOpened: number
  /** 1xx responses to one request. */
  readonly maxInformational: number
  /** The largest frame that is taken, announced to the peer; and the largest that is written, when the peer takes it. Streams take turns by frame. 16,384 is the least that RFC 9113 §4.2 lets one announce; two ends that know each other may take more and spare calls on bulk. */
  readonly maxFrameBytes: number
  /** What a peer may send on one stream before it is consumed: 100 Mbit/s over 20 ms, and the memory that one slow reader costs. At least 65,535. */
  readonly streamWindow: number
  /** What a peer may have on the way to us on all streams. Given back as it arrives, so that a slow reader does not take it from the other streams … */
  readonly connectionWindow: number
  /** … as long as what was received and not consumed, with what is on the way, stays below this. It takes 60 slow readers to stall the others. */
  readonly maxHeldBytes: number
  /** What is queued of one stream when `isWritable` says no. */
  readonly maxQueuedBytes: number
  /** The header table of either direction: 4,096 is what everybody keeps. */
  readonly headerTableBytes: number
  /** Frames that carry nothing (PING, SETTINGS, PRIORITY, WINDOW_UPDATE, empty DATA …) ahead of the work they come with. */
  readonly noiseBurst: number
  readonly noisePerSecond: number
  /** Streams that a peer ended before they were answered, or made us end (CVE-2023-44487, CVE-2025-8671), ahead of those that it let finish. nghttp2 allows 1,000 and 33 a second. */
  readonly resetBurst: number
  readonly resetsPerSecond: number
  /** Replies (acknowledgements, resets) waiting for a peer that does not read them. */
  readonly maxReplies: number
}

export const defaultLimits: Limits2 = {
  maxHeadBytes: 65_536,
  maxTrailerBytes: 8_192,
  maxFields: 128,
  maxBlockBytes: 131_072,
  maxBlockFrames: 16,
  maxOpenHeadBytes: 4_194_304,
  maxStreams: 1_000,
  assumedMaxStreams: 100,
  maxOpened: 500,
  maxInformational: 32,
  maxFrameBytes: 16_384,
  streamWindow: 262_144,
  connectionWindow: 4_194_304,
  maxHeldBytes: 20_971_520,
  maxQueuedBytes: 65_536,
  headerTableBytes: 4_096,
  noiseBurst: 2_000,
  noisePerSecond: 100,
  resetBurst: 500,
  resetsPerSecond: 33,
  maxReplies: 2_000,
}
