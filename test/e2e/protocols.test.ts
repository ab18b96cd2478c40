/** Clients and servers that nobody here wrote, unchanged, through two proxies with mutual TLS between them. PostgreSQL and meshed processes: peers.test.ts. */

import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test, type TestContext } from 'node:test'
import { type Found, goCommand, goProgram, installed, type Missing, python } from '../conformance/peers.ts'
import { certificateFolder, type HalfPair, startPair } from '../harness/file-proxy.ts'
import { freePort, type Serving, startEcho, startProgram } from './protocols/servers.ts'

const folder = mkdtempSync(join(tmpdir(), 'weft-protocols-'))
chmodSync(folder, 0o777)
const here = (file: string): string => join(import.meta.dirname, 'protocols', file)
const certs = await certificateFolder()
after(() => {
  certs[Symbol.dispose]()
  rmSync(folder, { recursive: true, force: true })
})

/** The program, or undefined after the test was skipped with the reason. */
function needed(t: TestContext, ...found: readonly (Found | Missing)[]): readonly string[] | undefined {
  const missing = found.flatMap(each => ('missing' in each ? [each.missing] : []))
  if (missing.length > 0) return void t.skip(missing.join('; '))
  return found.map(each => (each as Found).path)
}

/** What it said on stdout; fails with stderr when it failed. */
async function says(file: string, args: readonly string[], input = ''): Promise<string> {
  const child = spawn(file, args, { stdio: ['pipe', 'pipe', 'pipe'], timeout: 60_000, cwd: folder })
  const said = { out: '', err: '' }
  child.stdout.on('data', piece => (said.out += String(piece)))
  child.stderr.on('data', piece => (said.err += String(piece)))
  child.stdin.end(input)
  const code = await new Promise(resolve => child.once('close', resolve))
  assert.equal(code, 0, `${file} ${args.join(' ')}: ${said.err}${said.out}`)
  return said.out
}

describe('clients of HTTP', () => {
  let echo: Serving
  let pair: HalfPair
  let url = ''
  const megabyte = 1 << 20
  before(async () => {
    echo = await startEcho()
    pair = await startPair(echo.port, certs.path)
    url = `http://127.0.0.1:${pair.port}/echo`
    writeFileSync(join(folder, 'megabyte'), Buffer.alloc(megabyte))
  })
  after(async () => {
    await pair[Symbol.asyncDispose]()
    await echo[Symbol.asyncDispose]()
  })

  test('curl over HTTP/1.1 and over HTTP/2 without an upgrade', async t => {
    const [curl] = needed(t, installed('curl')) ?? []
    if (curl === undefined) return
    const asked = ['-sS', '-o', 'back', '-w', '%{http_version} %{response_code} %{size_download}', '--data-binary', '@megabyte', url]
    assert.equal(await says(curl, ['--http1.1', ...asked]), `1.1 200 ${megabyte}`)
    assert.equal(await says(curl, ['--http2-prior-knowledge', ...asked]), `2 200 ${megabyte}`)
    // An upgrade to h2c is ignored and not refused.
    assert.equal(await says(curl, ['--http2', ...asked]), `1.1 200 ${megabyte}`)
  })

  test('nghttp, many streams on one connection', async t => {
    const [nghttp] = needed(t, installed('nghttp', 'nghttp2-client')) ?? []
    if (nghttp === undefined) return
    const said = await says(nghttp, ['--null-out', '--stat', '--multiply=50', '--data=megabyte', url])
    assert.equal(said.match(/ 200 /g)?.length, 50, said)
  })

  test("Go's client over both versions", async t => {
    const [client] = needed(t, goProgram('protocols-client', here('go'))) ?? []
    if (client === undefined) return
    assert.equal(await says(client, ['1', url]), `HTTP/1.1 200 ${megabyte} <nil>\n`)
    assert.equal(await says(client, ['2', url]), `HTTP/2.0 200 ${megabyte} <nil>\n`)
  })

  test("Python's httpx over HTTP/1.1 and HTTP/2", async t => {
    const [interpreter] = needed(t, python('httpx', 'httpx[http2]==0.28.1')) ?? []
    if (interpreter === undefined) return
    assert.equal(await says(interpreter, [here('client.py'), '1', url]), `HTTP/1.1 200 ${megabyte}\n`)
    assert.equal(await says(interpreter, [here('client.py'), '2', url]), `HTTP/2 200 ${megabyte}\n`)
  })

  test("Java's HttpClient, which asks for an upgrade to h2c", async t => {
    const [java] = needed(t, installed('java', 'default-jdk-headless'), installed('javac', 'default-jdk-headless')) ?? []
    if (java === undefined) return
    assert.match(await says(java, ['-Xmx256m', here('Client.java'), url]), new RegExp(`^HTTP_1_1 200 ${megabyte}\\n$`))
  })

  test("Node's fetch", async () => {
    const answer = await fetch(url, { method: 'POST', body: new Uint8Array(megabyte) })
    assert.deepEqual([answer.status, (await answer.bytes()).length], [200, megabyte])
  })

  test('grpcurl asks a server of gRPC for its services by reflection, and calls one', async t => {
    const wanted = [
      goCommand('grpcurl', 'github.com/fullstorydev/grpcurl/cmd/grpcurl@v1.9.3'),
      goCommand('interop-server', 'google.golang.org/grpc/interop/server@v1.85.0'),
      goCommand('interop-client', 'google.golang.org/grpc/interop/client@v1.85.0'),
    ]
    const [grpcurl, server, client] = needed(t, ...wanted) ?? []
    if (grpcurl === undefined || server === undefined || client === undefined) return
    const port = await freePort()
    await using _ = await startProgram(port, [server, '--port', String(port), '--use_tls=false'], folder)
    await using own = await startPair(port, certs.path)
    const listed = spawnSync(grpcurl, ['-plaintext', `127.0.0.1:${own.port}`, 'list'], { encoding: 'utf8', timeout: 30_000 })
    // The server of this version may come without reflection: then it says so, as a gRPC status through both proxies.
    assert.match(`${listed.stdout}${listed.stderr}`, /grpc\.testing\.TestService|does not support the reflection API/)
    await says(client, ['--server_host=127.0.0.1', `--server_port=${own.port}`, '--use_tls=false', '--test_case=ping_pong'])
  })
})

