/** A connection that is being made: until it stands, or why it does not as a Failure. */

import { longestTimerMs } from '#base/clock'
import { Failure } from '#base/failure'
import type { Socket } from '#io/net'
import type { Endpoint } from '#model/backend'
import type { TlsProfile } from '#model/tls'

/** profile: one that was asked for, which may be why it does not come to be. */
export function opened(
  socket: Socket,
  event: 'connect' | 'secureConnect',
  timeoutMs: number,
  endpoint: Pick<Endpoint, 'host' | 'port'>,
  profile?: TlsProfile,
): Promise<Socket> {
  const where = `${endpoint.host}:${endpoint.port}${profile === undefined ? '' : ` by the TLS profile ${profile}`}`
  return new Promise((resolve, reject) => {
    const timer = setTimeout(
      () => {
        socket.destroy()
        reject(new Failure('connect-timeout', `${where} within ${timeoutMs} ms`))
      },
      Math.min(timeoutMs, longestTimerMs),
    )
    const settle = () => {
      clearTimeout(timer)
      socket.off('error', onError)
      socket.off('close', onClose)
    }
    const onError = (error: Error) => {
      settle()
      socket.on('error', () => {})
      socket.destroy()
      reject(failureOf(error, where))
    }
    const onClose = () => onError(new Error('closed during the handshake'))
    socket.on('error', onError)
    socket.on('close', onClose)
    socket.once(event, () => {
      settle()
      resolve(socket)
    })
  })
}

export function failureOf(error: Error, where: string): Failure {
  const code = (error as NodeJS.ErrnoException).code ?? ''
  if (code === 'ECONNREFUSED') return new Failure('connect-refused', where)
  if (code === 'ETIMEDOUT') return new Failure('connect-timeout', where)
  if (
    code.startsWith('ERR_SSL') ||
    code.startsWith('ERR_TLS') ||
    code.includes('CERT') ||
    code.includes('SIGNATURE') ||
    error.message.includes('handshake')
  )
    return new Failure('tls-failed', `${where}: ${error.message}`)
  return new Failure('connect-failed', `${where}: ${code || error.message}`)
}
