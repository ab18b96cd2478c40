/** Names and datagrams of programs in a real mesh: the resolvers of glibc, Python, Go and dig ask; echoes outside the mesh answer; and mesh DNS by itself, of a file. */

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import dgram from 'node:dgram'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import process from 'node:process'
import { after, before, describe, test } from 'node:test'
import { promisify } from 'node:util'
import { canCapture } from '../../src/io/namespace.ts'
import { startFileProxy } from '../harness/file-proxy.ts'
import { freePort, outsideAddress, served } from '../harness/machine.ts'
import { Mesh, path, root, type Shell } from '../harness/mesh.ts'

const verdict = await canCapture()
const skip = verdict.ok ? false : `${verdict.why}: ${verdict.remedy}`
const without = (tool: string): string | false =>
  [...path.split(delimiter), '/usr/local/go/bin'].some(folder => existsSync(join(folder, tool))) ? false : `${tool} is not installed`
const python = '/usr/bin/python3'
const outside = outsideAddress()
const noOutside = outside === undefined ? 'this machine has no address beside loopback' : false
const names = ['catalog', 'catalog.default', 'catalog.default.svc', 'catalog.default.svc.cluster.local', 'catalog.default.mesh']

describe('names and datagrams in a mesh', { skip, timeout: 60_000 }, () => {
  let mesh: Mesh
  let caller: Shell
  let admin: number
  let address: string
  let excluded: Awaited<ReturnType<typeof served>> | undefined

  before(async () => {
    mesh = await Mesh.start()
    admin = await freePort()
    excluded = outside === undefined ? undefined : await served(outside)
    mesh.run('catalog', [process.execPath, join(import.meta.dirname, 'run/app.mjs'), 'catalog'], { flags: ['--port', '8080/http'] })
    const exclude = excluded === undefined ? [] : ['--exclude-outbound-ports', String(excluded.port)]
    caller = mesh.shell('caller', { flags: ['--admin-port', String(admin), ...exclude] })
    await caller.says('for try in $(seq 100); do getent ahostsv4 catalog >/dev/null && break; sleep 0.1; done')
    address = (await caller.says('getent ahostsv4 catalog')).split(/\s/)[0]!
    assert.match(address, /^240\.77\.\d+\.\d+$/)
  })
  after(async () => {
    await excluded?.[Symbol.asyncDispose]()
    await mesh[Symbol.asyncDispose]()
  })
  const metrics = async (): Promise<string> => (await fetch(`http://127.0.0.1:${admin}/metrics`)).text()

  test('glibc finds a service by each of its names, and by its search list', async () => {
    for (const name of names) assert.match(await caller.says(`getent ahostsv4 ${name}`), new RegExp(`^${address} `), name)
    assert.equal((await caller.do('getent ahostsv4 catalogue.default.svc.cluster.local')).code, 2)
    assert.match(await caller.says(`getent hosts ${address}`), /catalog\.default\.svc\.cluster\.local/)
  })

  test('Python finds it, and no IPv6 address is no failure', async () => {
    const ask = `import socket; print(sorted({a[4][0] for a in socket.getaddrinfo("catalog", 8080)}))`
    assert.equal((await caller.says(`${python} -c '${ask}'`)).trim(), `['${address}']`)
  })

  test("Go's own resolver finds it, its ports, and its name", { skip: without('go') }, async () => {
    const folder = join(mesh.folder, 'go')
    mkdirSync(folder)
    writeFileSync(join(folder, 'go.mod'), 'module ask\n')
    writeFileSync(
      join(folder, 'main.go'),
      'package main\nimport ("fmt"; "net"; "os")\nfunc main() {\n a, e := net.LookupHost("catalog"); fmt.Println(a, e)\n _, s, e := net.LookupSRV("http", "tcp", "catalog.default"); fmt.Println(s[0].Port, e)\n n, e := net.LookupAddr(os.Args[1]); fmt.Println(n, e)\n}\n',
    )
    const env = {
      ...process.env,
      PATH: `${process.env['PATH']}:/usr/local/go/bin`,
      CGO_ENABLED: '0',
      GOFLAGS: '-mod=mod',
      GOTOOLCHAIN: 'local',
    }
    await promisify(execFile)('go', ['build', '-o', 'ask', '.'], { cwd: folder, env })
    assert.equal(
      await caller.says(`${folder}/ask ${address}`),
      `[${address}] <nil>\n8080 <nil>\n[catalog.default.svc.cluster.local.] <nil>\n`,
    )
  })

  test('dig is answered over UDP and TCP whichever server it asks', { skip: without('dig') }, async () => {
    for (const how of ['', '+tcp', '@192.0.2.53', '@192.0.2.53 +tcp', '@2001:db8::53', '+dnssec'])
      assert.equal((await caller.says(`dig +short ${how} catalog.default`)).trim(), address, how)
    assert.match(await caller.says('dig AAAA catalog.default'), /NOERROR[\s\S]*ANSWER: 0/)
  })

  test('datagrams to outside the mesh go there and back, from a port of their own for each flow', { skip: noOutside }, async t => {
    const echo = dgram.createSocket('udp4')
    t.after(() => void echo.close())
    const from = new Set<number>()
    echo.on('message', (bytes, { port, address: sender }) => {
      from.add(port)
      echo.send(bytes.toString().toUpperCase(), port, sender)
    })
    await new Promise<void>(done => echo.bind(0, outside, done))
    const { port } = echo.address()
    const send = `import socket
for word in (b"one", b"two"):
  s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(10)
  for _ in range(3): s.sendto(word, ("${outside}", ${port})); print(s.recv(99).decode(), end=" ")`
    assert.equal(await caller.says(`${python} -c '${send}'`), 'ONE ONE ONE TWO TWO TWO ')
    assert.equal(from.size, 2)
    const counted = await metrics()
    assert.match(
      counted,
      new RegExp(
        `weft_udp_sessions_total\\{destination_service="external",destination_workload="${outside}:${port}",outcome="relayed"\\} 2`,
      ),
    )
    assert.match(counted, new RegExp(`weft_udp_datagrams_total\\{.*${outside}:${port}",flow="received"\\} 6`))
  })

  const refusedAt = (host: string, port: number): string =>
    `import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(10); s.connect(("${host}", ${port})); s.send(b"x")
try: print(s.recv(9))
except OSError as error: print(type(error).__name__)`

  test('datagrams to where nobody listens are refused as they would be without the mesh', { skip: noOutside }, async () => {
    assert.equal((await caller.says(`${python} -c '${refusedAt(outside!, await freePort())}'`)).trim(), 'ConnectionRefusedError')
  })

  test('datagrams to a service that takes none are refused, and counted', async () => {
    assert.equal((await caller.says(`${python} -c '${refusedAt(address, 8080)}'`)).trim(), 'ConnectionRefusedError')
    assert.match(await metrics(), /weft_udp_sessions_total\{destination_service="catalog.default",.*outcome="refused"\} 1/)
  })

  test('an excluded port leads out plainly, and the proxy says what it leaves alone', { skip: noOutside }, async () => {
    assert.equal(await caller.says(`curl -sS http://${outside}:${excluded!.port}/`), 'outside')
    const { interception } = (await (await fetch(`http://127.0.0.1:${admin}/status`)).json()) as {
      interception: { capture: string; exclude: { outboundPorts: string[] } }
    }
    assert.deepEqual([interception.capture, interception.exclude.outboundPorts], ['namespace', [String(excluded!.port)]])
  })

  test('how the protocol of a connection was found out is counted', async () => {
    await caller.says('curl -sS http://catalog:8080/')
    assert.match(
      await metrics(),
      /weft_protocol_detections_total\{direction="outbound",listener="outbound\/default\/catalog:8080",protocol="http",outcome="declared"\} [1-9]/,
    )
  })
})

