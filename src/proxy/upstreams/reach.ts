/** How a data plane reaches out: its credentials, the way into its workload, and what a connection that is made is. */

import type { Failure } from '#base/failure'
import type { SecureContext, Socket, TlsSocket } from '#io/net'
import type { Refused } from '#identity/verify'
import type { UdpFlow, UdpHandlers } from '#io/udp'
import type { TlsProfile } from '#model/tls'
import type { Side } from './handshakes.ts'
import type { Peer } from './peer.ts'

/** A socket that is connected and, where the endpoint asks for it, secured; `identity` is what the peer proved, `alpn` what it chose of the offers. */
export type Connected = { readonly socket: Socket; readonly identity: string | undefined; readonly alpn?: string | undefined }

/** How this proxy reaches out: its own credentials, and the way into the workload it stands for. */
export type Reach = {
  /** Undefined until the first certificate is there. */
  readonly credentials: (profile?: TlsProfile) => SecureContext | undefined
  /** A handshake is through. peer: what was proved. */
  readonly agreed: (socket: TlsSocket, side: Side, peer?: string) => void
  /** A connection to the workload's own port; rejects with the operating system's error. */
  readonly dialLocal: (port: number, timeoutMs: number) => Promise<Socket>
  /** A flow of datagrams to the workload's own port, from a port of its own. */
  readonly dialLocalUdp: (port: number, on: UdpHandlers) => UdpFlow
  /** Who the endpoint at the other end proves to be, of these ids; its connection is ended when that is not believed any more. */
  readonly believe: (secure: TlsSocket, backend: string, ids: readonly string[]) => Peer | Refused
  /** The addresses of a name outside the mesh. */
  readonly lookup: (name: string) => Promise<readonly string[]>
  /** Why an address outside may not be reached; undefined: it may. host: which led there. isNamed: the caller chose it, among names that are allowed. */
  readonly refusal: (host: string, address: string, port: number, isNamed: boolean) => Failure | undefined
}
