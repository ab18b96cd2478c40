/** TLS for callers outside the mesh: certificates of the operator, and certificates of callers only where somebody asks for them. */

import { X509Certificate } from 'node:crypto'
import type { Socket } from 'node:net'
import tls from 'node:tls'
import { leave } from './leave.ts'
import { optionsOf, type Terms } from './terms.ts'

/** certificates: PEM; the name that the caller asks for decides, then the kinds of keys in its hello, then their order. callers: whose certificates they must show, or may. */
type EdgeMaterial = {
  readonly certificates: readonly { readonly cert: string; readonly key: string }[]
  readonly callers?: { readonly roots: readonly string[]; readonly isRequired: boolean }
  /** Which version is agreed on; else nothing is. */
  readonly speaksHttp: boolean
  readonly terms: Terms
}

/** Server side of TLS on accepted sockets whose hello is still unread. Handshakes end within ten seconds, either way. Throws where a key does not fit its certificate. */
export function edgeAcceptor(
  { certificates, callers, speaksHttp, terms }: EdgeMaterial,
  onSecure: (socket: tls.TLSSocket) => void,
  onFailed: (why: string) => void,
): { accept(socket: Socket): void } {
  const shown = onePerKind(certificates)
  const options = { ...(callers === undefined ? {} : { ca: [...callers.roots] }), ...optionsOf(terms) }
  const server = tls.createServer({
    ...pairsOf(shown),
    ...options,
    ...(callers === undefined ? {} : { requestCert: true, rejectUnauthorized: callers.isRequired }),
    ...(shown.length === certificates.length ? {} : { SNICallback: byName(certificates, options) }),
    handshakeTimeout: 10_000,
    pauseOnConnect: true,
    allowHalfOpen: true,
    ...(speaksHttp ? { ALPNProtocols: ['h2', 'http/1.1'] } : {}),
  })
  server.on('secureConnection', onSecure)
  server.on('tlsClientError', (error, socket) => {
    onFailed(String(socket.authorizationError ?? (error as NodeJS.ErrnoException).code ?? error.message))
    leave(socket)
  })
  return { accept: socket => void server.emit('connection', socket) }
}

type Pair = EdgeMaterial['certificates'][number]

const pairsOf = (pairs: readonly Pair[]) => ({ cert: pairs.map(({ cert }) => cert), key: pairs.map(({ key }) => key) })

/** OpenSSL shows one for each kind of key, and takes the last for it. */
function onePerKind(pairs: readonly Pair[]): readonly Pair[] {
  const kinds = pairs.map(({ cert }) => new X509Certificate(cert).publicKey.asymmetricKeyType)
  return pairs.filter((_, at) => kinds.indexOf(kinds[at]) === at)
}

/** Which of several are for the name; none: those that are shown to all. */
function byName(pairs: readonly Pair[], options: tls.SecureContextOptions): NonNullable<tls.TlsOptions['SNICallback']> {
  const parsed = pairs.map(pair => ({ pair, certificate: new X509Certificate(pair.cert) }))
  const contexts = new Map<string, tls.SecureContext>()
  return (name, done) => {
    const fitting = onePerKind(parsed.filter(({ certificate }) => certificate.checkHost(name) !== undefined).map(({ pair }) => pair))
    if (fitting.length === 0) return done(null)
    const id = fitting.map(pair => pairs.indexOf(pair)).join()
    let context = contexts.get(id)
    try {
      if (context === undefined) contexts.set(id, (context = tls.createSecureContext({ ...pairsOf(fitting), ...options })))
    } catch (thrown) {
      return done(thrown as Error)
    }
    done(null, context)
  }
}

/** A fatal alert (RFC 8446 §6.2, RFC 6066 §3) in a record of its own: there is no certificate for the name. */
export function refuseName(socket: Socket): void {
  socket.resume()
  socket.end(Uint8Array.of(0x15, 0x03, 0x03, 0x00, 0x02, 0x02, 0x70))
}
