/** nginx of the distribution: HTTP/1.1 between the halves, the authority of a certificate and its DNS name checked (it cannot check SPIFFE ids). */

import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { dnsNameOf } from '../certificates.ts'
import { type Missing, type Peer, type Place, program, type Stand } from '../peer.ts'

const streamModule = '/usr/lib/nginx/modules/ngx_stream_module.so'

export function findNginx(): readonly (Peer | Missing)[] {
  const binary = program('nginx')
  if (binary === undefined) return [{ name: 'nginx', missing: 'not installed (Debian: apt-get install nginx)' }]
  const version = /nginx\/([\d.]+)/.exec(spawnSync(binary, ['-v'], { encoding: 'utf8' }).stderr)?.[1] ?? '?'
  const command = (role: Stand) => (place: Place) => {
    const own = join(place.folder, `nginx-${place.listen}`)
    mkdirSync(own)
    writeFileSync(join(own, 'nginx.conf'), configuration(role, place, own))
    return [binary, '-p', own, '-e', join(own, 'error.log'), '-c', join(own, 'nginx.conf')]
  }
  const roles: Peer['roles'] = {
    hop: command('hop'),
    out: command('out'),
    in: command('in'),
    h2out: command('h2out'),
    h2in: command('h2in'),
  }
  const base = { name: 'nginx', version, does: 'forwarding only' }
  if (!existsSync(streamModule))
    return [{ ...base, roles, lacks: 'relaying TCP is a module of its own (Debian: apt-get install libnginx-mod-stream)' }]
  return [{ ...base, roles: { ...roles, tcp: command('tcp') } }]
}

function configuration(role: Stand, { listen, to, certs }: Place, own: string): string {
  const main = `${role === 'tcp' ? `load_module ${streamModule};\n` : ''}daemon off;
worker_processes 1;
worker_rlimit_nofile 20000;
pid ${own}/pid;
events { worker_connections 9000; }
`
  if (role === 'tcp') return `${main}stream { server { listen 127.0.0.1:${listen}; proxy_pass 127.0.0.1:${to}; proxy_buffer_size 64k; } }\n`
  const isH2 = role === 'h2out' || role === 'h2in'
  const isOut = role === 'out' || role === 'h2out'
  const isIn = role === 'in' || role === 'h2in'
  const pass = isH2 ? 'grpc' : 'proxy'
  const accepting = `ssl_certificate ${certs}/server.pem; ssl_certificate_key ${certs}/server.key; ssl_client_certificate ${certs}/ca.pem;
    ssl_verify_client on; ssl_protocols TLSv1.3;`
  const calling = `${pass}_ssl_certificate ${certs}/client.pem; ${pass}_ssl_certificate_key ${certs}/client.key;
      ${pass}_ssl_trusted_certificate ${certs}/ca.pem; ${pass}_ssl_verify on; ${pass}_ssl_name ${dnsNameOf('server')};
      ${pass}_ssl_server_name on; ${pass}_ssl_protocols TLSv1.3;`
  const http1 = `proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $http_host;
      proxy_buffers 16 16k;`
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(kind => `${kind}_temp_path ${own}/${kind};`).join(' ')
  return `${main}http {
  access_log off;
  keepalive_requests 1000000000;
  client_max_body_size 100m;
  client_body_buffer_size 256k;
  ${temporary}
  upstream called { server 127.0.0.1:${to}; keepalive 512; keepalive_requests 1000000000; }
  server {
    listen 127.0.0.1:${listen}${isIn ? ' ssl' : ''}${isH2 ? ' http2' : ''};
    ${isIn ? accepting : ''}
    location / {
      ${pass}_pass ${isH2 ? 'grpc' : 'http'}${isOut ? 's' : ''}://called;
      ${isH2 ? '' : http1}
      ${isOut ? calling : ''}
    }
  }
}
`
}
