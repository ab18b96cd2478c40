/** Takes leave for a proxy that cannot do so itself: an Envoy breaks its streams off, and its workload would be waited for. */

import type { GrpcChannel } from '#io/grpc'
import type { ProxyNode } from '#model/workload'
import { nodeOf } from '#xds/node'
import { callDelta } from '#xds/rpcs'
import { typeUrls } from '#xds/types'

/** For the control plane; what is not said by then, it finds out by itself within a minute. */
const patienceMs = 2000

/** A newer stream of the same proxy takes over, and ends in order: the workload is gone at once. */
export async function takeLeave(channel: GrpcChannel, node: ProxyNode): Promise<void> {
  const ended = Promise.withResolvers<void>()
  const stream = channel.stream(callDelta, { message: () => {}, end: () => ended.resolve() }, { timeoutMs: patienceMs })
  stream.send({ typeUrl: typeUrls.cluster, node: nodeOf(node), subscribe: [], unsubscribe: [], initialVersions: {}, nonce: '' })
  stream.end()
  await ended.promise
}
