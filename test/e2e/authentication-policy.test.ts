/** Who must prove who they are: by mesh, namespace, workload, Service and port; who still speaks plaintext; and changes under load that lose nothing. */

import assert from 'node:assert/strict'
import { execFile, execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { once } from 'node:events'
import { connect } from 'node:net'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import tls from 'node:tls'
import type { MtlsReport } from '../../src/api/mesh-api.ts'
import { canCapture } from '../../src/io/namespace.ts'
import type { Endpoint } from '../../src/model/backend.ts'
import { Load, startServer, tell } from '../harness/load.ts'
import { kinds, Mesh, root, type Shell } from '../harness/mesh.ts'
import { freePort } from '../harness/machine.ts'
import { apply, explained, remove, said } from './policies/shop.ts'

const verdict = await canCapture()
const hasCurl = (() => {
  try {
    execFileSync('curl', ['--version'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
})()
const skip = verdict.ok ? (hasCurl ? false : 'curl is not on this machine') : `${verdict.why}: ${verdict.remedy}`

const kind = 'AuthenticationPolicy'
const toServer = [{ kind: 'Service', name: 'server' }]
type Mode = 'Strict' | 'Permissive' | 'Disabled'

describe('an AuthenticationPolicy', { skip }, () => {
  let mesh: Mesh
  let web: Shell

  before(async () => {
    mesh = await Mesh.start()
    startServer(mesh, 'server', { instance: 'server', tcp: true })
    web = mesh.shell('web')
    await mesh.healthy('server')
    await mesh.healthy('web')
  })
  after(() => mesh[Symbol.asyncDispose]())

  /** As callers know it now. */
  async function endpoint(port = 8080): Promise<Endpoint> {
    const proxy = (await mesh.client.proxies()).find(({ service }) => service === 'web')!
    const { view } = await mesh.client.proxyConfig(proxy.id)
    return view.endpoints[`default/server:${port}`]!.endpoints[0]!
  }

  /** One request in plaintext, from outside the mesh, to the port where the proxy of the server listens. */
  async function plainly(port = 8080): Promise<string> {
    const { host, port: bound } = await endpoint(port)
    return new Promise(resolve => {
      const bytes = ['-s', '-m', '5', '-w', ' code=%{http_code} %header{x-weft-error}', `http://${host}:${bound}/`]
      execFile('curl', bytes, (_error, stdout) => resolve(stdout.trim()))
    })
  }
  const isServed = async (): Promise<boolean> => (await plainly()).endsWith('code=200')

  /** What an ordinary program of the mesh gets. */
  const calls = (): Promise<string> => web.says(`curl -s -m 5 -w ' code=%{http_code} %header{x-answered-by}' http://server:8080/`)

  const set = (name: string, mode: Mode, targetRefs: readonly object[], namespace = 'default'): Promise<void> =>
    apply(mesh, kind, name, { targetRefs, mtls: { mode } }, { namespace })

  /** That the change is through: callers speak so, and the port takes only what it is to take. */
  const becomes = (what: { readonly mtls: boolean; readonly mode: 'strict' | 'permissive' | 'disabled' }): Promise<void> =>
    mesh.until(JSON.stringify(what), async () => {
      const server = (await mesh.client.proxies()).find(({ service }) => service === 'server')!
      const { view } = await mesh.client.proxyConfig(server.id)
      const now = view.listeners['inbound/8080']!.tls?.mode ?? 'disabled'
      return now === what.mode && (await endpoint()).mtls === what.mtls
    })

  async function report(...flags: readonly string[]): Promise<{ readonly code: number; readonly report: MtlsReport }> {
    const { code, stdout, stderr } = await mesh.weft('mtls', 'report', '-o', 'json', ...flags)
    assert.notEqual(stdout, '', stderr)
    return { code, report: JSON.parse(stdout) as MtlsReport }
  }

  test('is not needed on a fresh mesh, which takes plaintext too and says so; callers of the mesh speak mutual TLS, and the document that the report gives makes it strict', async () => {
    assert.match(await plainly(), /code=200$/)
    assert.match(await calls(), /code=200 server$/)
    assert.equal((await endpoint()).mtls, true)
    await mesh.until('the call is seen with both identities', async () =>
      (await mesh.client.topology(60)).edges.some(({ source, mtls }) => source.service === 'web' && mtls),
    )
    await mesh.until('plaintext is told', async () => (await report()).report.why.some(each => /plaintext from/.test(each)))
    assert.match(
      (await mesh.weft('status')).stdout,
      /^mutual TLS +permissive at 2 ports of 2, which take plaintext too; 1 port was called so .*weft mtls report/m,
    )
    assert.match((await mesh.weft('check')).stdout, /mutual TLS .*permissive at 2 ports of 2/)

    // Who has no name is not among those who are named, and is denied by a rule that allows others.
    const from = [{ serviceAccounts: ['web'] }]
    await apply(mesh, 'AccessPolicy', 'named', { targetRefs: toServer, action: 'Allow', rules: [{ from }] })
    assert.match(await plainly(), /code=403 access-denied$/)
    assert.match(await calls(), /code=200 server$/)
    await remove(mesh, 'AccessPolicy', 'named')

    const { code, stdout } = await mesh.weft('mtls', 'report')
    assert.equal(code, 1)
    const [, document] = /weft apply -f - <<'END'\n(.*)\nEND$/s.exec(stdout.trim()) ?? []
    assert.ok(document, stdout)
    const file = join(mesh.folder, 'strict.yaml')
    writeFileSync(file, document)
    assert.equal((await mesh.weft('apply', '--wait', '-f', file)).code, 0)
    assert.match(await plainly(), /code=403 identity-required$/)
    assert.match(await calls(), /code=200 server$/)
    assert.match((await mesh.weft('status')).stdout, /^mutual TLS +strict at all 2 ports$/m)
    assert.equal((await mesh.weft('delete', '-f', file)).code, 0)
    // From here on by the other way.
    await mesh.client.apply(
      { group: 'weft.dev', version: 'v1alpha1', plural: 'meshes', namespaced: false },
      { apiVersion: 'weft.dev/v1alpha1', kind: 'Mesh', metadata: { name: 'default' }, spec: { mtls: { mode: 'strict' } } },
    )
    await becomes({ mtls: true, mode: 'strict' })
  })

  test('holds for the mesh, a namespace, a workload, a Service and a port; the narrower wins, and explain says by whose word', async () => {
    assert.match(await plainly(), /code=403 identity-required$/)
    const layers: readonly (readonly [name: string, mode: Mode, refs: readonly object[], namespace?: string])[] = [
      ['mesh', 'Permissive', [{ kind: 'Mesh' }], 'weft-system'],
      ['namespace', 'Strict', [{ kind: 'Namespace' }]],
      ['workload', 'Permissive', [{ kind: 'Workload', labels: { app: 'server' } }]],
      ['service', 'Strict', toServer],
      ['port', 'Permissive', [{ kind: 'Service', name: 'server', sectionName: 'http' }]],
    ]
    const overruled: string[] = []
    for (const [name, mode, refs, namespace] of layers) {
      await set(name, mode, refs, namespace)
      assert.match(await plainly(), mode === 'Strict' ? /code=403 identity-required$/ : /code=200$/, name)
      assert.match(await calls(), /code=200 server$/, name)
      const { ports } = await explained(mesh, 'server', 'web')
      const told = ports.find(({ port }) => port === 8080)!.backends[0]!.taken.find(({ field }) => field === 'mtls')!
      assert.deepEqual([told.value, told.by.split(' for ')[0]], [mode.toLowerCase(), `${kind} ${namespace ?? 'default'}/${name}`])
      assert.deepEqual(
        told.overruled.map(({ by }) => by.split(' for ')[0]).filter(by => by !== 'built in' && by !== 'Mesh default'),
        overruled,
      )
      overruled.unshift(`${kind} ${namespace ?? 'default'}/${name}`)
    }
    // Of the other port nothing narrower than the Service says anything.
    const { ports } = await explained(mesh, 'server', 'web')
    assert.equal(ports.find(({ port }) => port === 7000)!.backends[0]!.taken.find(({ field }) => field === 'mtls')!.value, 'strict')
    for (const [name, , , namespace] of layers) await remove(mesh, kind, name, namespace)
    assert.match(await plainly(), /code=403 identity-required$/)
  })

  test('Permissive takes both and the report names who speaks plaintext; when that caller is in the mesh it says yes, and Strict refuses with the reason', async () => {
    await set('server', 'Permissive', toServer)
    assert.match(await plainly(), /code=200$/)
    assert.match(await calls(), /code=200 server$/)
    const about = ['--service', 'server', '--port', 'http']
    await mesh.until('plaintext is told', async () => (await report(...about)).report.why.some(each => /plaintext from/.test(each)))
    const first = await report(...about)
    assert.equal(first.code, 1)
    assert.equal(first.report.safe, false)
    assert.deepEqual(
      first.report.ports.map(({ service, port, mode, callers }) => [service, port, mode, callers.map(({ address }) => address)]),
      [['server', 8080, 'permissive', ['127.0.0.1']]],
    )
    assert.ok(first.report.ports[0]!.mutual > 0, 'callers of the mesh come by mutual TLS')
    const table = await mesh.weft('mtls', 'report', ...about)
    assert.match(table.stdout, /safe to go strict\? no:\n.*port 8080 of server-\S+: plaintext from 127\.0\.0\.1\nwatched for \d+ s/s)

    // It moves into the mesh, and some time passes.
    const moved = mesh.shell('moved')
    await mesh.healthy('moved')
    assert.match(await moved.says(`curl -s -w ' code=%{http_code}' http://server:8080/`), /code=200$/)
    await mesh.until('safe', async () => (await report(...about, '--within', '2s')).code === 0)
    const second = await report(...about, '--within', '2s')
    assert.deepEqual([second.code, second.report.safe, second.report.ports[0]!.callers], [0, true, []])
    assert.match(
      (await mesh.weft('mtls', 'report', ...about, '--within', '2s')).stdout,
      /safe to go strict\? yes: nobody spoke plaintext in the last 2 s, by what proxies have reported/,
    )

    // A connection that stays open is asked too.
    const { host, port } = await endpoint()
    const held = connect(port, host)
    held.on('error', () => {})
    held.write('GET / HTTP/1.1\r\nHost: server\r\n\r\n')
    const [answer] = (await once(held, 'data')) as [Buffer]
    assert.match(answer.toString('latin1'), /^HTTP\/1.1 200/)
    await mesh.until('it is told', async () =>
      (await report(...about, '--within', '1s')).report.ports[0]!.callers.some(({ open }) => open > 0),
    )
    const ended = once(held, 'close')
    await set('server', 'Strict', toServer)
    await ended
    assert.match(await plainly(), /.*code=403 identity-required$/s)
    assert.match(await calls(), /code=200 server$/)
    await mesh.until('it is told who was refused', async () => (await report(...about)).report.ports[0]!.refused.length > 0)
    const misspelt = await mesh.weft('mtls', 'report', '--service', 'servr')
    assert.deepEqual([misspelt.code, misspelt.stdout], [2, ''])
    assert.match(misspelt.stderr, /there is no Service "servr"; did you mean "server"\?/)
    const portless = await mesh.weft('mtls', 'report', '--service', 'server', '--port', '9')
    assert.equal(portless.code, 1)
    assert.match(portless.stdout, /no workload behind a proxy has such a port/)
    assert.doesNotMatch(portless.stdout, /watched for/)
    await remove(mesh, kind, 'server')
  })

  test('Disabled takes plaintext only, from callers of the mesh too, and rules that need identities let nobody in and say so', async () => {
    await set('server', 'Disabled', toServer)
    await becomes({ mtls: false, mode: 'disabled' })
    assert.ok(await isServed())
    assert.match(await calls(), /code=200 server$/)
    const { host, port } = await endpoint()
    const handshake = await new Promise<string>(resolve => {
      const socket = tls.connect({ host, port, rejectUnauthorized: false }, () => resolve('done'))
      socket.on('error', ({ message }) => resolve(message)).on('close', () => resolve('closed'))
    })
    assert.notEqual(handshake, 'done')
    const { code, stdout } = await mesh.weft('explain', 'request', '--from', 'web', '--to', 'server:8080', 'GET', '/')
    assert.equal(code, 0)
    assert.match(stdout, /its proxy, inbound\/8080 \(in plaintext\), http/)
    assert.match((await report('--service', 'server')).report.why.join('\n'), /it is Disabled, so that all speak plaintext/)

    for (const [action, outcome] of [
      ['Allow', /code=403 $/],
      ['Deny', /code=403 $/],
    ] as const) {
      const from = [{ serviceAccounts: [action === 'Allow' ? 'web' : 'somebody-else'] }]
      await apply(mesh, 'AccessPolicy', 'named', { targetRefs: toServer, action, rules: [{ from }] })
      assert.match(await calls(), outcome, action)
      assert.match(
        (await said(mesh, 'AccessPolicy', 'named')).join('\n'),
        /PartiallyInvalid True UnsupportedValue: .*spec\.rules\[0\]\.from: port 8080 of server\.default takes plaintext only, by an AuthenticationPolicy/,
      )
      await remove(mesh, 'AccessPolicy', 'named')
    }
    await remove(mesh, kind, 'server')
    await becomes({ mtls: true, mode: 'strict' })
    assert.match(await plainly(), /code=403 identity-required$/)
    assert.match(await calls(), /code=200 server$/)
  })

  test('from strict to disabled and back, several times, no request is lost at 300 a second over HTTP/1.1 and HTTP/2', {
    timeout: 120_000,
  }, async () => {
    await using one = new Load(mesh, { name: 'load-one', to: 'http://server:8080', rate: 150 })
    await using two = mesh.run('load-two', [process.execPath, join(root, 'test/harness/load/http2.mjs')], {
      env: { TO: 'http://server:8080', RATE: '150' },
    })
    await one.answers(200)
    for (const mode of ['Disabled', 'Strict', 'Disabled', 'Permissive', 'Disabled', 'Strict'] as const) {
      await set('server', mode, toServer)
      await becomes({ mtls: mode !== 'Disabled', mode: mode.toLowerCase() as 'strict' })
      await one.answers(50)
    }
    // Changed again while it is under way.
    for (const mode of ['Disabled', 'Strict', 'Disabled', 'Strict', 'Disabled', 'Strict'] as const) {
      await set('server', mode, toServer)
      await new Promise(resolve => setTimeout(resolve, 150))
    }
    await becomes({ mtls: true, mode: 'strict' })
    await one.answers(50)
    const last = await one.stop()
    two.child.stdin!.write('stop\n')
    const { stdout } = await two.exited
    const over2 = JSON.parse(stdout) as { readonly sent: number; readonly ok: number; readonly failed: object; readonly out: number }
    assert.deepEqual([last.failed, last.sent - last.ok], [{}, 0], tell(last))
    assert.deepEqual([over2.failed, over2.sent - over2.ok], [{}, 0], stdout)
    assert.ok(over2.ok > 300, stdout)
    await remove(mesh, kind, 'server')
  })

  test('what cannot be is refused: unknown modes when it is written, ports that are not there and ports of UDP in the status', async () => {
    const refusal = async (spec: object): Promise<string> =>
      apply(mesh, kind, 'wrong', spec).then(
        () => '',
        (error: Error) => error.message,
      )
    assert.match(await refusal({ targetRefs: toServer, mtls: { mode: 'Off' } }), /spec\.mtls\.mode.*Strict.*Permissive.*Disabled/s)
    assert.match(await refusal({ targetRefs: toServer }), /spec\.mtls/)
    assert.match(await refusal({ targetRefs: [{ kind: 'HTTPRoute', name: 'a' }], mtls: { mode: 'Strict' } }), /targetRefs\[0\]\.kind/)
    await mesh.client.apply(kinds.service, {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 'names', namespace: 'default' },
      spec: {
        selector: { app: 'server' },
        ports: [
          { name: 'udp', port: 53, protocol: 'UDP' },
          { name: 'http', port: 8080 },
        ],
      },
    } as never)
    for (const [sectionName, says] of [
      ['nowhere', /Accepted False TargetNotFound: .*has no port named nowhere/],
      ['udp', /Accepted False Invalid: .*speaks udp: datagrams come by other proxies only: mutual TLS is always demanded there/],
    ] as const) {
      await set('wrong', 'Disabled', [{ kind: 'Service', name: 'names', sectionName }])
      assert.match((await said(mesh, kind, 'wrong')).join('\n'), says)
    }
    await set('wrong', 'Permissive', [{ kind: 'Mesh' }])
    assert.match((await said(mesh, kind, 'wrong')).join('\n'), /Accepted False Invalid: .*from the namespace weft-system only/)
    // Two Services in front of one port: the one that lets less in.
    await set('wrong', 'Disabled', toServer)
    await set('right', 'Strict', [{ kind: 'Service', name: 'names' }])
    await becomes({ mtls: true, mode: 'strict' })
    assert.match(await plainly(), /code=403 identity-required$/)
    await remove(mesh, kind, 'wrong')
    // Of two for the same target the older holds, and both are told.
    await new Promise(resolve => setTimeout(resolve, 1100)) // ages are in seconds
    await set('younger', 'Permissive', [{ kind: 'Service', name: 'names' }])
    assert.match((await said(mesh, kind, 'right')).join('\n'), /Conflicted True Overrules: .*default\/younger says it too/)
    assert.match((await said(mesh, kind, 'younger')).join('\n'), /Accepted False Conflicted: .*default\/right is older/)
    for (const name of ['right', 'younger']) await remove(mesh, kind, name)
  })

  test('probes, scrapes and published doors go on where only mutual TLS is taken', async () => {
    const door = await freePort()
    startServer(mesh, 'watched', {
      instance: 'watched',
      flags: ['--ready-http', '8080/', '--publish', `${door}:8080`],
    })
    await mesh.healthy('watched')
    await set('watched', 'Strict', [{ kind: 'Service', name: 'watched' }])
    const fetched = async (url: string): Promise<string> => {
      const answer = await fetch(url)
      return `${answer.status} ${await answer.text()}`
    }
    assert.match(await fetched(`http://127.0.0.1:${door}/`), /^200 /)
    const { admin } = (await mesh.client.proxies()).find(({ service }) => service === 'watched')!
    assert.match(await fetched(`${admin}/metrics`), /weft_inbound_connections_total/)
    assert.match(await web.says(`curl -s -m 5 -w ' code=%{http_code}' http://watched:8080/`), /code=200$/)
    assert.deepEqual(await mesh.healthOf('watched'), ['healthy'])
    // What comes by a door that was opened on purpose is nobody's bypass.
    assert.deepEqual((await report('--service', 'watched', '--within', '10s')).report.ports[0]!.callers, [])
    await remove(mesh, kind, 'watched')
  })

  test('the example of the guide is applied as it stands, and holds', async () => {
    const file = join(root, 'examples/mtls.yaml')
    assert.ok(readFileSync(join(root, 'docs/guide/mtls.md'), 'utf8').includes('examples/mtls.yaml'))
    const { code, stderr } = await mesh.weft('apply', '--wait', '-f', file)
    assert.equal(code, 0, stderr)
    assert.match(await plainly(), /code=200$/)
    const { ports } = await explained(mesh, 'payments', 'web')
    assert.deepEqual(
      ports.map(({ port, backends }) => [port, backends[0]!.taken.find(({ field }) => field === 'mtls')!.value]),
      [
        [8080, 'strict'],
        [9090, 'permissive'],
      ],
    )
    assert.equal((await mesh.weft('delete', '-f', file)).code, 0)
    assert.match(await plainly(), /code=403 identity-required$/)
  })
})
