/** TLS to servers outside the mesh: proved by the roots and names that are given, never waved through. */

import net from 'node:net'
import tls from 'node:tls'
import { optionsOf, type Terms } from './terms.ts'

/** terms: what may be agreed on. names: of which the certificate must prove one; absent: serverName. roots: PEM; absent: those of this machine. */
export type OutsideTls = {
  readonly terms: Terms
  readonly serverName: string
  readonly names?: readonly string[]
  readonly roots?: readonly string[]
  readonly certificate?: { readonly cert: string; readonly key: string }
}

/** Parsing roots and keys costs milliseconds: once for each setting, and for what it is agreed on. */
const contexts = new WeakMap<object, Map<Terms, tls.SecureContext>>()
const machine = {}

function contextOf({ terms, roots, certificate }: OutsideTls): tls.SecureContext {
  const key = certificate ?? roots ?? machine
  let known = contexts.get(key)
  if (known === undefined) contexts.set(key, (known = new Map()))
  let context = known.get(terms)
  if (context === undefined)
    known.set(
      terms,
      (context = tls.createSecureContext({
        ca: roots === undefined ? machineRoots() : [...roots],
        ...(certificate === undefined ? {} : { cert: certificate.cert, key: certificate.key }),
        ...optionsOf(terms),
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
