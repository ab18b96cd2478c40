/** The PROXY protocol with programs that nobody here wrote: HAProxy in front of a published port, nginx behind a proxy that announces its callers. */

import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import http from 'node:http'
import net, { type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import type { TlsMaterial } from '../../src/io/net.ts'
import type { Backend } from '../../src/model/backend.ts'
import { inboundSide, materials, outboundSide, remote, type Side } from '../harness/pair.ts'

const lacks = (program: string, ...version: readonly string[]): string | false =>
  spawnSync(program, version).error === undefined ? false : `${program} is not installed`
const path = `${process.env['PATH']}:/usr/sbin`
process.env['PATH'] = path

/** Its port is free at this moment; nginx and HAProxy cannot say which one they took. */
async function freePort(): Promise<number> {
  const server = net.createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  await new Promise(done => server.close(done))
  return port
}

async function isUp(port: number): Promise<void> {
  for (let tries = 0; ; tries++) {
    const socket = net.connect(port, '127.0.0.1')
    const isOpen = await new Promise<boolean>(resolve => socket.once('connect', () => resolve(true)).once('error', () => resolve(false)))
    socket.destroy()
    if (isOpen) return
    if (tries > 200) throw new Error(`nothing listens on port ${port}`)
    await new Promise(done => setTimeout(done, 25))
  }
}

/** A program of a configuration in a folder of its own, until it is disposed of. */
async function started(
  program: string,
  args: (file: string, folder: string) => readonly string[],
  configuration: (folder: string) => string,
  port: number,
): Promise<AsyncDisposable> {
  const folder = mkdtempSync(join(tmpdir(), 'weft-proxy-protocol-'))
  const file = join(folder, 'configuration')
  writeFileSync(file, configuration(folder))
  const child = spawn(program, args(file, folder), { stdio: ['ignore', 'ignore', 'pipe'] })
  let complaints = ''
  child.stderr.on('data', bytes => (complaints += bytes))
  const ended = once(child, 'exit')
  await Promise.race([isUp(port), ended.then(() => Promise.reject(new Error(`${program} ended: ${complaints}`)))])
  return {
    async [Symbol.asyncDispose]() {
      child.kill('SIGTERM')
      await ended
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

type Heard = { readonly status: number; readonly headers: http.IncomingHttpHeaders; readonly body: string }
const ask = (port: number, localAddress: string): Promise<Heard> =>
  new Promise((resolve, reject) => {
    http
      .get({ port, host: '127.0.0.1', localAddress, agent: false, headers: { 'x-forwarded-for': '10.9.9.9' } }, response => {
        let body = ''
        response
          .on('data', bytes => (body += bytes))
          .on('end', () => resolve({ status: response.statusCode!, headers: response.headers, body }))
      })
      .on('error', reject)
  })

describe('a published port that demands a PROXY header', () => {
  let certificates: Record<string, TlsMaterial>
  let app: http.Server
  let web: Side
  let port: number

  before(async () => {
    certificates = await materials('web')
    app = http.createServer((request, response) => response.end(JSON.stringify(request.headers)))
    app.listen(0, '127.0.0.1')
    await once(app, 'listening')
    const appPort = (app.address() as AddressInfo).port
    web = await inboundSide('web', appPort, 'http', certificates.web!)
    port = (await web.core.publish('127.0.0.1', 0, appPort, true)).port
  })
  after(async () => {
    app.closeAllConnections()
    app.close()
    await web.core[Symbol.asyncDispose]()
  })

  for (const version of ['send-proxy', 'send-proxy-v2', 'send-proxy-v2 proxy-v2-options crc32c,authority,unique-id check inter 50ms'])
    test(`learns the caller behind HAProxy with ${version}`, { skip: lacks('haproxy', '-v') }, async () => {
      const front = await freePort()
      const configuration = () =>
        [
          'defaults',
          ' timeout connect 5s',
          ' timeout client 5s',
          ' timeout server 5s',
          ' mode tcp',
          ' unique-id-format %pid-%rt',
          'listen front',
          ` bind 127.0.0.1:${front}`,
          ` server weft 127.0.0.1:${port} ${version}`,
          '',
        ].join('\n')
      await using _haproxy = await started('haproxy', file => ['-db', '-f', file], configuration, front)
      for (const address of ['127.0.0.1', '127.0.0.77']) {
        const heard = await ask(front, address)
        assert.equal(heard.status, 200)
        assert.equal((JSON.parse(heard.body) as Record<string, string>)['x-forwarded-for'], address)
      }
    })

  test('refuses and counts a caller that sends none, whatever it speaks', async () => {
    for (const says of ['GET / HTTP/1.1\r\nHost: web\r\n\r\n', 'PROXY TCP4 1.2.3.4\r\n', '\x16\x03\x01']) {
      const socket = net.connect(port, '127.0.0.1', () => socket.write(says))
      let heard = ''
      socket.on('data', bytes => (heard += bytes)).on('error', () => {})
      await new Promise<void>(done => socket.once('close', () => done()))
      assert.equal(heard, '')
    }
    assert.match(web.core.meter.registry.text(), /weft_tcp_connections_closed_total\{.*reason="proxy-header-invalid"\} 3/)
  })

  test('takes a header that comes byte by byte', async () => {
    const socket = net.connect(port, '127.0.0.1')
    let heard = ''
    socket.on('data', bytes => (heard += bytes))
    for (const byte of 'PROXY TCP4 192.0.2.7 192.0.2.1 5000 80\r\nGET / HTTP/1.1\r\nHost: web\r\nConnection: close\r\n\r\n') {
      socket.write(byte)
      await new Promise(done => setImmediate(done))
    }
    await once(socket, 'end')
    socket.destroy()
    assert.match(heard, /"x-forwarded-for":"192\.0\.2\.7"/)
  })
})

describe('a workload that expects a PROXY header', { skip: lacks('nginx', '-v') }, () => {
  let certificates: Record<string, TlsMaterial>
  let nginx: AsyncDisposable
  let nginxPort: number

  before(async () => {
    certificates = await materials('web', 'shop')
    nginxPort = await freePort()
    const configuration = (folder: string) =>
      [
        `pid ${folder}/pid; error_log stderr; daemon off; master_process off;`,
        'events {}',
        'http {',
        ' access_log off;',
        ...['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(name => ` ${name}_temp_path ${folder}/${name};`),
        ` server { listen 127.0.0.1:${nginxPort} proxy_protocol;`,
        '  location / { return 200 "$proxy_protocol_addr $connection_requests"; } }',
        '}',
        '',
      ].join('\n')
    nginx = await started('nginx', (file, folder) => ['-p', folder, '-c', file], configuration, nginxPort)
  })
  after(() => nginx[Symbol.asyncDispose]())

  for (const protocol of ['http', 'tcp', 'detect'] as const)
    for (const version of ['v1', 'v2'] as const)
      test(`such as nginx behind a port of ${protocol}, learns its callers by version ${version}, each request its own`, async () => {
        const web = await inboundSide('web', nginxPort, protocol, certificates.web!)
        announcing(web, version, protocol === 'detect' ? 'downstream' : protocol === 'tcp' ? 'tcp' : 'http1')
        const { port } = await web.core.publish('127.0.0.1', 0, nginxPort)
        for (const address of ['127.0.0.5', '127.0.0.6', '127.0.0.5']) {
          const heard = await ask(port, address)
          assert.deepEqual([heard.status, heard.body], [200, `${address} 1`])
        }
        // Kept alive by the caller, and yet a connection of its own behind the proxy for each request of HTTP.
        const agent = new http.Agent({ keepAlive: true, maxSockets: 1 })
        const bodies: string[] = []
        for (let count = 0; count < 3; count++)
          bodies.push(
            await (
              await new Promise<http.IncomingMessage>(resolve =>
                http.get({ port, host: '127.0.0.1', localAddress: '127.0.0.9', agent }, resolve),
              )
            )
              .toArray()
              .then(parts => Buffer.concat(parts).toString()),
          )
        agent.destroy()
        assert.deepEqual(bodies, protocol === 'tcp' ? ['127.0.0.9 1', '127.0.0.9 2', '127.0.0.9 3'] : Array(3).fill('127.0.0.9 1'))
        await web.core[Symbol.asyncDispose]()
      })

  test('without a proxy of its own, gets it from the proxy of its caller', async () => {
    const parts = remote('web', [nginxPort], { mtls: false })
    const [name, backend] = Object.entries(parts.backends)[0]!
    await using outside = await outboundSide('shop', certificates.shop!, 'http', {
      ...parts,
      backends: { [name]: { ...backend, proxyProtocol: 'v2' } },
    })
    assert.equal((await ask(outside.port, '127.0.0.8')).body, '127.0.0.8 1')
    outside.swap(parts)
    assert.equal((await ask(outside.port, '127.0.0.8')).status, 502)
  })

  const announcing = ({ core }: Side, proxyProtocol: 'v1' | 'v2', protocol: Backend['protocol']) =>
    core.swap({
      ...core.view,
      backends: Object.fromEntries(
        Object.entries(core.view.backends).map(([name, backend]) => [name, { ...backend, proxyProtocol, protocol }]),
      ),
    })
})
