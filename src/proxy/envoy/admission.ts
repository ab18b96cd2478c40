/** Whether the control plane lets a workload in, asked for its Envoy: that would be refused over and over, and only log it. */

import { backoffMs } from '#base/backoff'
import type { Clock } from '#base/clock'
import { type GrpcChannel, rpcCodes } from '#io/grpc'
import type { ProxyNode } from '#model/workload'
import { nodeOf } from '#xds/node'
import { streamHealthCheck } from '#xds/rpcs'

export type AskAdmission = {
  readonly channel: GrpcChannel
  readonly node: ProxyNode
  /** The certificate does not let it be what it says; true: another one is being asked for, and it is tried by that. */
  readonly onRefused: () => boolean
  /** The control plane is there, whatever it says. */
  readonly onHeard: () => void
  readonly clock: Clock
  readonly signal: AbortSignal
}

const absence = { baseMs: 100, maxMs: 1000 }

/** Resolves with why not, or with undefined: it is let in, or `signal` was aborted before anybody answered. Asks until there is an answer. */
export async function askAdmission(options: AskAdmission): Promise<string | undefined> {
  const { clock, signal, onRefused, onHeard } = options
  for (let attempt = 0; !signal.aborted; attempt++) {
    const { code, details } = await askOnce(options)
    if (code !== rpcCodes.unavailable) onHeard()
    if (code === rpcCodes.ok) return undefined
    if (code === rpcCodes.permissionDenied && !onRefused()) return details
    await new Promise<void>(resolve => {
      const cancel = clock.after(backoffMs(absence, attempt, Math.random()), resolve)
      signal.addEventListener('abort', () => (cancel(), resolve()), { once: true })
    })
  }
  return undefined
}

/** The stream of health checks is judged as that of configuration is, and registers nobody. */
function askOnce({ channel, node, signal }: AskAdmission): Promise<{ readonly code: number; readonly details: string }> {
  return new Promise(resolve => {
    const stream = channel.stream(streamHealthCheck, {
      message: () => {
        resolve({ code: rpcCodes.ok, details: '' })
        stream.cancel()
      },
      end: resolve,
    })
    signal.addEventListener('abort', () => stream.cancel(), { once: true })
    stream.send({ type: 'hello', node: nodeOf(node) })
  })
}
