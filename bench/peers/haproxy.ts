/** HAProxy of the distribution: HTTP/1.1 between the halves, the authority of a certificate and its DNS name checked (it cannot check SPIFFE ids). */

import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { dnsNameOf } from '../certificates.ts'
import { type Missing, type Peer, type Place, program } from '../peer.ts'
import type { Role } from '../view.ts'

export function findHaproxy(): readonly (Peer | Missing)[] {
  const binary = program('haproxy')
  if (binary === undefined) return [{ name: 'haproxy', missing: 'not installed (Debian: apt-get install haproxy)' }]
  const version = /version ([\d.]+)/.exec(execFileSync(binary, ['-v'], { encoding: 'utf8' }))?.[1] ?? '?'
  const command = (role: Role) => (place: Place) => {
    const file = join(place.folder, `haproxy-${place.listen}.cfg`)
    writeFileSync(file, configuration(role, place))
    return [binary, '-db', '-f', file]
  }
  const roles = { hop: command('hop'), out: command('out'), in: command('in'), tcp: command('tcp') }
  return [{ name: 'haproxy', version, does: 'forwarding only', roles }]
}

function configuration(role: Role, { listen, to, certs }: Place): string {
  const name = dnsNameOf('server')
  const tls = (who: string) => `ssl crt ${certs}/${who}.both ca-file ${certs}/ca.pem verify required ssl-min-ver TLSv1.3 alpn http/1.1`
  return `global
  nbthread 1
  maxconn 4000
defaults
  mode ${role === 'tcp' ? 'tcp' : 'http'}
  timeout connect 5s
  timeout client 60s
  timeout server 60s
${role === 'tcp' ? '' : '  http-reuse always\n'}frontend callers
  bind 127.0.0.1:${listen} ${role === 'in' ? tls('server') : ''}
  default_backend called
backend called
  server one 127.0.0.1:${to} ${role === 'out' ? `${tls('client')} verifyhost ${name} sni str(${name})` : ''}
`
}