test('weft proxy --from FILE --dns answers the names of the file', { skip: without('dig') }, async t => {
  const mesh = new Mesh() // for its folder
  t.after(() => mesh[Symbol.asyncDispose]())
  const file = join(mesh.folder, 'dns.yaml')
  const dnsListener = `    - name: dns
      address: { socket_address: { protocol: UDP, address: 127.0.0.1, port_value: 15053 } }
      listener_filters:
        - name: envoy.filters.udp.dns_filter
          typed_config:
            "@type": type.googleapis.com/envoy.extensions.filters.udp.dns_filter.v3.DnsFilterConfig
            stat_prefix: dns
            server_config:
              inline_dns_table:
                virtual_domains:
                  - { name: db.shop.svc.cluster.local, endpoint: { address_list: { address: ["240.77.3.4"] } } }
`
  const front = readFileSync(join(root, 'examples/proxy/front.yaml'), 'utf8').replace('port_value: 10000', 'port_value: 0')
  writeFileSync(file, front.replace('  listeners:\n', `  listeners:\n${dnsListener}`))
  await using proxy = await startFileProxy(file, ['--dns', '0'])
  const { dns } = proxy.told[0] as unknown as { dns: number }
  const dig = async (...args: string[]) => (await promisify(execFile)('dig', ['@127.0.0.1', '-p', String(dns), ...args])).stdout
  assert.equal(await dig('+short', 'db.shop.svc.cluster.local'), '240.77.3.4\n')
  assert.equal(await dig('+short', '+tcp', 'db.shop.svc.cluster.local'), '240.77.3.4\n')
  assert.match(await dig('nobody.mesh'), /NXDOMAIN/)
})
