/** What each end tells the other about itself, RFC 9113 §6.5. */

import { errorCodes, Fault, largestWindow, settingIds } from './codes.ts'
import { initialTableSize } from '../hpack.ts'
import type { Limits2 } from './limits.ts'

/** What the peer has said; until then RFC 9113 §6.5.2 says it. */
export class PeerSettings {
  headerTableSize = initialTableSize
  initialWindow = 65_535
  maxFrame = 16_384
  maxStreams: number
  allowsProtocol = false

  /** maxStreams: what is assumed until the peer says something. */
  constructor(maxStreams: number) {
    this.maxStreams = maxStreams
  }

  /** Takes one setting. Ones that nobody knows are ignored. */
  set(id: number, value: number, isFromServer: boolean): void {
    switch (id) {
      case settingIds.headerTableSize:
        this.headerTableSize = value
        return
      case settingIds.enablePush:
        if (value > (isFromServer ? 0 : 1)) throw new Fault(errorCodes.protocolError, `RFC 9113 §6.5.2: SETTINGS_ENABLE_PUSH is ${value}`)
        return
      case settingIds.maxStreams:
        this.maxStreams = value
        return
      case settingIds.initialWindow:
        if (value > largestWindow)
          throw new Fault(errorCodes.flowControlError, 'RFC 9113 §6.5.2: SETTINGS_INITIAL_WINDOW_SIZE is too large')
        this.initialWindow = value
        return
      case settingIds.maxFrame:
        if (value < 16_384 || value > 0xff_ffff)
          throw new Fault(errorCodes.protocolError, `RFC 9113 §6.5.2: SETTINGS_MAX_FRAME_SIZE is ${value}`)
        this.maxFrame = value
        return
      case settingIds.connectProtocol:
        if (value > 1 || (this.allowsProtocol && value === 0))
          throw new Fault(errorCodes.protocolError, `RFC 8441 §3: SETTINGS_ENABLE_CONNECT_PROTOCOL is ${value}`)
        this.allowsProtocol = value === 1
    }
  }
}

/** What this end says, once. */
export const ownSettings = (limits: Limits2, isServer: boolean): [number, number][] => [
  ...(limits.headerTableBytes === initialTableSize ? [] : [[settingIds.headerTableSize, limits.headerTableBytes] as [number, number]]),
  ...(isServer ? [[settingIds.maxStreams, limits.maxStreams] as [number, number]] : [[settingIds.enablePush, 0] as [number, number]]),
  [settingIds.initialWindow, limits.streamWindow],
  [settingIds.maxFrame, limits.maxFrameBytes],
  [settingIds.maxHeaderList, limits.maxHeadBytes],
  ...(isServer ? [[settingIds.connectProtocol, 1] as [number, number]] : []),
]
