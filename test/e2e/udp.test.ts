/** Datagrams to services of a real mesh: dig asks a DNS server of somebody else's, many sockets ask at once, and nothing of it is seen between the proxies. And two proxies by files. */

import assert from 'node:assert/strict'
import dgram from 'node:dgram'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import process from 'node:process'
import { after, before, describe, test } from 'node:test'
import { canCapture } from '../../src/io/namespace.ts'
import { installed, python } from '../conformance/peers.ts'
import { certificateFolder, startFileProxy } from '../harness/file-proxy.ts'
import { freePort } from '../harness/machine.ts'
import { kinds, Mesh, type Running, type Shell } from '../harness/mesh.ts'
import { Tap } from '../harness/tap.ts'

const verdict = await canCapture()
const skip = verdict.ok ? false : `${verdict.why}: ${verdict.remedy}`
const here = (file: string): string => join(import.meta.dirname, 'udp', file)
const python3 = '/usr/bin/python3'
const dig = installed('dig', 'dnsutils')
const dnslib = python('dnslib', 'dnslib==0.9.26')
const noDns = 'missing' in dig ? dig.missing : 'missing' in dnslib ? dnslib.missing : false

describe('datagrams in a mesh', { skip, timeout: 60_000 }, () => {
  let mesh: Mesh
  let caller: Shell
  let admins: { readonly caller: number; readonly echo: number }
  let echo: Running

  const runEcho = (name: string): Running =>
    mesh.run('echo', [process.execPath, here('echo.mjs'), name, '7000'], {
      flags: ['--port', '7000/udp', '--port', 'none:7001/udp', '--admin-port', String(admins.echo)],
    })
  const metrics = async (of: 'caller' | 'echo'): Promise<string> => (await fetch(`http://127.0.0.1:${admins[of]}/metrics`)).text()

  before(async () => {
    mesh = await Mesh.start()
    admins = { caller: await freePort(), echo: await freePort() }
    echo = runEcho('first')
    if ('path' in dnslib) {
      const zone = 'answer.test. 60 IN A 192.0.2.7'
      mesh.run(
        'resolver',
        [dnslib.path, '-m', 'dnslib.fixedresolver', '--response', zone, '--port', '5353', '--address', '127.0.0.1', '--tcp'],
        { flags: ['--port', '5353/udp', '--port', '5353/tcp'] },
      )
    }
    caller = mesh.shell('caller', { flags: ['--admin-port', String(admins.caller)] })
    await mesh.healthy('echo')
    if (noDns === false) await mesh.healthy('resolver')
    await caller.says('for try in $(seq 100); do getent ahostsv4 echo >/dev/null && break; sleep 0.1; done')
  })
  after(() => mesh[Symbol.asyncDispose]())

  test('dig asks a DNS server by the name of its service, over UDP and over TCP at one port number', { skip: noDns }, async () => {
    assert.equal(await caller.says('dig @resolver -p 5353 +short +tries=2 answer.test'), '192.0.2.7\n')
    assert.equal(await caller.says('dig @resolver -p 5353 +short +tcp answer.test'), '192.0.2.7\n')
    // Large questions and answers, as with DNSSEC, need more than one packet of most networks.
    assert.match(await caller.says('dig @resolver.default -p 5353 +bufsize=4096 answer.test'), /SERVER: 240\.77\.\d+\.\d+#5353.*\(UDP\)/)
  })

  test('a hundred sockets of each family hear their own answers and no other', async () => {
    for (const family of ['4', '6']) assert.equal(await caller.says(`${python3} ${here('sessions.py')} echo 7000 100 3 ${family}`), '100\n')
  })

  test('both proxies count who asked whom, by proved identity', async () => {
    await caller.says(`${python3} ${here('sessions.py')} echo 7000 1 1 4`)
    assert.match(await metrics('caller'), /weft_udp_datagrams_total\{destination_service="echo\.default",.*flow="received"\} [1-9]/)
    assert.match(
      await metrics('caller'),
      /weft_upstream_streams\{destination_service="echo\.default",destination_workload="echo-[^"]+",alpn="weft"\} [1-9]/,
    )
    // The flow ends with its idle time; one whose server refuses is over at once.
    await caller.do(refused)
    assert.match(
      await metrics('echo'),
      /weft_tcp_connections_closed_total\{direction="inbound".*source_identity="spiffe:\/\/[^"]+\/sa\/caller".*protocol="udp",mtls="true",reason="connect-refused"\} 1/,
    )
  })

  const refused = `${python3} -c 'import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(10); s.connect((socket.gethostbyname("echo"), 7001)); s.send(b"x")
try: print(s.recv(9))
except OSError as error: print(type(error).__name__)'`

  test('a program that is not captured reaches the service at its loopback address', async () => {
    const ask = `exec ${python3} ${here('sessions.py')} $ECHO_SERVICE_HOST 7000 5 2 4`
    const { code, stdout, stderr } = await mesh.job('plain', ['/bin/sh', '-c', ask], { flags: ['--capture', 'proxy'] })
    assert.deepEqual([code, stdout], [0, '5\n'], stderr)
  })

  test('where the server does not listen, the caller learns it as it would without the mesh', async () => {
    assert.equal(await caller.says(refused), 'ConnectionRefusedError\n')
  })

  test('between the proxies nothing of a datagram can be read', async t => {
    const [item] = (await mesh.client.list(kinds.workload, { labelSelector: 'app=echo' })).items
    const { ports } = item!.spec as { ports: readonly { port: number; bind: { port: number } }[] }
    const { bind } = ports.find(({ port }) => port === 7000)!
    const tap = await Tap.open([bind.port])
    if (typeof tap === 'string') return t.skip(tap)
    await using _ = tap
    const other = mesh.shell('other') // a connection of its own, whose beginning is seen
    const send = `${python3} -c 'import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(10)
for _ in range(3): s.sendto(b"a-word-nobody-may-read" * 9, (socket.gethostbyname("echo"), 7000)); s.recv(999)
print("heard")'`
    assert.equal(
      await other.says(`for try in $(seq 100); do getent ahostsv4 echo >/dev/null && break; sleep 0.1; done; ${send}`),
      'heard\n',
    )
    // The name in the TLS hello shows that the tap sees this connection.
    await mesh.until('the hello on the tap', () => tap.saw('7000.echo.default.mesh'))
    await new Promise(done => setTimeout(done, 100))
    assert.equal(tap.saw('a-word-nobody-may-read'), false)
  })

  test('a socket goes on after the server and its proxy ended and came back', async () => {
    const asking = caller.says(`${python3} ${here('steady.py')} echo 7000 15`)
    await new Promise(done => setTimeout(done, 500))
    await echo.stop()
    echo = runEcho('second')
    assert.equal(await asking, 'first\nsecond\n')
  })
})

const type = (name: string) => ({ '@type': `type.googleapis.com/envoy.extensions.${name}` })
const at = (address: string, port: number, protocol = 'TCP') => ({
  address: { socket_address: { protocol, address, port_value: port } },
})
const tls = (kind: 'Upstream' | 'Downstream', folder: string, who: string, names: readonly object[], more: object) => ({
  transport_socket: {
    name: 'envoy.transport_sockets.tls',
    typed_config: {
      ...type(`transport_sockets.tls.v3.${kind}TlsContext`),
      ...more,
      common_tls_context: {
        tls_certificates: [{ certificate_chain: { filename: `${folder}/${who}.pem` }, private_key: { filename: `${folder}/${who}.key` } }],
        validation_context: {
          trusted_ca: { filename: `${folder}/ca.pem` },
          ...(names.length > 0 ? { match_typed_subject_alt_names: names } : {}),
        },
      },
    },
  },
})

/** Envoy's UDP proxy, with a tunnel or without. */
const outbound = (host: string, cluster: object, tunnels: boolean, endpoints: readonly object[] = []) => ({
  static_resources: {
    listeners: [
      {
        name: 'datagrams',
        ...at(host, 0, 'UDP'),
        listener_filters: [
          {
            name: 'envoy.filters.udp_listener.udp_proxy',
            typed_config: {
              ...type('filters.udp.udp_proxy.v3.UdpProxyConfig'),
              stat_prefix: 'datagrams',
              cluster: 'server',
              idle_timeout: '0.5s',
              ...(tunnels
                ? {
                    session_filters: [
                      {
                        name: 'envoy.filters.udp.session.http_capsule',
                        typed_config: type('filters.udp.udp_proxy.session.http_capsule.v3.FilterConfig'),
                      },
                    ],
                    tunneling_config: { proxy_host: 'server', target_host: host, default_target_port: 7000 },
                  }
                : {}),
            },
          },
        ],
      },
    ],
    clusters: [{ name: 'server', connect_timeout: '5s', ...cluster }],
    endpoints,
  },
})
const assignment = (address: string, port: number, protocol?: string) => ({
  load_assignment: { cluster_name: 'server', endpoints: [{ lb_endpoints: [{ endpoint: at(address, port, protocol) }] }] },
})
const http2 = {
  typed_extension_protocol_options: {
    'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': {
      ...type('upstreams.http.v3.HttpProtocolOptions'),
      explicit_http_config: { http2_protocol_options: {} },
    },
  },
}
/** Envoy's HTTP/2 that takes CONNECT-UDP. */
const inbound = (folder: string, to: number) => ({
  static_resources: {
    listeners: [
      {
        name: 'datagrams',
        ...at('127.0.0.1', 0),
        filter_chains: [
          {
            ...tls('Downstream', folder, 'server', [], { require_client_certificate: true }),
            filters: [
              {
                name: 'envoy.filters.network.http_connection_manager',
                typed_config: {
                  ...type('filters.network.http_connection_manager.v3.HttpConnectionManager'),
                  stat_prefix: 'datagrams',
                  http2_protocol_options: { allow_connect: true },
                  http_filters: [{ name: 'router', typed_config: type('filters.http.router.v3.Router') }],
                  upgrade_configs: [{ upgrade_type: 'CONNECT-UDP' }],
                  route_config: {
                    virtual_hosts: [
                      {
                        name: 'all',
                        domains: ['*'],
                        routes: [
                          {
                            match: { connect_matcher: {} },
                            route: { cluster: 'server', upgrade_configs: [{ upgrade_type: 'CONNECT-UDP', connect_config: {} }] },
                          },
                        ],
                      },
                    ],
                  },
                },
              },
            ],
          },
        ],
      },
    ],
    clusters: [{ name: 'server', connect_timeout: '5s', ...assignment('127.0.0.1', to, 'UDP') }],
  },
})

/** Answers each datagram with the port that it came from. */
async function server(): Promise<{ readonly port: number } & Disposable> {
  const socket = dgram.createSocket('udp4')
  socket.on('message', (_, from) => socket.send(String(from.port), from.port, from.address))
  socket.bind(0, '127.0.0.1')
  await once(socket, 'listening')
  return { port: socket.address().port, [Symbol.dispose]: () => void socket.close() }
}

/** What `count` sockets of their own hear, twice each. */
async function heard(host: string, port: number, count: number): Promise<readonly string[][]> {
  return Promise.all(
    Array.from({ length: count }, async () => {
      const socket = dgram.createSocket(host.includes(':') ? 'udp6' : 'udp4')
      const said: string[] = []
      for (let turn = 0; turn < 2; turn++) {
        socket.send('x', port, host)
        const [bytes] = (await once(socket, 'message', { signal: AbortSignal.timeout(10_000) })) as [Buffer]
        said.push(String(bytes))
      }
      socket.close()
      return said
    }),
  )
}

describe('datagrams through proxies by files', { timeout: 60_000 }, () => {
  const files = async (name: string, resources: object, folder: string) => {
    const path = join(folder, `${name}.json`)
    writeFileSync(path, JSON.stringify(resources))
    return startFileProxy(path)
  }

  test('two halves with mutual TLS between them, as Envoy writes them, for callers of both families; a session ends when idle', async () => {
    using certs = await certificateFolder()
    using app = await server()
    await using inside = await files('in', inbound(certs.path, app.port), certs.path)
    const cluster = {
      ...http2,
      ...assignment('127.0.0.1', inside.port),
      ...tls('Upstream', certs.path, 'client', [{ san_type: 'URI', matcher: { exact: 'spiffe://mesh.local/ns/app/sa/server' } }], {}),
    }
    for (const host of ['127.0.0.1', '::1']) {
      await using outside = await files(`out-${host.length}`, outbound(host, cluster, true), certs.path)
      const answers = await heard(host, outside.port, 20)
      assert.equal(new Set(answers.map(([first]) => first)).size, 20)
      assert.ok(answers.every(([first, second]) => first === second))
      for (const { admin } of [outside, inside]) {
        const isOver = async () =>
          /closed_total\{.*protocol="udp",mtls="true",reason=""\} (20|40)/.test(await (await fetch(`${admin}/metrics`)).text())
        for (const end = Date.now() + 10_000; !(await isOver()); await new Promise(done => setTimeout(done, 100)))
          assert.ok(Date.now() < end, 'the sessions did not end')
      }
    }
  })

  test('one proxy without a tunnel relays to a port of UDP on this machine, and is not handed to another process', async () => {
    using certs = await certificateFolder()
    using app = await server()
    await using proxy = await files('plain', outbound('127.0.0.1', assignment('127.0.0.1', app.port, 'UDP'), false), certs.path)
    assert.equal(new Set((await heard('127.0.0.1', proxy.port, 5)).map(([first]) => first)).size, 5)
    const answer = await fetch(`${proxy.admin}/restart`, { method: 'POST' })
    assert.match(await answer.text(), /a socket of UDP is not handed to another process/)
    assert.equal((await heard('127.0.0.1', proxy.port, 1)).length, 1)
  })

  test('workers do not share a socket of UDP: that is said at the start', async () => {
    using certs = await certificateFolder()
    const path = join(certs.path, 'workers.json')
    writeFileSync(path, JSON.stringify(outbound('127.0.0.1', assignment('127.0.0.1', 9, 'UDP'), false)))
    await assert.rejects(startFileProxy(path, ['--workers', '2']), /not shared by worker processes: start this proxy without --workers/)
  })
})
