/** The client's side of TLS for gRPC: which certificate it shows, and how it knows the server. */

import { ChannelCredentials } from '@grpc/grpc-js'
import { createHash, X509Certificate } from 'node:crypto'
import { isIP, type Socket } from 'node:net'
import { checkServerIdentity, connect, type ConnectionOptions, type DetailedPeerCertificate, type TLSSocket } from 'node:tls'

/** PEM. cert: the chain, leaf first. */
export type KeyAndChain = { readonly key: string; readonly cert: string }

export type ClientTls = {
  readonly host: string
  readonly port: number
  /** Asked at every connection, so that the newest is shown. Undefined: none, as long as a join token is the only proof. */
  readonly certificate: () => KeyAndChain | undefined
  /** PEM roots, or the base64url SHA-256 of a root's DER (first contact: all that a join token can carry). */
  readonly trust: () => { readonly roots: readonly string[] } | { readonly rootSha256: string }
  /** Why the server's leaf (DER) is not the one expected. Absent: its names must fit `host`. */
  readonly expectedServer?: (leaf: Uint8Array) => string | undefined
  /** Told when a server answered but is not to be trusted: trying again will hardly help. The call fails as `unavailable` all the same. */
  readonly onUntrusted?: (reason: string) => void
}

type Connector = ReturnType<ChannelCredentials['_createSecureConnector']>

/** grpc-js asks its credentials for a TLS socket at every connection; these make it with what is true at that moment. */
export class LiveCredentials extends ChannelCredentials {
  readonly #tls: ClientTls
  constructor(tls: ClientTls) {
    super()
    this.#tls = tls
  }
  _isSecure(): boolean {
    return true
  }
  _equals(other: ChannelCredentials): boolean {
    return this === other
  }
  _createSecureConnector(...[, , calls]: Parameters<ChannelCredentials['_createSecureConnector']>): Connector {
    const tls = this.#tls
    return {
      connect: async socket => ({ socket: await secure(socket, tls, await trustedRoots(tls)), secure: true }),
      waitForReady: async () => {},
      getCallCredentials: () => calls ?? noCallCredentials,
      destroy() {},
    }
  }
}

/** Empty call credentials: grpc-js does not export their class, only ways to make filled ones. */
const noCallCredentials = ChannelCredentials.createInsecure()._createSecureConnector({ path: '' }, {}).getCallCredentials()

function secure(socket: Socket, tls: ClientTls, roots: readonly string[]): Promise<TLSSocket> {
  const { expectedServer } = tls
  return handshake(tls, {
    socket,
    ca: [...roots],
    ...tls.certificate(),
    // OpenSSL has verified the chain when this is called
    checkServerIdentity: expectedServer ? (_host, leaf) => asError(expectedServer(leaf.raw)) : checkServerIdentity,
  })
}

const asError = (reason: string | undefined): Error | undefined => (reason === undefined ? undefined : new Error(reason))

function handshake(tls: ClientTls, options: ConnectionOptions): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const name = isIP(tls.host) ? {} : { servername: tls.host } // RFC 6066 §3: no addresses in SNI
    const socket = connect({ ...options, ...name, host: tls.host, ALPNProtocols: ['h2'], minVersion: 'TLSv1.3' })
    const failed = (error: Error): void => {
      socket.destroy()
      if (socket.authorizationError) tls.onUntrusted?.(error.message)
      reject(new Error(`TLS with ${tls.host}:${tls.port} failed: ${error.message}`))
    }
    const closed = (): void => failed(new Error('the server closed the connection during the handshake'))
    socket.setTimeout(20_000, () => failed(new Error('no answer within 20 s')))
    socket.once('error', failed)
    socket.once('close', closed)
    socket.once('secureConnect', () => {
      socket.setTimeout(0)
      socket.off('error', failed)
      socket.off('close', closed)
      socket.on('error', () => {}) // later ones reach the HTTP/2 session, which reports them
      resolve(socket)
    })
  })
}

/**
 * First contact knows only a hash. A connection of its own, on which we say nothing and believe nothing, fetches the chain that the server
 * presents (it ends in the root); the one certificate whose SHA-256 is the pin becomes the root of the real connection, which OpenSSL then
 * verifies in the ordinary way. So no chain is ever verified by code of ours, and an impostor gains nothing: to pass it needs a root with
 * that hash, and a leaf which that root's key has signed.
 */
async function trustedRoots(tls: ClientTls): Promise<readonly string[]> {
  const trust = tls.trust()
  if ('roots' in trust) return trust.roots
  const probe = await handshake(tls, { port: tls.port, rejectUnauthorized: false })
  const chain = presented(probe)
  probe.destroy()
  const root = chain.find(der => sha256(der) === trust.rootSha256)
  if (!root) {
    const reason = `the server at ${tls.host}:${tls.port} does not belong to the root certificate that the join token names; is it the control plane that made the token? (it shows ${chain.map(sha256).join(', ')}; expected ${trust.rootSha256})`
    tls.onUntrusted?.(reason)
    throw new Error(reason)
  }
  return [new X509Certificate(root).toString()]
}

const sha256 = (der: Uint8Array): string => createHash('sha256').update(der).digest('base64url')
/** The certificates that the peer showed, DER, leaf first; empty when none. */
export function presented(socket: TLSSocket): readonly Uint8Array[] {
  const chain: Uint8Array[] = []
  const seen = new Set<string>() // the last one is its own issuer
  let certificate: DetailedPeerCertificate | undefined = socket.getPeerCertificate(true)
  while (certificate?.raw && !seen.has(certificate.fingerprint256)) {
    seen.add(certificate.fingerprint256)
    chain.push(certificate.raw)
    certificate = certificate.issuerCertificate
  }
  return chain
}
