/** What becomes of a connection whose TLS handshake failed. */

import type { TLSSocket } from 'node:tls'

/** Node leaves it open, so who never finishes a handshake would hold it for ever. The alert that says why is given a moment to go out. */
export const leave = (socket: TLSSocket): void => void setTimeout(() => socket.destroy(), 500).unref()
