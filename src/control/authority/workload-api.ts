/** No authority of the mesh: an agent, such as that of SPIRE, gives the control plane its certificate and tells the roots, and gives each workload its own. */

import { agentPath, type AgentSvid, svidOf } from '#identity/agent-svid'
import { type Certificate, pemBlocks, readCertificate } from '#identity/certificate'
import { BadCsr } from '#identity/csr'
import { controlId } from '#identity/spiffe'
import { connectLocal } from '#io/grpc'
import type { SettingsOf } from '#resources/authority-file'
import { fetchX509Svid } from '#xds/rpcs'
import type { ForeignPlace } from './foreign.ts'
import type { Issuer } from './issuer.ts'

const patienceMs = 10_000
const againMs = 1000

/** Rejects with one sentence when the agent does not give the control plane an identity in time. */
export async function openWorkloadApi({ address }: SettingsOf<'WorkloadAPI'>, place: ForeignPlace): Promise<Issuer> {
  const { clock, log, trustDomain, onChange } = place
  const self = controlId(trustDomain)
  const channel = connectLocal(agentPath(address)!)
  const first = Promise.withResolvers<void>()
  let held: AgentSvid | undefined
  let last = 'it does not answer'
  let cancel = (): void => {}
  let isClosed = false
  const open = (): void => {
    const stream = channel.stream(
      fetchX509Svid,
      {
        message: ({ svids }) => {
          try {
            const next = svidOf(svids, self, address, clock.now())
            const isFirst = held === undefined
            held = next
            if (isFirst) return first.resolve()
            log.info('the agent gave another certificate', { identity: self, serial: next.serial, agent: address })
            onChange()
          } catch (thrown) {
            last = (thrown as Error).message
            if (held === undefined) first.reject(thrown)
            else log.error('what the agent gives now cannot be used; what it gave before holds on', { agent: address, reason: last })
          }
        },
        end: ({ details }) => {
          if (isClosed) return
          last = details
          log.warn('the agent that gives identities is gone', { agent: address, reason: details })
          cancel = clock.after(againMs, open)
        },
      },
      { metadata: { 'workload.spiffe.io': 'true' } },
    )
    stream.send({})
    stream.end()
    cancel = () => stream.cancel()
  }
  const close = (): void => {
    isClosed = true
    cancel()
    channel.close()
  }
  open()
  const enough = clock.after(patienceMs, () =>
    first.reject(
      new Error(
        `the agent at ${address} gave the control plane no identity within ${patienceMs / 1000} s (${last}): does it run, and is ${self} registered there?`,
      ),
    ),
  )
  try {
    await first.promise
  } catch (thrown) {
    close()
    throw thrown
  } finally {
    enough()
  }
  const roots = (): readonly Certificate[] => held!.roots.map(readCertificate)
  return {
    type: 'WorkloadAPI',
    roots,
    anchor: () => roots()[0]!,
    intermediates: () => pemBlocks(held!.cert, 'CERTIFICATE').slice(1).map(readCertificate),
    sign: ({ identity }) =>
      Promise.reject(
        new BadCsr(
          `certificates of this mesh come from SPIFFE agents, not from the control plane: register ${identity} there, and start it with --spiffe-socket`,
        ),
      ),
    server: () => held!,
    close,
  }
}
