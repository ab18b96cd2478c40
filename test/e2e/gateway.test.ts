/** Traffic from outside: curl calls the ports of a Gateway, whose proxy hands requests to workloads of the mesh by mutual TLS. */

import assert from 'node:assert/strict'
import { execFile, execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { once } from 'node:events'
import { Agent, get } from 'node:http'
import { connect as connectHttp2 } from 'node:http2'
import { connect as connectTcp, createServer } from 'node:net'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { after, before, describe, test } from 'node:test'
import type { KindPath } from '../../src/api/client.ts'
import { canCapture } from '../../src/io/namespace.ts'
import type { Resource } from '../../src/resources/kind.ts'
import { certify } from '../harness/certify.ts'
import { active } from '../harness/front.ts'
import { kinds, Mesh, type Running } from '../harness/mesh.ts'

const has = (program: string): boolean => {
  try {
    execFileSync(program, [program === 'openssl' ? 'version' : '--version'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}
const verdict = await canCapture()
const missing = ['curl', 'openssl'].filter(each => !has(each))
const skip = verdict.ok
  ? missing.length > 0
    ? `${missing.join(', ')} is not on this machine`
    : false
  : `${verdict.why}: ${verdict.remedy}`

const group = 'gateway.networking.k8s.io'
const paths: Readonly<Record<string, KindPath>> = {
  HTTPRoute: kinds.httpRoute,
  Gateway: { ...kinds.httpRoute, plural: 'gateways' },
  GRPCRoute: { ...kinds.httpRoute, plural: 'grpcroutes' },
  TLSRoute: { ...kinds.httpRoute, plural: 'tlsroutes' },
  TCPRoute: { ...kinds.httpRoute, plural: 'tcproutes' },
  ReferenceGrant: { group, version: 'v1beta1', plural: 'referencegrants', namespaced: true },
  Secret: { ...kinds.service, plural: 'secrets' },
  ConfigMap: { ...kinds.service, plural: 'configmaps' },
}

/** Says who it is and what came. */
const echo = `require('node:http').createServer((q, s) => {
  const said = { instance: process.env.INSTANCE, host: q.headers.host, path: q.url, headers: q.headers }
  setTimeout(() => s.setHeader('content-type', 'application/json').end(JSON.stringify(said)), q.url === '/slow' ? 1500 : 0)
}).listen(8080)`

type Said = { readonly status: number; readonly version: string; readonly error: string; readonly location: string; readonly body: string }
type Echo = { readonly instance: string; readonly host: string; readonly path: string; readonly headers: Readonly<Record<string, string>> }

/** Ports that were free a moment ago. */
async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from(
      { length: count },
      () =>
        new Promise<ReturnType<typeof createServer>>(resolve => {
          const server = createServer().listen(0, '127.0.0.1', () => resolve(server))
        }),
    ),
  )
  const ports = servers.map(server => (server.address() as { port: number }).port)
  await Promise.all(servers.map(server => new Promise(resolve => server.close(resolve))))
  return ports
}

describe('a Gateway', { skip }, () => {
  let mesh: Mesh
  let proxy: Running
  let web = 0
  let secure = 0

  before(async () => {
    ;[web, secure] = (await freePorts(2)) as [number, number]
    mesh = await Mesh.start()
    for (const name of ['shop', 'blog'])
      mesh.run(name, [process.execPath, '-e', echo], { flags: ['--port', '8080/http'], env: { INSTANCE: name } })
    await mesh.healthy('shop')
    await mesh.healthy('blog')
  })
  after(() => mesh[Symbol.asyncDispose]())

  async function apply(document: object): Promise<void> {
    const resource = { metadata: { namespace: 'default' }, ...document } as Resource
    const { resource: written } = await mesh.client.apply(paths[resource.kind]!, resource, { force: true })
    await active(mesh, Number(written.metadata.resourceVersion))
  }
  const gateway = (listeners: readonly object[], more: object = {}) => ({
    apiVersion: `${group}/v1`,
    kind: 'Gateway',
    metadata: { name: 'edge', namespace: 'default' },
    spec: { gatewayClassName: 'weft', addresses: [{ value: '127.0.0.1' }], listeners, ...more },
  })
  const route = (name: string, spec: object) => ({
    apiVersion: `${group}/v1`,
    kind: 'HTTPRoute',
    metadata: { name, namespace: 'default' },
    spec: { parentRefs: [{ name: 'edge' }], ...spec },
  })
  const to = (name: string) => [{ backendRefs: [{ name, port: 8080 }] }]
  const statusOf = async (kind: string, name: string): Promise<Record<string, never>> =>
    ((await mesh.client.get(paths[kind]!, name, { namespace: 'default' })).status ?? {}) as never
  type Stated = { conditions: readonly { type: string; status: string; reason: string; message: string }[] }
  const told = (of: Stated | undefined, type: string): string => {
    const found = of?.conditions.find(each => each.type === type)
    return found === undefined ? 'nothing' : `${found.status} ${found.reason}`
  }
  const gatewayStatus = async () =>
    (await statusOf('Gateway', 'edge')) as unknown as Stated & {
      addresses: readonly { value: string }[]
      listeners: readonly (Stated & { name: string; attachedRoutes: number; supportedKinds: readonly { kind: string }[] })[]
    }

  function curl(...args: readonly string[]): Promise<Said> {
    const format = '\\n%{http_code} %{http_version} %header{x-weft-error} %header{location}'
    return new Promise((resolve, reject) =>
      execFile('curl', ['-sS', '--max-time', '20', '-w', format, ...args], (error, stdout, stderr) => {
        if (error) return reject(new Error(stderr))
        const at = stdout.lastIndexOf('\n')
        const [status, version = '', reason = '', location = ''] = stdout.slice(at + 1).split(' ')
        resolve({ status: Number(status), version, error: reason, location, body: stdout.slice(0, at) })
      }),
    )
  }
  const asks = (host: string, path = '/', ...more: readonly string[]) =>
    curl('-H', `Host: ${host}`, ...more, `http://127.0.0.1:${web}${path}`)
  const who = async (host: string, path = '/'): Promise<string> => {
    const { status, body, error } = await asks(host, path)
    return status === 200 ? (JSON.parse(body) as Echo).instance : `${status} ${error}`
  }

  test('has a status that says when nobody carries it out, and when somebody does', async () => {
    await apply(gateway([{ name: 'web', port: web, protocol: 'HTTP' }]))
    await mesh.until('a status', async () => told(await gatewayStatus(), 'Programmed') === 'False Pending')
    assert.match((await gatewayStatus()).conditions.find(each => each.type === 'Programmed')!.message, /weft gateway --name edge/)
    proxy = mesh.gateway('edge')
    await mesh.until('a programmed Gateway', async () => told(await gatewayStatus(), 'Programmed') === 'True Programmed')
    const { addresses, listeners } = await gatewayStatus()
    assert.deepEqual(addresses, [{ type: 'IPAddress', value: '127.0.0.1' }])
    const two = [{ value: '127.0.0.1' }, { value: '127.0.0.2' }]
    await apply(gateway([{ name: 'web', port: web, protocol: 'HTTP' }], { addresses: two }))
    await mesh.until(
      'both addresses',
      async () => (await gatewayStatus()).addresses.map(({ value }) => value).join() === '127.0.0.1,127.0.0.2',
    )
    await apply(gateway([{ name: 'web', port: web, protocol: 'HTTP' }]))
    assert.equal(told(listeners[0], 'Programmed'), 'True Programmed')
    assert.equal(listeners[0]!.attachedRoutes, 0)
    assert.deepEqual(
      listeners[0]!.supportedKinds.map(each => each.kind),
      ['HTTPRoute', 'GRPCRoute'],
    )
    assert.equal(await who('shop.example.com'), '404 no-route')
  })

  test('hands requests by Host to workloads that take mutual TLS only: a name before the longest suffix before all', async () => {
    await apply(route('shop', { hostnames: ['shop.example.com'], rules: to('shop') }))
    await apply(route('suffix', { hostnames: ['*.example.com'], rules: to('blog') }))
    assert.equal(await who('shop.example.com'), 'shop')
    assert.equal(await who(`Shop.Example.com:${web}`), 'shop')
    assert.equal(await who('a.b.example.com'), 'blog')
    assert.equal(await who('example.com'), '404 no-route')
    const { body } = await asks('shop.example.com')
    assert.match(
      (JSON.parse(body) as Echo).headers['x-forwarded-client-cert'] ?? '',
      /URI=spiffe:\/\/weft\.local\/ns\/default\/sa\/edge-weft$/,
    )
    const parents = (await statusOf('HTTPRoute', 'shop'))['parents'] as unknown as readonly (Stated & { controllerName: string })[]
    assert.equal(parents[0]!.controllerName, 'weft.dev/gateway')
    assert.equal(told(parents[0], 'Accepted'), 'True Accepted')
    await mesh.until('two attached routes', async () => (await gatewayStatus()).listeners[0]!.attachedRoutes === 2)
  })

  test('reads a path as whoever stands behind it may, chooses the route by that, and sends it on so', async () => {
    const rules = [{ matches: [{ path: { value: '/guarded' } }], backendRefs: [{ name: 'blog', port: 8080 }] }, ...to('shop')]
    await apply(route('spelled', { hostnames: ['spelled.example.com'], rules }))
    const reads = async (path: string, ...more: readonly string[]): Promise<string> => {
      const { status, body, error } = await asks('spelled.example.com', path, '--path-as-is', ...more)
      const said = status === 200 ? (JSON.parse(body) as Echo) : undefined
      return said === undefined ? `${status} ${error}` : `${said.instance} ${said.path}`
    }
    for (const version of ['--http1.1', '--http2-prior-knowledge']) {
      for (const path of [
        '/guarded?a=/../b',
        '/x/../guarded?a=/../b',
        '//guarded?a=/../b',
        '/%67uarded/./?a=/../b',
        '/x/%2e%2E/guarded?a=/../b',
      ])
        assert.equal(await reads(path, version), path.endsWith('./?a=/../b') ? 'blog /guarded/?a=/../b' : 'blog /guarded?a=/../b', path)
      assert.equal(await reads('/files/a%2Fb;v=1', version), 'shop /files/a%2Fb;v=1')
      for (const path of ['/x/..%2fguarded', '/x/..;/guarded', '/guarded;v=1', '/../guarded', '/guarded%00'])
        assert.equal(await reads(path, version), '400 bad-request', path)
    }
    const explained = await mesh.weft('explain', 'request', '--from', 'gateway/edge', '--to', `http://spelled.example.com:${web}//guarded`)
    assert.match(explained.stdout, /default\/blog/)
    assert.equal(await who(`spelled.example.com.:${web}`), 'shop', 'the dot of a full name')
    await mesh.client.delete(kinds.httpRoute, 'spelled', { namespace: 'default' })
  })

  test('speaks HTTP/2 too, and believes nothing of what callers say of where they come from', async () => {
    const { status, version } = await asks('shop.example.com', '/', '--http2-prior-knowledge')
    assert.deepEqual([status, version], [200, '2'])
    const { body } = await asks(
      'shop.example.com',
      '/x?y=1',
      '-H',
      'X-Forwarded-For: 1.2.3.4',
      '-H',
      'X-Forwarded-Proto: https',
      '-H',
      'X-Weft-Hop: 1',
    )
    const { headers, path } = JSON.parse(body) as Echo
    assert.equal(path, '/x?y=1')
    assert.deepEqual([headers['x-forwarded-for'], headers['x-forwarded-proto'], headers['x-weft-hop']], ['127.0.0.1', 'http', undefined])
  })

  test('refuses routes that no listener takes, and says why', async () => {
    for (const [spec, reason] of [
      [{ parentRefs: [{ name: 'edge', sectionName: 'none' }] }, 'NoMatchingParent'],
      [{ parentRefs: [{ name: 'edge', port: 1 }] }, 'NoMatchingParent'],
    ] as const) {
      await apply(route('lost', { rules: to('shop'), ...spec }))
      const parents = (await statusOf('HTTPRoute', 'lost'))['parents'] as unknown as readonly Stated[]
      assert.equal(told(parents[0], 'Accepted'), `False ${reason}`)
    }
    await mesh.client.delete(kinds.httpRoute, 'lost', { namespace: 'default' })
  })

  test('keeps listeners apart: a host belongs to the most specific, with or without a route', async () => {
    await apply(
      gateway([
        { name: 'web', port: web, protocol: 'HTTP' },
        { name: 'own', port: web, protocol: 'HTTP', hostname: 'own.example.com' },
      ]),
    )
    assert.equal(await who('own.example.com'), 'blog', 'the route *.example.com attaches to both')
    await apply(route('suffix', { parentRefs: [{ name: 'edge', sectionName: 'web' }], hostnames: ['*.example.com'], rules: to('blog') }))
    assert.equal(await who('own.example.com'), '404 no-route', 'to one only: the other has no route')
    assert.equal(await who('other.example.com'), 'blog')
  })

  test('ends TLS with the certificate of the name that is asked for, and answers 421 where the host is of another listener', async () => {
    for (const name of ['a', 'b']) {
      const [cert, key] = ['crt', 'key'].map(end => join(mesh.folder, `${name}.${end}`)) as [string, string]
      certify({ key, cert, days: 2, subject: `/CN=${name}`, names: [`DNS:${name}.example.org`] })
      const data = { 'tls.crt': readFileSync(cert).toString('base64'), 'tls.key': readFileSync(key).toString('base64') }
      await apply({ apiVersion: 'v1', kind: 'Secret', metadata: { name, namespace: 'default' }, type: 'kubernetes.io/tls', data })
    }
    const https = (name: string) => ({
      name,
      port: secure,
      protocol: 'HTTPS',
      hostname: `${name}.example.org`,
      tls: { certificateRefs: [{ name }] },
    })
    await apply(gateway([{ name: 'web', port: web, protocol: 'HTTP' }, https('a'), https('b')]))
    await apply(route('a', { hostnames: ['a.example.org'], rules: to('shop') }))
    await apply(route('b', { hostnames: ['b.example.org'], rules: to('blog') }))
    const ask = (name: string, host = name, ...more: readonly string[]) =>
      curl(
        '--cacert',
        join(mesh.folder, `${name}.crt`),
        '--resolve',
        `${name}.example.org:${secure}:127.0.0.1`,
        '-H',
        `Host: ${host}.example.org`,
        ...more,
        `https://${name}.example.org:${secure}/`,
      ) // prettier-ignore
    await mesh.until('an open port', async () => (await ask('a').catch(() => ({ status: 0 }))).status === 200)
    for (const [name, instance] of [
      ['a', 'shop'],
      ['b', 'blog'],
    ] as const) {
      const { status, version, body } = await ask(name)
      assert.deepEqual([status, version], [200, '2'], 'HTTP/2 is agreed by ALPN')
      const said = JSON.parse(body) as Echo
      assert.deepEqual([said.instance, said.headers['x-forwarded-proto']], [instance, 'https'])
      assert.equal((await ask(name, name, '--http1.1')).version, '1.1')
    }
    const wrong = await ask('a', 'b')
    assert.deepEqual([wrong.status, wrong.error], [421, 'misdirected'])
    assert.equal((await ask('a', 'other')).status, 404)
    await assert.rejects(
      curl('-k', '--resolve', `c.example.org:${secure}:127.0.0.1`, `https://c.example.org:${secure}/`),
      /SSL|TLS|unrecognized/,
    )
    const { listeners } = await gatewayStatus()
    assert.equal(
      told(
        listeners.find(each => each.name === 'a'),
        'ResolvedRefs',
      ),
      'True ResolvedRefs',
    )
    // Of two in one listener, with keys of one kind, the name decides; who asks for neither is shown the first.
    const both = { name: 'both', port: secure, protocol: 'HTTPS', tls: { certificateRefs: [{ name: 'a' }, { name: 'b' }] } }
    await apply(gateway([{ name: 'web', port: web, protocol: 'HTTP' }, both]))
    await apply(route('neither', { hostnames: ['c.example.org'], rules: to('blog') }))
    await mesh.until('the other listener', async () => (await ask('b').catch(() => ({ status: 0 }))).status === 200)
    assert.equal((await ask('a')).status, 200)
    const shown = await curl(
      '--cacert',
      join(mesh.folder, 'a.crt'),
      '--resolve',
      `c.example.org:${secure}:127.0.0.1`,
      `https://c.example.org:${secure}/`,
    ).catch((thrown: Error) => thrown.message)
    assert.match(String(shown), /no alternative certificate subject name matches/)
    await mesh.client.delete(kinds.httpRoute, 'neither', { namespace: 'default' })
  })

  test('checks the certificates of callers where it is asked to, and lets in nobody without one', async () => {
    const listeners = [
      { name: 'web', port: web, protocol: 'HTTP' },
      { name: 'a', port: secure, protocol: 'HTTPS', hostname: 'a.example.org', tls: { certificateRefs: [{ name: 'a' }] } },
      { name: 'b', port: secure, protocol: 'HTTPS', hostname: 'b.example.org', tls: { certificateRefs: [{ name: 'b' }] } },
    ]
    const data = { 'ca.crt': readFileSync(join(mesh.folder, 'a.crt'), 'utf8') }
    await apply({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'known', namespace: 'default' }, data })
    const asking = (mode: string) => {
      const caCertificateRefs = [{ group: '', kind: 'ConfigMap', name: 'known' }]
      return gateway(listeners, { tls: { frontend: { default: { validation: { mode, caCertificateRefs } } } } })
    }
    const ask = (...more: readonly string[]) =>
      curl('-k', '--resolve', `a.example.org:${secure}:127.0.0.1`, ...more, `https://a.example.org:${secure}/`)
    const as = (name: string) => ['--cert', join(mesh.folder, `${name}.crt`), '--key', join(mesh.folder, `${name}.key`)]
    await apply(asking('AllowValidOnly'))
    await mesh.until('a refused caller', () =>
      ask().then(
        () => false,
        () => true,
      ),
    )
    assert.equal((await ask(...as('a'))).status, 200)
    // TLS 1.3 tells a client only after its first request: curl words that in several ways.
    await assert.rejects(ask(...as('b')), /^Error: curl: /)
    await apply(asking('AllowInsecureFallback'))
    await mesh.until('a caller without a certificate', () =>
      ask().then(
        ({ status }) => status === 200,
        () => false,
      ),
    )
    assert.equal((await ask(...as('b'))).status, 200)
    assert.equal(told(await gatewayStatus(), 'InsecureFrontendValidationMode'), 'True ConfigurationChanged')
    await apply(gateway(listeners))
    await mesh.until('the usual again', async () => told(await gatewayStatus(), 'InsecureFrontendValidationMode') === 'nothing')
    assert.equal((await ask()).status, 200)
  })

  test('redirects to the port of its listener, and to https where a route says so', async () => {
    const redirect = (requestRedirect: object) => [{ filters: [{ type: 'RequestRedirect', requestRedirect }] }]
    await apply(
      route('moved', { hostnames: ['moved.example.com'], rules: redirect({ path: { type: 'ReplaceFullPath', replaceFullPath: '/new' } }) }),
    )
    assert.equal((await asks('moved.example.com', '/old')).location, `http://moved.example.com:${web}/new`)
    await apply(route('moved', { hostnames: ['moved.example.com'], rules: redirect({ scheme: 'https', statusCode: 301 }) }))
    const { status, location } = await asks('moved.example.com', '/old')
    assert.deepEqual([status, location], [301, 'https://moved.example.com/old'])
  })

  test('gives its keys to nobody but its proxies', async () => {
    const key = readFileSync(join(mesh.folder, 'a.key'), 'utf8').split('\n')[1]!
    const encoded = readFileSync(join(mesh.folder, 'a.key')).toString('base64')
    const listed = await mesh.client.proxies()
    const id = listed.find(each => each.service === 'edge-weft')!.id
    const shown = [
      await mesh.weft('get', 'secrets'),
      await mesh.weft('describe', 'secret', 'a'),
      await mesh.weft('proxy', 'config', id),
      await mesh.weft('get', 'secrets', '-o', 'wide'),
    ]
    const admin = listed.find(each => each.id === id)!.admin!
    const page = await (await fetch(`${admin}/config`)).text()
    assert.match(page, /BEGIN CERTIFICATE/)
    for (const text of [...shown.map(each => each.stdout + each.stderr), page, proxy.stderr, mesh.control.stderr]) {
      assert.ok(!text.includes(key) && !text.includes(encoded), text)
    }
    for (const { id: other } of listed.filter(each => each.id !== id))
      assert.ok(!JSON.stringify(await mesh.client.proxyConfig(other)).includes('example.org'))
  })

  test('says which certificate cannot be used, and serves the other listeners', async () => {
    const data = {
      'tls.crt': readFileSync(join(mesh.folder, 'a.crt')).toString('base64'),
      'tls.key': readFileSync(join(mesh.folder, 'b.key')).toString('base64'),
    }
    await apply({ apiVersion: 'v1', kind: 'Secret', metadata: { name: 'b', namespace: 'default' }, type: 'kubernetes.io/tls', data })
    await mesh.until('a refused reference', async () => {
      const { listeners } = await gatewayStatus()
      return (
        told(
          listeners.find(each => each.name === 'b'),
          'ResolvedRefs',
        ) === 'False InvalidCertificateRef'
      )
    })
    const { listeners } = await gatewayStatus()
    assert.match(JSON.stringify(listeners), /tls\.key is not the key of the first certificate/)
    assert.equal(told(await gatewayStatus(), 'Accepted'), 'True ListenersNotValid')
    assert.equal((await curl('-k', '--resolve', `a.example.org:${secure}:127.0.0.1`, `https://a.example.org:${secure}/`)).status, 200)
  })

  test('loses no request while its listeners change, and closes the ports that it has no more', async () => {
    const failed: string[] = []
    let isOver = false
    let count = 0
    const load = async (call: () => Promise<string>) => {
      while (!isOver) {
        const said = await call().catch((thrown: Error) => thrown.message)
        count += 1
        if (said !== 'shop') failed.push(said)
      }
    }
    const agent = new Agent({ keepAlive: true, maxSockets: 1 })
    const kept = () =>
      new Promise<string>((resolve, reject) =>
        get({ port: web, host: '127.0.0.1', agent, headers: { host: 'shop.example.com' } }, answer => {
          const parts: Buffer[] = []
          answer.on('data', part => parts.push(part))
          answer.on('end', () => resolve((JSON.parse(Buffer.concat(parts).toString()) as Echo).instance))
        }).on('error', reject),
      )
    const calls = Promise.all([load(() => who('shop.example.com')), load(kept)])
    const [extra] = (await freePorts(1)) as [number]
    const own = { name: 'web', port: web, protocol: 'HTTP' }
    for (const more of [
      [],
      [{ name: 'more', port: extra, protocol: 'HTTP' }],
      [{ name: 'own', port: web, protocol: 'HTTP', hostname: 'x.test' }],
      [],
    ])
      await apply(gateway([own, ...more]))
    isOver = true
    await calls
    agent.destroy()
    assert.ok(count > 20, `only ${count} requests`)
    assert.deepEqual(failed, [])
    await mesh.until('a closed port', async () => {
      const said = await curl(`https://127.0.0.1:${secure}/`, '-k').catch((thrown: Error) => thrown.message)
      return typeof said === 'string' && /refused|connect/i.test(said)
    })
  })

  test('ends the connections that were kept at a port that it has no more', { timeout: 60_000 }, async () => {
    const [extra] = (await freePorts(1)) as [number]
    const own = { name: 'web', port: web, protocol: 'HTTP' }
    await apply(gateway([own, { name: 'more', port: extra, protocol: 'HTTP' }]))
    await mesh.until('an open port', async () => {
      const said = await curl('-H', 'Host: shop.example.com', `http://127.0.0.1:${extra}/`).catch(() => undefined)
      return said?.status === 200
    })
    const one = connectTcp(extra, '127.0.0.1').resume()
    one.write('GET / HTTP/1.1\r\nhost: shop.example.com\r\n\r\n')
    const two = connectHttp2(`http://127.0.0.1:${extra}`)
    const stream = two.request({ ':authority': 'shop.example.com' }).resume()
    await Promise.all([once(one, 'data'), once(stream, 'end')])
    const ended = Promise.all([once(one, 'close'), once(two, 'goaway')])
    await apply(gateway([own]))
    await ended
    two.destroy()
    assert.equal(await who('shop.example.com'), 'shop')
  })

  test('passes TLS on undecrypted by server name, and opaque connections by port', async () => {
    const files = `{ key: fs.readFileSync('${mesh.folder}/a.key'), cert: fs.readFileSync('${mesh.folder}/a.crt') }`
    const vault = `const fs = require('node:fs'); require('node:https').createServer(${files}, (q, s) => s.end('vault')).listen(8443)`
    mesh.run('vault', [process.execPath, '-e', vault], { flags: ['--port', '8443/tls'] })
    await mesh.healthy('vault')
    const [through, bytes] = (await freePorts(2)) as [number, number]
    await apply(
      gateway([
        { name: 'web', port: web, protocol: 'HTTP' },
        { name: 'through', port: through, protocol: 'TLS', hostname: '*.example.org', tls: { mode: 'Passthrough' } },
        { name: 'bytes', port: bytes, protocol: 'TCP' },
      ]),
    )
    const stream = (kind: string, name: string, section: string, spec: object) => ({
      ...route(name, { parentRefs: [{ name: 'edge', sectionName: section }], ...spec }),
      kind,
    })
    await apply(
      stream('TLSRoute', 'vault', 'through', { hostnames: ['a.example.org'], rules: [{ backendRefs: [{ name: 'vault', port: 8443 }] }] }),
    )
    await apply(stream('TCPRoute', 'bytes', 'bytes', { rules: to('shop') }))
    const ask = (name: string) =>
      curl('--cacert', join(mesh.folder, 'a.crt'), '--resolve', `${name}:${through}:127.0.0.1`, `https://${name}:${through}/`)
    await mesh.until('an open port', async () => (await ask('a.example.org').catch(() => ({ status: 0 }))).status === 200)
    assert.equal((await ask('a.example.org')).body, 'vault')
    await assert.rejects(ask('b.example.org'), /SSL|TLS|unrecognized/)
    assert.equal((JSON.parse((await curl(`http://127.0.0.1:${bytes}/`)).body) as Echo).instance, 'shop')
    assert.equal(
      told(
        (await gatewayStatus()).listeners.find(each => each.name === 'bytes'),
        'Programmed',
      ),
      'True Programmed',
    )
  })

  test('hands calls of gRPC to their servers by GRPCRoute, beside requests of HTTP on the same port', async () => {
    const program = (name: string) => [
      process.execPath,
      '--disable-warning=ExperimentalWarning',
      join(import.meta.dirname, 'grpc-route', `${name}.ts`),
    ]
    mesh.run('cart', [...program('server'), '7070'], { flags: ['--port', 'grpc:7070/grpc'], env: { INSTANCE: 'cart' } })
    await mesh.healthy('cart')
    await apply(gateway([{ name: 'web', port: web, protocol: 'HTTP' }]))
    const rules = [{ matches: [{ method: { service: 'shop.v1.Cart' } }], backendRefs: [{ name: 'cart', port: 7070 }] }]
    await apply({ ...route('cart', { rules }), kind: 'GRPCRoute' })
    const client = mesh.spawn(program('client'))
    const call = async (path: string): Promise<{ readonly code: number; readonly answer?: { readonly instance: string } }> => {
      const line = once(createInterface({ input: client.child.stdout! }), 'line')
      client.child.stdin!.write(`${JSON.stringify({ id: 1, target: `127.0.0.1:${web}`, path, metadata: {}, times: 1 })}\n`)
      return (JSON.parse(String((await line)[0])) as { replies: never[] }).replies[0]!
    }
    const { code, answer } = await call('/shop.v1.Cart/Get')
    assert.deepEqual([code, answer?.instance], [0, 'cart'])
    assert.equal((await call('/shop.v1.Other/Get')).code, 12, 'UNIMPLEMENTED where no rule matches')
    assert.equal(await who('shop.example.com'), 'shop')
    client.child.stdin!.end()
  })

  test('shows a new certificate from the next handshake on', async () => {
    const listener = { name: 'a', port: secure, protocol: 'HTTPS', tls: { certificateRefs: [{ name: 'changing' }] } }
    const secret = (name: string) => ({
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: 'changing', namespace: 'default' },
      type: 'kubernetes.io/tls',
      data: Object.fromEntries(
        ['crt', 'key'].map(end => [`tls.${end}`, readFileSync(join(mesh.folder, `${name}.${end}`)).toString('base64')]),
      ),
    })
    await apply(secret('a'))
    await apply(gateway([{ name: 'web', port: web, protocol: 'HTTP' }, listener]))
    const trusts = (name: string) =>
      curl(
        '--cacert',
        join(mesh.folder, `${name}.crt`),
        '--resolve',
        `${name}.example.org:${secure}:127.0.0.1`,
        `https://${name}.example.org:${secure}/`,
      ).then(
        ({ status }) => status === 200,
        () => false,
      )
    await mesh.until('the first certificate', () => trusts('a'))
    await apply(secret('b'))
    await mesh.until('the second certificate', () => trusts('b'))
    assert.equal(await trusts('a'), false)
  })

  test('says so when there is no such Gateway', async () => {
    const lost = mesh.gateway('egde')
    try {
      await mesh.until('a word about it', () => lost.stderr.includes('nothing to listen on: Gateway default/egde is not there'))
    } finally {
      await lost.stop()
    }
  })

  test('names the port that another program has, and opens it as soon as it is free', async () => {
    const holder = createServer()
    const port = await new Promise<number>(resolve =>
      holder.listen(0, '127.0.0.1', () => resolve((holder.address() as { port: number }).port)),
    )
    try {
      await apply(
        gateway([
          { name: 'web', port: web, protocol: 'HTTP' },
          { name: 'held', port, protocol: 'HTTP' },
        ]),
      )
      await mesh.until('a word about the port', () => proxy.stderr.includes(`port ${port} on 127.0.0.1 is in use by another program`))
      await mesh.until(
        'a Gateway that is not programmed',
        async () => told(await gatewayStatus(), 'Programmed') === 'False AddressNotUsable',
      )
    } finally {
      await new Promise(resolve => holder.close(resolve))
    }
    await mesh.until(
      'an open port',
      async () => (await curl('-H', 'Host: shop.example.com', `http://127.0.0.1:${port}/`).catch(() => ({ status: 0 }))).status === 200,
    )
  })

  test('finishes what is under way when it is told to end', async () => {
    await apply(gateway([{ name: 'web', port: web, protocol: 'HTTP' }]))
    const slow = asks('shop.example.com', '/slow')
    await new Promise(resolve => setTimeout(resolve, 300))
    const { code, stderr } = await proxy.stop()
    assert.equal(code, 0, stderr)
    assert.equal((await slow).status, 200)
    await mesh.until('a Gateway without a proxy', async () => told(await gatewayStatus(), 'Programmed') === 'False Pending')
  })
})
