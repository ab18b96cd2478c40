/** TLS of the mesh's own APIs: 1.2 with the ciphers that keep forward secrecy, 1.3 with all of its own; a client certificate is asked for and never demanded. */

import { constants } from 'node:crypto'
import type { Server } from 'node:https'
import type { ServerOptions } from 'node:https'
import type { DetailedPeerCertificate, TLSSocket } from 'node:tls'

export type ServeTls = {
  /** PEM, leaf first; asked again by `renew`. */
  readonly certificate: () => { readonly key: string; readonly cert: string }
  /** PEM roots of client certificates; undefined: none is asked for. */
  readonly clientRoots: () => readonly string[] | undefined
}

/** RFC 9325 §4.2. */
const ciphers = [
  'TLS_AES_128_GCM_SHA256',
  'TLS_AES_256_GCM_SHA384',
  'TLS_CHACHA20_POLY1305_SHA256',
  'ECDHE-ECDSA-AES128-GCM-SHA256',
  'ECDHE-RSA-AES128-GCM-SHA256',
  'ECDHE-ECDSA-AES256-GCM-SHA384',
  'ECDHE-RSA-AES256-GCM-SHA384',
  'ECDHE-ECDSA-CHACHA20-POLY1305',
  'ECDHE-RSA-CHACHA20-POLY1305',
].join(':')

export function tlsOptions({ certificate, clientRoots }: ServeTls): ServerOptions {
  const roots = clientRoots()
  return {
    ...certificate(),
    minVersion: 'TLSv1.2',
    ciphers,
    honorCipherOrder: true,
    // A ticket of before would be taken with the certificate of before.
    secureOptions: constants.SSL_OP_NO_TICKET | constants.SSL_OP_NO_RENEGOTIATION,
    ALPNProtocols: ['http/1.1'],
    ...(roots === undefined ? {} : { requestCert: true, rejectUnauthorized: false, ca: [...roots] }),
  }
}

/** New connections meet what is true now. */
export const renewTls = (server: Server, tls: ServeTls): void => server.setSecureContext(tlsOptions(tls))

/** What the client showed. */
export function peerOf(socket: TLSSocket): { readonly chain: readonly Uint8Array[]; readonly isTrusted: boolean } | undefined {
  const chain: Uint8Array[] = []
  const seen = new Set<string>() // the last one is its own issuer
  let certificate: DetailedPeerCertificate | undefined = socket.getPeerCertificate(true)
  while (certificate?.raw && !seen.has(certificate.fingerprint256)) {
    seen.add(certificate.fingerprint256)
    chain.push(certificate.raw)
    certificate = certificate.issuerCertificate
  }
  return chain.length === 0 ? undefined : { chain, isTrusted: socket.authorized }
}
