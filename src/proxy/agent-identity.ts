/**
 * An identity from an agent of others, such as SPIRE's, by the SPIFFE Workload API: the certificate, its key and the roots, and each new one as the agent has it.
 * While the agent is gone, what it gave last is used until its end.
 */

import { type Backoff, backoffMs } from '#base/backoff'
import type { Clock } from '#base/clock'
import type { Log } from '#base/log'
import { agentPath, svidOf } from '#identity/agent-svid'
import { type SpiffeId, spiffeParts } from '#identity/spiffe'
import { connectLocal, type GrpcStream } from '#io/grpc'
import { fetchX509Svid, type Svid } from '#xds/rpcs'
import { expectControl, type KeptCertificate, LateCertificate, NoCertificate, type OwnCertificate } from './certificate.ts'

export type AgentIdentity = {
  /** `unix:///run/spire/agent.sock`, or the path alone. */
  readonly address: string
  /** Who this is to be, of what the agent gives. */
  readonly identity: SpiffeId
  /** PEM, of the control plane; empty: it is known by the roots that the agent gives. */
  readonly roots: readonly string[]
  readonly clock: Clock
  readonly log: Log
  /** For the first certificate. */
  readonly patienceMs: number
  readonly signal?: AbortSignal
}

export type Followed = KeptCertificate & { follow(onChange: () => void): void }

const backoff: Backoff = { baseMs: 200, maxMs: 10_000 }

/** Rejects with NoCertificate: the agent gives nothing that is of use here; or with LateCertificate: it was not reached in time. */
export async function followAgent(options: AgentIdentity): Promise<Followed> {
  const { address, clock, log, patienceMs, signal } = options
  const path = agentPath(address)
  if (path === undefined)
    throw new NoCertificate(`the address ${address} of the agent is none: it must be an absolute path, or unix:// and one`)
  const channel = connectLocal(path)
  const first = Promise.withResolvers<void>()
  let own: OwnCertificate | undefined
  let onChange = (): void => {}
  let stream: GrpcStream<Readonly<Record<string, never>>> | undefined
  let cancel = (): void => {}
  let isStopped = false
  let attempt = 0
  let last = 'it does not answer'

  const take = (svids: readonly Svid[]): void => {
    try {
      const next = svidOf(svids, options.identity, address, clock.now())
      attempt = 0
      if (own?.serial === next.serial && own.roots.join() === next.roots.join()) return
      log.info(own === undefined ? 'got a certificate' : 'the agent gave another certificate', {
        identity: next.identity,
        serial: next.serial,
        until: new Date(next.notAfter).toISOString(),
        agent: address,
      })
      const isFirst = own === undefined
      own = next
      if (isFirst) first.resolve()
      else onChange()
    } catch (thrown) {
      last = (thrown as Error).message
      if (own === undefined) first.reject(new NoCertificate(last))
      else log.error('what the agent gives now cannot be used; what it gave before holds on', { agent: address, reason: last })
    }
  }
  const open = (): void => {
    stream = channel.stream(
      fetchX509Svid,
      {
        message: ({ svids }) => take(svids),
        end: ({ code, details }) => {
          if (isStopped) return
          last = details || 'it ended the stream'
          const waitMs = backoffMs(backoff, attempt++, Math.random())
          log.warn('the agent that gives this identity is gone', {
            agent: address,
            code,
            reason: last,
            retryInMs: Math.round(waitMs),
            have: own === undefined ? 'none' : 'a certificate',
          })
          cancel = clock.after(waitMs, open)
        },
      },
      { metadata: { 'workload.spiffe.io': 'true' } },
    )
    stream.send({})
    stream.end()
  }
  const stop = (): void => {
    isStopped = true
    cancel()
    stream?.cancel()
    channel.close()
  }
  open()
  const late = (): void =>
    first.reject(
      new LateCertificate(
        `the agent at ${address} gave no certificate within ${patienceMs / 1000} s (${last}): does it run, and is this workload registered there?`,
      ),
    )
  const enough = clock.after(patienceMs, late)
  const aborted = (): void => first.reject(new NoCertificate('stopped before a certificate was had'))
  signal?.addEventListener('abort', aborted)
  try {
    await first.promise
  } catch (thrown) {
    stop()
    throw thrown
  } finally {
    enough()
    signal?.removeEventListener('abort', aborted)
  }
  const current = (): OwnCertificate => own!
  const shown = () => (current().notAfter > clock.now() ? current() : undefined)
  return {
    current,
    shown,
    state: () => (shown() === undefined ? 'expired' : 'held'),
    tls: {
      certificate: shown,
      trust: () => ({ roots: [...current().roots, ...options.roots] }),
      expectedServer: expectControl(spiffeParts(options.identity).trustDomain),
    },
    // The agent knows by itself when its roots change.
    trusted: () => {},
    refused: () => false,
    stop,
    follow: told => {
      onChange = told
    },
  }
}