describe('servers of HTTP', () => {
  const fetched = async (port: number, path: string) => {
    const answer = await fetch(`http://127.0.0.1:${port}${path}`)
    return { status: answer.status, server: answer.headers.get('server'), body: await answer.text() }
  }

  test('nginx', async t => {
    const [nginx] = needed(t, installed('nginx')) ?? []
    if (nginx === undefined) return
    const own = mkdtempSync(join(folder, 'nginx-'))
    const port = await freePort()
    mkdirSync(join(own, 'html'))
    writeFileSync(join(own, 'html', 'page'), 'of nginx '.repeat(20_000))
    for (const path of [own, join(own, 'html')]) chmodSync(path, 0o755)
    const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(kind => `${kind}_temp_path ${own}/${kind};`).join(' ')
    writeFileSync(
      join(own, 'nginx.conf'),
      `daemon off; worker_processes 1; pid ${own}/pid; events {} http { access_log off; ${temporary} server { listen 127.0.0.1:${port}; root ${own}/html; } }`,
    )
    await using _ = await startProgram(port, [nginx, '-p', own, '-e', join(own, 'error.log'), '-c', join(own, 'nginx.conf')], own)
    await using pair = await startPair(port, certs.path)
    const { status, server, body } = await fetched(pair.port, '/page')
    assert.deepEqual([status, body.length], [200, 180_000])
    assert.match(server ?? '', /^nginx/)
    assert.equal((await fetched(pair.port, '/none')).status, 404)
  })

  test('HAProxy, which answers by itself', async t => {
    const [haproxy] = needed(t, installed('haproxy')) ?? []
    if (haproxy === undefined) return
    const port = await freePort()
    const file = join(folder, 'haproxy.cfg')
    writeFileSync(
      file,
      `defaults\n  mode http\n  timeout connect 5s\n  timeout client 30s\n  timeout server 30s\nfrontend f\n  bind 127.0.0.1:${port}\n  http-request return status 200 content-type text/plain string "of haproxy"\n`,
    )
    await using _ = await startProgram(port, [haproxy, '-db', '-f', file], folder)
    await using pair = await startPair(port, certs.path)
    assert.deepEqual(await fetched(pair.port, '/'), { status: 200, server: null, body: 'of haproxy' })
  })
})

