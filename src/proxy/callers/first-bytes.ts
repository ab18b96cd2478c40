/** What a connection says first, where nobody declared what it speaks. */

import type { Socket } from '#io/net'
import { detect } from '#wire/detect'

/** How long an undeclared port waits for first bytes before its connection counts as opaque. */
const usualDetectMs = 60

/** Callers that speak first do so within it, at least on their own machine: one that does not may be waiting for its server. */
const promptMs = 5

const tell = (bytes: Uint8Array): boolean | undefined => detect(bytes).kind !== 'more' || undefined

/** What comes within the bound, until `isTold` gives an answer; empty where the caller waits for the server to speak. whenSilent: called if nothing came promptly, with what ends the wait. wholeMs: how long what has begun may take, where that is not what is left of the bound. */
export function firstBytes(
  socket: Socket,
  detectMs = usualDetectMs,
  isTold: (bytes: Uint8Array) => boolean | undefined = tell,
  whenSilent?: (finish: () => void) => void,
  wholeMs?: number,
): Promise<Uint8Array> {
  return new Promise(resolve => {
    const parts: Uint8Array[] = []
    let isOver = false
    const finish = () => {
      if (isOver) return
      isOver = true
      clearTimeout(timer)
      socket.off('data', onData)
      socket.off('close', finish)
      socket.off('end', finish)
      socket.pause()
      resolve(parts.length === 1 ? parts[0]! : Buffer.concat(parts))
    }
    const onData = (bytes: Uint8Array) => {
      parts.push(bytes)
      if (parts.length === 1 && wholeMs !== undefined) {
        clearTimeout(timer)
        timer = setTimeout(finish, wholeMs)
      }
      if (isTold(parts.length === 1 ? bytes : Buffer.concat(parts)) !== undefined) finish()
    }
    let timer: NodeJS.Timeout
    if (whenSilent === undefined || detectMs <= promptMs) timer = setTimeout(finish, detectMs)
    else
      timer = setTimeout(() => {
        timer = setTimeout(finish, detectMs - promptMs)
        if (parts.length === 0) whenSilent(finish)
      }, promptMs)
    socket.on('error', () => {})
    socket.on('data', onData)
    socket.once('close', finish)
    socket.once('end', finish)
    socket.resume()
  })
}
