/** Asks by a connection: that it stands, or what comes back for what is sent. */

import { Failure } from '#base/failure'
import type { Socket } from '#io/net'
import type { Backend, Endpoint } from '#model/backend'
import type { HealthQuestion } from '#model/endpoint-health'
import { connect } from '../../upstreams/connect.ts'
import type { Reach } from '../../upstreams/reach.ts'
import { failed, type Verdict } from './verdict.ts'

/** A proxy of the mesh takes the connection before it knows that its workload does; it breaks it off at once where that refuses. */
const standsMs = 100
/** What is expected is looked for in so much of what comes. */
const mostBytes = 65_536

export async function askConnection(
  backend: Backend,
  endpoint: Endpoint,
  { send, expect }: HealthQuestion & { readonly type: 'tcp' },
  reach: Reach,
  timeoutMs: number,
): Promise<Verdict> {
  const began = performance.now()
  const shorter = { ...backend, connectTimeoutMs: Math.min(backend.connectTimeoutMs, timeoutMs) }
  const { socket } = await connect(shorter, endpoint, reach, [])
  try {
    if (send === undefined && expect.length === 0 && !endpoint.mtls) return { is: 'passed' }
    const leftMs = Math.max(1, timeoutMs - (performance.now() - began))
    if (send !== undefined) socket.write(Uint8Array.fromHex(send))
    if (expect.length === 0) return await stands(socket, Math.min(leftMs, standsMs))
    return await brings(socket, expect, leftMs)
  } finally {
    socket.destroy()
  }
}

function stands(socket: Socket, ms: number): Promise<Verdict> {
  return new Promise(resolve => {
    const timer = setTimeout(() => resolve({ is: 'passed' }), ms)
    const gone = () => {
      clearTimeout(timer)
      resolve(failed('closed', 'the connection was closed at once'))
    }
    socket.on('error', () => {})
    socket.once('close', gone)
    socket.once('end', gone)
    socket.resume()
  })
}

function brings(socket: Socket, expect: readonly string[], ms: number): Promise<Verdict> {
  return new Promise((resolve, reject) => {
    let come = ''
    const settle = (verdict: Verdict) => {
      clearTimeout(timer)
      resolve(verdict)
    }
    const timer = setTimeout(() => {
      if (come === '') reject(new Failure('upstream-timeout', `nothing came within ${ms.toFixed(0)} ms`))
      else resolve(failed('unexpected-bytes', `${come.length / 2} bytes came, and not what is expected`))
    }, ms)
    socket.on('data', (bytes: Uint8Array) => {
      come += bytes.toHex()
      if (holds(come, expect)) settle({ is: 'passed' })
      else if (come.length > 2 * mostBytes) settle(failed('unexpected-bytes', `${mostBytes} bytes came, and not what is expected`))
    })
    socket.on('error', () => {})
    socket.once('close', () =>
      settle(failed('closed', come === '' ? 'closed before anything came' : 'closed before all that is expected came')),
    )
    socket.resume()
  })
}

/** All of them one after the other, on whole bytes; in hexadecimal. */
function holds(come: string, expect: readonly string[]): boolean {
  let from = 0
  for (const each of expect) {
    let at = come.indexOf(each, from)
    while (at >= 0 && at % 2 === 1) at = come.indexOf(each, at + 1)
    if (at < 0) return false
    from = at + each.length
  }
  return true
}
