/** Whether a request may leave the mesh, and by whose word: the same rules as the proxy of its caller keeps. */

import { isIn } from '../access/network.ts'
import type { Backend, Endpoint, EndpointSet } from '../backend.ts'
import { type Egress, judgeEgress, tellEgress } from '../egress.ts'
import type { Listener } from '../listener.ts'
import type { RequestFacts } from '../match.ts'
import type { View } from '../view.ts'
import { rulesFor } from '../way-out.ts'

/** says: which rule, or whose default. */
export type EgressTold = { readonly isAllowed: boolean; readonly says: string }

/** Of TLS, whose bytes nobody sees. name: the server name. */
export const judgeTls = (listener: Listener, egress: Egress, name: string, port: number): EgressTold =>
  tell(rulesFor(listener, egress, name), { name, port, ...addressIn(name) })

/** Of a request to a name or an address. */
export const judgeRequest = (egress: Egress, { host, method, path }: RequestFacts, called: string, port: number): EgressTold =>
  tell(egress, { name: host.replace(/:\d*$/, '').toLowerCase(), port, request: { method, path }, ...addressIn(called) })

function tell(egress: Egress, destination: Parameters<typeof judgeEgress>[1]): EgressTold {
  const verdict = judgeEgress(egress, destination)
  return { isAllowed: verdict.isAllowed, says: tellEgress(egress, verdict) }
}

const isAddress = (text: string): boolean => isIn(text, '0.0.0.0/0') || isIn(text, '::/0')
const addressIn = (called: string): { address?: string } => (isAddress(called) ? { address: called } : {})

/** A name or address that may be outside: one label is a service, or nothing. */
export const mayBeOutside = (name: string): boolean => isAddress(name) || (name.includes('.') && !/\.(mesh|cluster\.local)\.?$/.test(name))

/** Where a backend leads, whichever way it finds that. called: whom the request is for. */
export function endpointsOf(backend: Backend, view: View, called: string, port: number): EndpointSet | undefined {
  if (backend.type === 'hosts') return { backend: backend.name, endpoints: backend.hosts ?? [] }
  if (backend.type !== 'named' && backend.type !== 'original') return view.endpoints[backend.name]
  const host = called.replace(/:\d*$/, '')
  const place: Endpoint = { host, port: backend.port || port, weight: 1, health: 'healthy', mtls: false, workload: host }
  return { backend: backend.name, endpoints: [place] }
}
