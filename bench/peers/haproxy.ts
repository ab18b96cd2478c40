/** HAProxy of the distribution: HTTP/1.1 or HTTP/2 between the halves, the authority of a certificate and its DNS name checked (it cannot check SPIFFE ids). */

import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { dnsNameOf } from '../certificates.ts'
import { type Missing, type Peer, type Place, program, type Stand } from '../peer.ts'

export function findHaproxy(): readonly (Peer | Missing)[] {
  const binary = program('haproxy')
  if (binary === undefined)
    return ['haproxy', 'haproxy-h2'].map(name => ({ name, missing: 'not installed (Debian: apt-get install haproxy)' }))
  const version = /version ([\d.]+)/.exec(execFileSync(binary, ['-v'], { encoding: 'utf8' }))?.[1] ?? '?'
  const command =
    (role: Stand, isH2 = false) =>
    (place: Place) => {
      const file = join(place.folder, `haproxy-${place.listen}.cfg`)
      writeFileSync(file, configuration(role, place, isH2))
      return [binary, '-db', '-f', file]
    }
  const roles = { hop: command('hop'), out: command('out'), in: command('in'), tcp: command('tcp') }
  const grpc = { h2out: command('h2out', true), h2in: command('h2in', true) }
  return [
    { name: 'haproxy', version, does: 'forwarding only', roles: { ...roles, ...grpc } },
    {
      name: 'haproxy-h2',
      version,
      does: 'forwarding only, HTTP/2 between the halves',
      roles: { out: command('out', true), in: command('in', true) },
    },
  ]
}

function configuration(role: Stand, { listen, to, certs }: Place, isH2: boolean): string {
  const isOut = role === 'out' || role === 'h2out'
  const isIn = role === 'in' || role === 'h2in'
  const name = dnsNameOf('server')
  const tls = (who: string) =>
    `ssl crt ${certs}/${who}.both ca-file ${certs}/ca.pem verify required ssl-min-ver TLSv1.3 alpn ${isH2 ? 'h2' : 'http/1.1'}`
  return `global
  nbthread 1
  maxconn 4000
defaults
  mode ${role === 'tcp' ? 'tcp' : 'http'}
  timeout connect 5s
  timeout client 60s
  timeout server 60s
${role === 'tcp' ? '' : '  http-reuse always\n'}frontend callers
  bind 127.0.0.1:${listen} ${isIn ? `${tls('server')}${role === 'in' && isH2 ? ',http/1.1' : ''}` : role === 'h2out' ? 'proto h2' : ''}
  default_backend called
backend called
  server one 127.0.0.1:${to} ${isOut ? `${tls('client')} verifyhost ${name} sni str(${name})` : role === 'h2in' ? 'proto h2' : ''}
`
}
