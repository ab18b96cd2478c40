/** Something outside the mesh that is called by its URL, as a backend. */

import type { Backend } from '#model/backend'

/** name: of the backend; of all URLs of one origin it is the same. */
export function outsideBackend(name: string, { protocol, hostname, port }: URL, speaks: Backend['protocol'] = 'http1'): Backend {
  const isSecure = protocol === 'https:'
  const host = hostname.replace(/^\[|\]$/g, '')
  const number = port === '' ? (isSecure ? 443 : 80) : Number(port)
  return {
    name,
    service: host,
    type: 'hosts',
    hosts: [{ host, port: number, weight: 1, health: 'healthy', mtls: false, workload: host }],
    isExternal: true,
    port: number,
    protocol: speaks,
    balance: 'round-robin',
    connectTimeoutMs: 5000,
    identities: [],
    ...(isSecure ? { tls: { serverName: host } } : {}),
  }
}
