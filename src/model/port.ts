/** How a port is written where TCP and UDP may share its number. */

import type { Backend } from './backend.ts'
import type { Protocol } from './listener.ts'

/** `53` of TCP, `53/udp` of UDP: the end of the names of listeners and backends. */
export const portName = (port: number, protocol: Protocol | Backend['protocol']): string =>
  protocol === 'udp' ? `${port}/udp` : String(port)

/** The backend of a Gateway that speaks TLS to what the other speaks to without. */
export const inTls = (backend: string): string => `${backend}~tls`
