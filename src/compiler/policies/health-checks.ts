/** The healthCheck of a BackendPolicy as the model has it, for the ports that can be asked so. */

import type { Backend } from '#model/backend'
import type { HealthCheck, HealthQuestion } from '#model/endpoint-health'
import type { Protocol } from '#model/listener'
import { durationMs } from '#resources/duration'
import { type BackendPolicySpec, statusRange } from '#resources/weft'
import { carriesCalls, isHttp } from '../services/protocol.ts'

type Said = NonNullable<BackendPolicySpec['healthCheck']>
export type Checking = Pick<Backend, 'healthCheck'>

/** wider: what holds where this policy says nothing. */
export function checkingOf({ healthCheck: wider }: Checking, own: Pick<BackendPolicySpec, 'healthCheck'> | undefined): Checking {
  const healthCheck = own?.healthCheck === undefined ? wider : lowered(own.healthCheck)
  return healthCheck === undefined ? {} : { healthCheck }
}

/** Of a policy for a whole Service, to the ports of other protocols. */
export const checkedAt = ({ healthCheck }: Checking, protocol: Protocol): Checking =>
  healthCheck === undefined || !suits(healthCheck.ask.type, protocol) ? {} : { healthCheck }

/** Why a port of this protocol cannot be asked so. */
export function whyNoCheck(said: Said | undefined, protocol: Protocol): string | undefined {
  if (said === undefined) return undefined
  const { type } = questionOf(said)
  return suits(type, protocol) ? undefined : `it cannot be asked by ${type}`
}

/** What is looked into, or may be, can be asked by HTTP and calls; opaque bytes may be HTTP too. Datagrams are answered by nobody in particular. */
function suits(type: HealthQuestion['type'], protocol: Protocol): boolean {
  if (protocol === 'udp') return false
  if (type === 'tcp') return true
  if (type === 'grpc') return carriesCalls(protocol) || protocol === 'tcp'
  return isHttp(protocol) || protocol === 'tcp'
}

function lowered(said: Said): HealthCheck {
  const intervalMs = durationMs(said.interval)
  return {
    ask: questionOf(said),
    intervalMs,
    timeoutMs: durationMs(said.timeout),
    unhealthyAfter: said.unhealthyThreshold,
    healthyAfter: said.healthyThreshold,
    jitterPercent: said.jitter,
    ...(said.whileIdle ? { idleMs: intervalMs } : {}),
  }
}

/** Validation has made sure that one of the three is there. */
function questionOf({ http, grpc, tcp }: Said): HealthQuestion {
  if (http !== undefined) {
    const { method, path, host, headers, statuses } = http
    return {
      type: 'http',
      method,
      path,
      ...(host === undefined ? {} : { host }),
      headers: headers.map(({ name, value }) => ({ name: name.toLowerCase(), value })),
      statuses: statuses.map(each => statusRange(each)!),
    }
  }
  if (grpc !== undefined) return { type: 'grpc', service: grpc.service }
  const { send, expect = [] } = tcp ?? {}
  return { type: 'tcp', ...(send === undefined ? {} : { send: hexOf(send) }), expect: expect.map(hexOf) }
}

const hexOf = ({ text, hex }: { readonly text?: string | undefined; readonly hex?: string | undefined }): string =>
  hex?.toLowerCase() ?? new TextEncoder().encode(text).toHex()
