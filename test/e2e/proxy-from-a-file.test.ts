import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import http from 'node:http'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import { after, before, test } from 'node:test'
import { X509Certificate } from 'node:crypto'
import { writeCertificates } from '../../bench/certificates.ts'
import { certificateFolder, type FileProxyProcess, startFileProxy, startHalf, startPair } from '../harness/file-proxy.ts'

const root = join(import.meta.dirname, '../..')
const folder = mkdtempSync(join(tmpdir(), 'weft-from-file-'))
/** Says who it is; `/slow` takes a second. */
const app = http.createServer((request, response) => {
  request.resume()
  setTimeout(() => response.end(`app ${request.method} ${request.url}\n`), request.url === '/slow' ? 1000 : 0)
})
let appPort = 0

before(async () => {
  await new Promise<void>(done => app.listen(0, '127.0.0.1', done))
  appPort = (app.address() as net.AddressInfo).port
})
after(() => {
  app.closeAllConnections()
  app.close()
  rmSync(folder, { recursive: true, force: true })
})

const get = (port: number, path = '/'): Promise<{ readonly status: number; readonly body: string }> =>
  new Promise((resolve, reject) => {
    http
      .get({ host: '127.0.0.1', port, path, agent: false }, async response => {
        const body = (await response.setEncoding('utf8').toArray()).join('')
        resolve({ status: response.statusCode ?? 0, body })
      })
      .on('error', reject)
  })

async function until(what: string, isSo: () => boolean | Promise<boolean>): Promise<void> {
  for (const end = Date.now() + 20_000; Date.now() < end; await new Promise(done => setTimeout(done, 50))) if (await isSo()) return
  assert.fail(`waited 20 s for: ${what}`)
}

/** An example with ports of this run. */
const example = (name: string, ports: Readonly<Record<string, number>>): string =>
  Object.entries(ports).reduce(
    (text, [from, to]) => text.replaceAll(`port_value: ${from}`, `port_value: ${to}`),
    readFileSync(join(root, 'examples/proxy', name), 'utf8'),
  )

const front = (): string => example('front.yaml', { '10000': 0, '8080': appPort })
const fileWith = (name: string, text: string): string => {
  writeFileSync(join(folder, name), text)
  return join(folder, name)
}

