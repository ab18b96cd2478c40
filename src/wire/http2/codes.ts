/** The numbers of RFC 9113: frame types §6, flags, settings §6.5.2, error codes §7. */

export const frameTypes = {
  data: 0,
  headers: 1,
  priority: 2,
  reset: 3,
  settings: 4,
  push: 5,
  ping: 6,
  goaway: 7,
  windowUpdate: 8,
  continuation: 9,
} as const

export const flags = { endStream: 1, ack: 1, endHeaders: 4, padded: 8, priority: 32 } as const

export const settingIds = {
  headerTableSize: 1,
  enablePush: 2,
  maxStreams: 3,
  initialWindow: 4,
  maxFrame: 5,
  maxHeaderList: 6,
  /** RFC 8441 §3. */
  connectProtocol: 8,
} as const

export const errorCodes = {
  noError: 0,
  protocolError: 1,
  internalError: 2,
  flowControlError: 3,
  settingsTimeout: 4,
  streamClosed: 5,
  frameSizeError: 6,
  refusedStream: 7,
  cancel: 8,
  compressionError: 9,
  connectError: 10,
  enhanceYourCalm: 11,
  inadequateSecurity: 12,
  http11Required: 13,
} as const

export type ErrorCode = (typeof errorCodes)[keyof typeof errorCodes]

/** RFC 9113 §5.1.1, §6.9.1. */
export const largestStream = 0x7fff_ffff
export const largestWindow = 0x7fff_ffff

/** RFC 9113 §5.4.1: the connection cannot go on. Thrown inside the codec to the one catch of `receive`; no Error, so that an attacker pays more for it than we do. */
export class Fault {
  readonly code: ErrorCode
  readonly detail: string
  constructor(code: ErrorCode, detail: string) {
    this.code = code
    this.detail = detail
  }
}
