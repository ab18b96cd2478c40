/** The identity of a workload offered to its programs: at a socket that only they may use, told to them by the environment (SPIFFE Workload Endpoint). */

import process from 'node:process'
import { systemClock } from '#base/clock'
import type { SpiffeId } from '#identity/spiffe'
import { temporaryFolder } from '#io/files'
import { type GrpcChannel, serveAttested } from '#io/grpc'
import { whyNoKin } from '#io/kin'
import { WorkloadApi } from '#proxy/workload-api'
import type { RunWorld } from './world.ts'

export type Offer = AsyncDisposable & {
  /** For the program. */
  readonly env: Readonly<Record<string, string>>
  /** The control plane is reached by this: who has asked already gets an answer. */
  reaches(channel: GrpcChannel): void
  /** PEM: what the mesh trusts now, and of which other trust domains it believes what. */
  trusted(roots: readonly string[], federated?: Readonly<Record<string, readonly string[]>>): void
}

/** program: the workload's process; whoever asks before that is known waits for it. Undefined where a kernel does not say who is at the other end of a socket. */
export async function offerIdentity(
  identity: SpiffeId,
  program: Promise<{ readonly pid: number }>,
  { log }: RunWorld,
): Promise<Offer | undefined> {
  if (process.platform !== 'linux') return undefined
  const channel = Promise.withResolvers<GrpcChannel>()
  await using owned = new AsyncDisposableStack()
  const api = new WorkloadApi({ identity, channel: channel.promise, clock: systemClock, log })
  owned.defer(() => api.close())
  // A folder of its own below /tmp: the path of a socket is at most 107 bytes long (unix(7)).
  const { path: folder } = owned.use(await temporaryFolder('weft-identity-'))
  const path = `${folder}/api.sock`
  const refuse = async (peer: Parameters<typeof whyNoKin>[0]) => whyNoKin(peer, (await program).pid)
  owned.use(await serveAttested({ path, services: api.services, refuse, log }))
  const kept = owned.move()
  return {
    env: { SPIFFE_ENDPOINT_SOCKET: `unix://${path}` },
    reaches: channel.resolve,
    trusted: (roots, federated) => api.trusted(roots, federated),
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  }
}
