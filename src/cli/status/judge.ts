/** What of a mesh's state needs somebody's attention. */

import type { ControlStatus, ProxyStatus } from '#api/mesh-api'
import { orderedFinding } from '../certificates/judge.ts'
import { tellAgo, tellSpan } from '../moment.ts'
import { oneLine } from '../table.ts'

const dayMs = 86_400_000
/** The authority and the control plane renew theirs in time; less than this means that they did not. */
const leastLeftMs = { root: 30 * dayMs, intermediate: 7 * dayMs, control: 3_600_000 } as const

/** A sentence for each thing that is wrong; empty when all is well. A workload that left is not wrong, a proxy that is cut off is. */
export function concerns({ certificates, proxies, ordered = [] }: ControlStatus, now: number): readonly string[] {
  const found: string[] = []
  for (const { use, notAfter } of certificates) {
    const left = Date.parse(notAfter) - now
    if (left < 0) found.push(`the ${use} certificate expired ${tellSpan(-left)} ago`)
    else if (left < leastLeftMs[use]) found.push(`the ${use} certificate expires in ${tellSpan(left)}`)
  }
  for (const each of ordered) {
    const { of, verdict, remedy } = orderedFinding(each, now)
    if (remedy !== undefined) found.push(`the certificate of Gateways in Secret ${of} ${verdict}: ${oneLine(remedy)}`)
  }
  for (const proxy of proxies) found.push(...concernsOf(proxy, now))
  return found
}

function* concernsOf({ id, state, rejected, lacking = [], lastSeen, certificate, revoked }: ProxyStatus, now: number): Generator<string> {
  // It is cut off because of that, and nobody believes what it serves.
  if (revoked !== undefined) {
    yield `${id} is revoked: ${oneLine(revoked)}`
    return
  }
  if (state === 'rejected') {
    for (const { resource, reason } of rejected) yield `${id} refused ${oneLine(resource)}: ${oneLine(reason)}`
    if (rejected.length === 0) yield `${id} refused its configuration`
  }
  for (const { kind, name, fate, says } of lacking)
    if (fate !== 'less') yield `${id} does not carry out ${name === '' ? `a ${kind}` : `${kind} ${name}`}: ${oneLine(says)}`
  if (state === 'disconnected') yield `${id} is disconnected, last seen ${tellAgo(lastSeen, now)}; it serves with what it has`
  if (certificate && Date.parse(certificate.notAfter) < now) yield `the certificate of ${id} has expired`
}
