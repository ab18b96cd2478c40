/** What a connection says first, where nobody declared what it speaks. */

import type { Socket } from '#io/net'
import { detect } from '#wire/detect'

/** How long an undeclared port waits for first bytes before its connection counts as opaque (server-first protocols wait this long once). */
const usualDetectMs = 60

/** What comes within the bound, until it can be told what it is; empty where the caller waits for the server to speak. */
export function firstBytes(socket: Socket, detectMs = usualDetectMs): Promise<Uint8Array> {
  return new Promise(resolve => {
    const parts: Uint8Array[] = []
    const finish = () => {
      clearTimeout(timer)
      socket.off('data', onData)
      socket.off('close', finish)
      socket.off('end', finish)
      socket.pause()
      resolve(parts.length === 1 ? parts[0]! : Buffer.concat(parts))
    }
    const onData = (bytes: Uint8Array) => {
      parts.push(bytes)
      if (detect(parts.length === 1 ? bytes : Buffer.concat(parts)).kind !== 'more') finish()
    }
    const timer = setTimeout(finish, detectMs)
    socket.on('error', () => {})
    socket.on('data', onData)
    socket.once('close', finish)
    socket.once('end', finish)
    socket.resume()
  })
}