describe('servers of other protocols', () => {
  test('Redis: ten thousand pipelined commands, and a value of a megabyte', async t => {
    const [redis, cli] = needed(t, installed('redis-server'), installed('redis-cli', 'redis-tools')) ?? []
    if (redis === undefined || cli === undefined) return
    const port = await freePort()
    await using _ = await startProgram(port, [redis, '--port', String(port), '--bind', '127.0.0.1', '--save', '', '--dir', folder], folder)
    await using pair = await startPair(port, certs.path, 'tcp')
    const at = ['-h', '127.0.0.1', '-p', String(pair.port)]
    assert.match(await says(cli, [...at, '--pipe'], 'incr count\r\n'.repeat(10_000)), /errors: 0, replies: 10000/)
    assert.equal(await says(cli, [...at, 'get', 'count']), '10000\n')
    assert.equal(await says(cli, [...at, '-x', 'set', 'big'], 'x'.repeat(megabyteOf(1))), 'OK\n')
    assert.equal(await says(cli, [...at, 'strlen', 'big']), `${megabyteOf(1)}\n`)
  })

  test('MariaDB, where the server speaks first', async t => {
    const wanted = [
      installed('mariadbd', 'mariadb-server'),
      installed('mariadb-install-db', 'mariadb-server'),
      installed('mariadb', 'mariadb-client'),
    ]
    const [server, install, client] = needed(t, ...wanted) ?? []
    if (server === undefined || install === undefined || client === undefined) return
    const own = mkdtempSync(join(folder, 'mariadb-'))
    const port = await freePort()
    const user = process.getuid?.() === 0 ? ['--user=root'] : []
    await says(install, ['--no-defaults', `--datadir=${own}/data`, '--auth-root-authentication-method=normal', '--skip-test-db', ...user])
    const flags = [`--datadir=${own}/data`, `--socket=${own}/socket`, `--pid-file=${own}/pid`, '--bind-address=127.0.0.1', `--port=${port}`]
    await using _ = await startProgram(port, [server, '--no-defaults', ...flags, ...user], own)
    await using pair = await startPair(port, certs.path, 'tcp')
    const at = ['--no-defaults', '-h', '127.0.0.1', '-P', String(pair.port), '-u', 'root', '--skip-ssl', '-D', 'mysql', '-N', '-e']
    assert.equal(await says(client, [...at, "select repeat('weft', 3)"]), 'weftweftweft\n')
    assert.equal((await says(client, [...at, 'select seq from seq_1_to_100000'])).split('\n').length, 100_001)
  })

  test('SMTP, where the server speaks first', async t => {
    const [interpreter] = needed(t, python('aiosmtpd', 'aiosmtpd==1.4.6')) ?? []
    if (interpreter === undefined) return
    const port = await freePort()
    await using _ = await startProgram(port, [interpreter, here('smtp.py'), 'server', String(port)], folder)
    await using pair = await startPair(port, certs.path, 'tcp')
    assert.equal(await says(interpreter, [here('smtp.py'), 'client', String(pair.port)]), '1 kept, 120018 bytes\n')
  })

  test('MQTT: a message comes to who subscribed', async t => {
    const wanted = [
      installed('mosquitto'),
      installed('mosquitto_pub', 'mosquitto-clients'),
      installed('mosquitto_sub', 'mosquitto-clients'),
    ]
    const [broker, publish, subscribe] = needed(t, ...wanted) ?? []
    if (broker === undefined || publish === undefined || subscribe === undefined) return
    const port = await freePort()
    const file = join(folder, 'mosquitto.conf')
    writeFileSync(file, `listener ${port} 127.0.0.1\nallow_anonymous true\npersistence false\n`)
    await using _ = await startProgram(port, [broker, '-c', file], folder)
    await using pair = await startPair(port, certs.path, 'tcp')
    const at = ['-h', '127.0.0.1', '-p', String(pair.port), '-t', 'weft/topic', '-q', '2']
    // Kept for whoever subscribes later, so that neither must wait for the other.
    await says(publish, [...at, '-r', '-m', 'through both'])
    assert.equal(await says(subscribe, [...at, '-C', '1', '-W', '20']), 'through both\n')
  })
})

function megabyteOf(count: number): number {
  return count << 20
}
