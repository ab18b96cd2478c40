/** The hand-made view of a half: everything on that a mesh has on (ten routes, policy by identity, balancing), so that the figures are those of use. */

import type { Backend, Endpoint, Route, View } from '../src/model/view.ts'
import { idOf, trustDomain } from './certificates.ts'

/** `out`: plain in, mutual TLS out. `in`: the reverse, to the workload. `hop`: plain both sides. `tcp`: opaque bytes, plain both sides. */
export const roles = ['out', 'in', 'hop', 'tcp'] as const
export type Role = (typeof roles)[number]

/** Where the outbound listener is, as a workload would call it. */
export const service = { host: '240.0.0.1', port: 80 }
export const workloadPort = 8080

/** listen, to: ports on 127.0.0.1. For `in`, `to` is the workload's own, which the half dials itself. */
export function viewFor(role: Role, listen: number, to: number, roots: readonly string[]): View {
  const direction = role === 'in' ? 'inbound' : 'outbound'
  const name = role === 'in' ? `inbound/${workloadPort}` : 'outbound/app/server:80'
  const backend: Backend = {
    name: role === 'in' ? `local/${workloadPort}` : 'app/server:80',
    service: 'server.app',
    type: role === 'in' ? 'local' : 'endpoints',
    port: role === 'in' ? workloadPort : 80,
    protocol: role === 'tcp' ? 'tcp' : 'http1',
    balance: 'least-request',
    connectTimeoutMs: 5000,
    identities: [idOf('server')],
  }
  const endpoint: Endpoint = { host: '127.0.0.1', port: to, weight: 1, health: 'healthy', mtls: role === 'out', workload: 'server-1.app' }
  const forward = { type: 'forward', backends: [{ backend: backend.name, weight: 1 }] } as const
  const routes = [...Array.from({ length: 9 }, (_, at) => narrow(at, forward)), route('HTTPRoute app/server rule 9', {}, forward)]
  return {
    listeners: {
      [name]: {
        name,
        direction,
        ...(role === 'in' ? { host: '127.0.0.1', port: listen, tls: { mode: 'strict' } } : service),
        protocol: role === 'tcp' ? 'tcp' : 'http',
        service: 'server.app',
        routes: name,
        backends: forward.backends,
      },
    },
    routes: { [name]: { name, hosts: [{ name, domains: ['*'], routes }] } },
    backends: { [backend.name]: backend },
    endpoints: role === 'in' ? {} : { [backend.name]: { backend: backend.name, endpoints: [endpoint] } },
    dns: [],
    trust: { domain: trustDomain, roots },
  }
}

/** A route that the measured requests look at and do not take. */
const narrow = (at: number, action: Route['action']): Route =>
  route(
    `HTTPRoute app/server rule ${at}`,
    { path: { type: 'prefix', value: `/api/v${at}` }, headers: [{ name: 'x-version', type: 'exact', value: `v${at}` }] },
    action,
  )

const route = (origin: string, match: Route['match'], action: Route['action']): Route => ({
  name: origin,
  origin,
  match,
  filters: [],
  action,
})
