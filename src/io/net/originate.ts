/** TLS to servers outside the mesh: proved by the roots and names that are given, never waved through. */

import net from 'node:net'
import tls from 'node:tls'

/** names: of which the certificate must prove one; absent: serverName. roots: PEM; absent: those of this machine. */
export type OutsideTls = {
  readonly serverName: string
  readonly names?: readonly string[]
  readonly roots?: readonly string[]
  readonly certificate?: { readonly cert: string; readonly key: string }
}

/** Parsing roots and keys costs milliseconds: once for each setting. */
const contexts = new WeakMap<readonly string[] | object, tls.SecureContext>()
let machine: tls.SecureContext | undefined

function contextOf({ roots, certificate }: OutsideTls): tls.SecureContext {
  const key = certificate ?? roots
  if (key === undefined) return (machine ??= tls.createSecureContext({ ca: machineRoots(), minVersion: 'TLSv1.2' }))
  let context = contexts.get(key)
  if (context === undefined)
    contexts.set(
      key,
      (context = tls.createSecureContext({
        ca: roots === undefined ? machineRoots() : [...roots],
        ...(certificate === undefined ? {} : { cert: certificate.cert, key: certificate.key }),
        minVersion: 'TLSv1.2',
      })),
    )
  return context
}

/** Of the operating system; where it has none that Node can read, those that Node brings. */
function machineRoots(): string[] {
  const system = tls.getCACertificates('system')
  return system.length > 0 ? system : tls.getCACertificates('default')
}

/** `secureConnect` or `error` follows. An address as serverName is proved, but not sent (RFC 6066 §3). */
export function originate(socket: net.Socket, options: OutsideTls, alpn: readonly string[]): tls.TLSSocket {
  const { serverName, names } = options
  return tls.connect({
    socket,
    secureContext: contextOf(options),
    ...(net.isIP(serverName) === 0 ? { servername: serverName } : {}),
    rejectUnauthorized: true,
    checkServerIdentity: (_, certificate) => {
      const wrong = (names ?? [serverName]).map(name =>
        name.includes('://') ? uriError(name, certificate) : tls.checkServerIdentity(name, certificate),
      )
      return wrong.some(each => each === undefined) ? undefined : wrong[0]
    },
    ...(alpn.length > 0 ? { ALPNProtocols: [...alpn] } : {}),
  })
}

/** A URI is proved as it is written (RFC 6125 §6.5). */
const uriError = (uri: string, { subjectaltname = '' }: tls.PeerCertificate): Error | undefined =>
  subjectaltname.split(', ').includes(`URI:${uri}`) ? undefined : new Error(`the certificate does not name ${uri}: ${subjectaltname}`)