test('the file of the guide is the example, and serves', async () => {
  const guide = readFileSync(join(root, 'docs/guide/proxy-from-a-file.md'), 'utf8')
  const shown = /```yaml\n([^]*?)```/.exec(guide)?.[1]
  assert.equal(shown, readFileSync(join(root, 'examples/proxy/front.yaml'), 'utf8').replace(/^#.*\n/, ''))
  await using proxy = await startFileProxy(fileWith('guide.yaml', front()))
  assert.deepEqual(await get(proxy.port, '/a'), { status: 200, body: 'app GET /a\n' })
  assert.equal((await get(proxy.port, '/admin/x')).status, 302)
  const metrics = await (await fetch(`${proxy.admin}/metrics`)).text()
  assert.match(metrics, /destination_service="front"/)
  assert.equal((await fetch(`${proxy.admin}/ready`)).status, 200)
})

test('the pair of the examples speaks mutual TLS between its halves, with certificates of a folder', async () => {
  using certs = await certificateFolder()
  for (const who of ['client', 'server']) {
    mkdirSync(join(certs.path, who))
    copyFileSync(join(certs.path, `${who}.pem`), join(certs.path, who, 'cert.pem'))
    copyFileSync(join(certs.path, `${who}.key`), join(certs.path, who, 'key.pem'))
    copyFileSync(join(certs.path, 'ca.pem'), join(certs.path, who, 'ca.pem'))
  }
  const inFile = fileWith('in.yaml', example('in.yaml', { '15006': 0, '8080': appPort }))
  await using inner = await startFileProxy(inFile, ['--certs', join(certs.path, 'server')])
  const outFile = fileWith('out.yaml', example('out.yaml', { '15001': 0, '15006': inner.port }))
  await using outer = await startFileProxy(outFile, ['--certs', join(certs.path, 'client')])
  assert.deepEqual(await get(outer.port, '/b'), { status: 200, body: 'app GET /b\n' })
  assert.equal((await get(inner.port)).status, 403, 'plaintext is refused')
  const status = (await (await fetch(`${inner.admin}/status`)).json()) as { readonly certificate?: { readonly identity: string } }
  assert.equal(status.certificate?.identity, 'spiffe://mesh.local/ns/app/sa/server')
})

test('a good change is taken whole: routes at once, new listeners opened, old ones closed, a kept one on its port', async () => {
  const file = fileWith('change.yaml', front())
  await using proxy = await startFileProxy(file)
  const second = front().replace('name: front', 'name: second').split('\n')
  const listener = second.slice(second.indexOf('  listeners:') + 1, second.indexOf('  clusters:')).join('\n')
  const both = front().replace('response_code: FOUND', 'response_code: SEE_OTHER').replace('  clusters:', `${listener}\n  clusters:`)
  writeFileSync(`${file}.new`, both)
  renameSync(`${file}.new`, file)
  await until('a second listener', () => proxy.told.length === 2)
  const [one, two] = proxy.told[1]!.listeners
  assert.equal(one?.port, proxy.port, 'the first listener keeps its port')
  assert.equal((await get(proxy.port, '/admin')).status, 303)
  assert.equal((await get(two!.port)).status, 200)
  writeFileSync(file, front())
  await until('the second listener to go', () => proxy.told.length === 3)
  await assert.rejects(get(two!.port), /ECONNREFUSED/)
  assert.equal((await get(proxy.port)).status, 200)
})

test('a bad change is reported with file, line and field, and the last good one serves on', async () => {
  const file = fileWith('bad.yaml', front())
  await using proxy = await startFileProxy(file)
  const bad = front().replace('domains:', 'domian:')
  const line = bad.split('\n').findIndex(each => each.includes('domian')) + 1
  writeFileSync(file, bad)
  await until('the report', () => proxy.stderr().includes('not taken'))
  assert.match(proxy.stderr(), new RegExp(`bad\\.yaml:${line}:\\d+: .*virtual_hosts\\[0\\]\\.domian: `))
  assert.equal((await get(proxy.port)).status, 200)
  const busy = net.createServer()
  await new Promise<void>(done => busy.listen(0, '127.0.0.1', done))
  const taken = (busy.address() as net.AddressInfo).port
  writeFileSync(file, front().replace('name: front', 'name: other').replace('port_value: 0', `port_value: ${taken}`))
  await until('the refusal of a port in use', () => proxy.stderr().includes(`port ${taken} on 127.0.0.1 is in use`))
  assert.equal((await get(proxy.port)).status, 200)
  busy.close()
})

test('a file that cannot be used at the start ends it with what is wrong', async () => {
  await assert.rejects(startFileProxy(join(folder, 'none.yaml')), /cannot read .*none\.yaml/)
  await assert.rejects(
    startFileProxy(fileWith('worse.yaml', front().replace('cluster: app', 'cluster: ap'))),
    /there is no cluster "ap" in this file/,
  )
  await assert.rejects(
    startFileProxy(fileWith('no-tls.yaml', example('in.yaml', { '15006': 0 }))),
    /names no certificate: give tls_certificates/,
  )
})

test('a renewed certificate is presented to new connections, and half a renewal changes nothing', async () => {
  using certs = await certificateFolder()
  await using inner = await startHalf('in', appPort, certs.path)
  await using outer = await startHalf('out', inner.port, certs.path)
  const expiry = async (proxy: FileProxyProcess) =>
    ((await (await fetch(`${proxy.admin}/status`)).json()) as { readonly certificate: { readonly notAfter: string } }).certificate.notAfter
  const before = await expiry(inner)
  // Certificates tell seconds: the new one must end in another.
  await new Promise(done => setTimeout(done, 1100))
  const fresh = mkdtempSync(join(folder, 'fresh-'))
  await writeCertificates(fresh)
  const replace = (name: string) => renameSync(join(fresh, name), join(certs.path, name))
  assert.notEqual(new Date(new X509Certificate(readFileSync(join(fresh, 'server.pem'))).validTo).toISOString(), before)
  replace('server.pem')
  await until('the refusal of a certificate without its key', () => inner.stderr().includes('cannot be used together'))
  assert.equal((await get(outer.port)).status, 200)
  for (const name of ['server.key', 'client.pem', 'client.key', 'ca.pem']) replace(name)
  await until('the new certificate', async () => (await expiry(inner)) !== before && (await expiry(outer)) !== before)
  await until('a request by the new certificates', async () => (await get(outer.port)).status === 200)
})

test('SIGTERM lets a request under way end, SIGHUP reads the file again', async () => {
  const file = fileWith('signals.yaml', front())
  await using proxy = await startFileProxy(file)
  writeFileSync(file, front().replace('response_code: FOUND', 'response_code: SEE_OTHER'))
  proxy.child.kill('SIGHUP')
  await until('the new status', async () => (await get(proxy.port, '/admin')).status === 303)
  const slow = get(proxy.port, '/slow')
  await new Promise(done => setTimeout(done, 200))
  const code = proxy.stop()
  assert.deepEqual(await slow, { status: 200, body: 'app GET /slow\n' })
  assert.equal(await code, 0)
})

test('a TCP relay of two halves carries bytes both ways', async () => {
  using certs = await certificateFolder()
  const echo = net.createServer({ allowHalfOpen: true }, socket => socket.pipe(socket))
  await new Promise<void>(done => echo.listen(0, '127.0.0.1', done))
  await using pair = await startPair((echo.address() as net.AddressInfo).port, certs.path, 'tcp')
  const socket = net.connect({ port: pair.port, host: '127.0.0.1', allowHalfOpen: true })
  socket.end('through both')
  assert.equal((await socket.setEncoding('utf8').toArray()).join(''), 'through both')
  echo.close()
})

test('bench/half starts from any folder, through a link, with a Node on PATH that is too old to run it', async t => {
  const link = join(folder, 'half')
  symlinkSync(join(root, 'bench/half'), link)
  const ran = spawnSync(link, ['hop', '--listen', '0'], { cwd: '/', env: { PATH: '/usr/bin:/bin', HOME: folder }, encoding: 'utf8' })
  assert.equal(ran.status, 2)
  assert.match(ran.stderr, /--to must be a port/)
  t.diagnostic(`under ${process.version}`)
})
