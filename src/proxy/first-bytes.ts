/** What a connection says first, where nobody declared what it speaks. */

import type { Socket } from '#io/net'
import { detect } from '#wire/detect'

/** How long an undeclared port waits for first bytes before its connection counts as opaque (server-first protocols wait this long once). */
const usualDetectMs = 60

const tell = (bytes: Uint8Array): boolean | undefined => detect(bytes).kind !== 'more' || undefined

/** What comes within the bound, until `isTold` gives an answer; empty where the caller waits for the server to speak. */
export function firstBytes(
  socket: Socket,
  detectMs = usualDetectMs,
  isTold: (bytes: Uint8Array) => boolean | undefined = tell,
): Promise<Uint8Array> {
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
      if (isTold(parts.length === 1 ? bytes : Buffer.concat(parts)) !== undefined) finish()
    }
    const timer = setTimeout(finish, detectMs)
    socket.on('error', () => {})
    socket.on('data', onData)
    socket.once('close', finish)
    socket.once('end', finish)
    socket.resume()
  })
}
