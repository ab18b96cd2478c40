/** What leaves the mesh, as captured programs meet it: hosts of their own, rules by name, address, path and port, TLS that the proxy begins, and rules that change under what is open. */

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import process from 'node:process'
import { after, afterEach, before, describe, test } from 'node:test'
import { canCapture } from '../../src/io/namespace.ts'
import type { Resource } from '../../src/resources/kind.ts'
import { active } from '../harness/front.ts'
import { freePort, outsideAddress } from '../harness/machine.ts'
import { kinds, Mesh, path, root, type Shell } from '../harness/mesh.ts'
import { type Authority, Outside } from './egress/outside.ts'

const verdict = await canCapture()
const address = outsideAddress()
const absent = ['curl', 'openssl'].find(name => spawnSync(name, ['-h'], { env: { PATH: path } }).error !== undefined)
const skip =
  absent !== undefined
    ? `${absent} is not installed`
    : address === undefined
      ? 'this machine has no address beside loopback'
      : verdict.ok
        ? false
        : verdict.why

const kindOf = (plural: string) => ({ group: 'weft.dev', version: 'v1alpha1', plural, namespaced: true })
const paths: Readonly<Record<string, Parameters<Mesh['client']['list']>[0]>> = {
  EgressPolicy: kindOf('egresspolicies'),
  ExternalService: kindOf('externalservices'),
  BackendPolicy: kindOf('backendpolicies'),
  RoutePolicy: kindOf('routepolicies'),
  HTTPRoute: kinds.httpRoute,
  TLSRoute: { ...kinds.httpRoute, plural: 'tlsroutes' },
  TCPRoute: { ...kinds.httpRoute, plural: 'tcproutes' },
  ConfigMap: { group: '', version: 'v1', plural: 'configmaps', namespaced: true },
  Secret: { group: '', version: 'v1', plural: 'secrets', namespaced: true },
}
const versions: Readonly<Record<string, string>> = { ConfigMap: 'v1', Secret: 'v1' }
type Question = {
  readonly kind: 'tcp' | 'h2' | 'grpc' | 'udp'
  readonly host: string
  readonly port: number
  readonly [more: string]: unknown
}

describe('what leaves the mesh', { skip, timeout: 180_000 }, () => {
  let mesh: Mesh
  let outside: Outside
  let caller: Shell
  let other: Shell
  let admin: number
  let dnsAt: string
  let plain: number
  let web: number
  let h2: number
  let database: number
  let echo: number
  let secure: number
  let trusted: Authority
  const applied: (readonly [kind: string, name: string])[] = []

  before(async () => {
    mesh = new Mesh()
    outside = new Outside(mesh.folder)
    // Two hosts of one provider behind two addresses, on the same ports; one more that is nobody's friend.
    const zone = {
      'one.good.example': '127.0.0.11',
      'two.good.example': '127.0.0.12',
      'one.bad.example': address!,
      'inner.good.example': '127.0.0.13',
      'secure.good.example': '127.0.0.11',
      'real.example': address!,
    }
    const dns = await outside.dns(zone)
    plain = await outside.http('one', '127.0.0.11')
    await outside.http('two', '127.0.0.12', plain)
    await outside.http('bad', address!, plain)
    await outside.http('inner', '127.0.0.13', plain)
    web = await outside.http('real', address!)
    h2 = await outside.http2('one', '127.0.0.11')
    await outside.http2('bad', address!, h2)
    database = await outside.greeting('first', '127.0.0.11')
    await outside.greeting('second', '127.0.0.12', database)
    await outside.greeting('inner', '127.0.0.13', database)
    await outside.greeting('real', address!, database)
    echo = await outside.datagrams(address!)
    trusted = outside.authority('trusted')
    secure = await outside.tls('secure', '127.0.0.11', trusted.issue('secure.good.example', 'one.good.example'))
    await outside.tls('two', '127.0.0.12', trusted.issue('two.good.example'), secure)
    await outside.tls('bad', address!, trusted.issue('one.bad.example'), secure)
    dnsAt = dns.at
    await mesh.startControl()
    admin = await freePort()
    const flags = ['--dns-server', dns.at]
    caller = mesh.shell('caller', { flags: [...flags, '--admin-port', String(admin)] })
    other = mesh.shell('other', { flags })
    await Promise.all([caller.says('true'), other.says('true')])
  })
  after(async () => {
    await caller?.[Symbol.asyncDispose]()
    await other?.[Symbol.asyncDispose]()
    await mesh?.[Symbol.asyncDispose]()
    await outside?.[Symbol.asyncDispose]()
  })
  afterEach(async () => {
    const all = new Map(applied.splice(0).map(([kind, name]) => [`${kind} ${name}`, [kind, name] as const]))
    for (const [kind, name] of all.values()) await mesh.client.delete(paths[kind]!, name)
    const { resourceVersion } = await mesh.client.list(paths['EgressPolicy']!, {})
    await active(mesh, Number(resourceVersion))
  })

  async function apply(kind: string, name: string, spec: object, whole: object = { spec }): Promise<void> {
    applied.push([kind, name])
    const apiVersion = versions[kind] ?? (kind.endsWith('Route') ? 'gateway.networking.k8s.io/v1' : 'weft.dev/v1alpha1')
    const document = { apiVersion, kind, metadata: { name, namespace: 'default' }, ...whole } as Resource
    const { resource } = await mesh.client.apply(paths[kind]!, document, { force: true })
    await active(mesh, Number(resource.metadata.resourceVersion))
  }
  const policy = (spec: object, name = 'strict'): Promise<void> =>
    apply('EgressPolicy', name, { targetRefs: [{ kind: 'Namespace' }], ...spec })
  /** What was answered and its status; of the mesh's own answers the code. */
  const curl = async (url: string, more = '', shell = caller): Promise<string> => {
    const { code, output } = await shell.do(`curl -sS --max-time 20 -w '\\n%{http_code} %header{x-weft-error}' ${more} '${url}'`)
    if (code !== 0) return `curl ${code}`
    const lines = output.trim().split('\n')
    const last = lines.pop()!.trim()
    return last.includes(' ') ? last : `${lines.join('').trim()} ${last}`
  }
  const ask = async (questions: readonly Question[], shell = caller): Promise<readonly string[]> => {
    const line = questions.map(each => `'${JSON.stringify(each)}'`).join(' ')
    return JSON.parse(await shell.says(`${process.execPath} ${join(import.meta.dirname, 'egress/ask.mjs')} ${line}`)) as readonly string[]
  }
  const metrics = async (): Promise<string> => (await fetch(`http://127.0.0.1:${admin}/metrics`)).text()
  /** The names of this test lead to loopback, which a rule has to allow; programs in a namespace of their own cannot dial it. */
  const deny = (...rules: readonly object[]) => ({ default: 'Deny', rules: [...rules, { to: [{ ipBlocks: ['127.0.0.0/8'] }] }] })
  const conditions = async (kind: string, name: string): Promise<readonly string[]> => {
    const found = await mesh.client.get(paths[kind]!, name)
    const status = found.status as { conditions?: readonly Said[]; ancestors?: readonly { conditions: readonly Said[] }[] }
    return [...(status.conditions ?? []), ...(status.ancestors ?? []).flatMap(each => each.conditions)].map(
      ({ type, status: is, reason, message }) => `${type}=${is} ${reason}: ${message}`,
    )
  }

  test('without a policy everything outside may be called, by address and by name', async () => {
    assert.equal(await curl(`http://real.example:${web}/x`), `real GET /x real.example:${web} 200`)
    assert.equal(await curl(`http://${address}:${web}/x`), `real GET /x ${address}:${web} 200`)
    const [tcp, udp] = await ask([
      { kind: 'tcp', host: address!, port: database },
      { kind: 'udp', host: address!, port: echo },
    ])
    assert.deepEqual([tcp, udp], ['this is real', 'HELLO'])
  })

  test('by default denied: HTTP is told why, everything else is reset or refused, and all of it is counted', async () => {
    await policy(deny())
    assert.match(await curl(`http://real.example:${web}/x`), /^403 egress-denied$/)
    assert.match(
      (await caller.says(`curl -sS http://${address}:${web}/`)).trim(),
      /the default of EgressPolicy default\/strict, Deny, denies it/,
    )
    const [tcp, h2c, grpc, udp] = await ask([
      { kind: 'tcp', host: address!, port: database },
      { kind: 'h2', host: 'one.bad.example', port: h2 },
      { kind: 'grpc', host: 'one.bad.example', port: h2 },
      { kind: 'udp', host: address!, port: echo },
    ])
    assert.equal(tcp, 'ECONNRESET')
    assert.match(h2c!, /^403 /)
    assert.match(grpc!, /grpc 7$/)
    assert.equal(udp, 'ECONNREFUSED')
    assert.equal(await curl(`https://one.bad.example:${secure}/`, '-k'), 'curl 35')
    const counted = await metrics()
    assert.match(counted, /weft_egress_decisions_total\{policy="default\/strict",rule="",action="deny",destination="[^"]+"\} [1-9]/)
    assert.match(counted, /weft_tcp_connections_closed_total\{[^}]*destination_service="external"[^}]*reason="egress-denied"\} [1-9]/)
    assert.match(caller.running.stderr, /was denied: the default of EgressPolicy default\/strict/)
  })

  test('names are allowed by the host of HTTP and the server name of TLS, wildcards too, over HTTP/1, HTTP/2 and gRPC', async () => {
    await policy(deny({ to: [{ hosts: ['*.good.example'], ports: [plain, h2, secure, database] }] }))
    assert.equal(await curl(`http://one.good.example:${plain}/a`), `one GET /a one.good.example:${plain} 200`)
    assert.equal(await curl(`http://two.good.example:${plain}/a`), `two GET /a two.good.example:${plain} 200`)
    assert.match(await curl(`http://one.bad.example:${plain}/a`), /^403 egress-denied$/)
    assert.match(
      await curl(`https://secure.good.example:${secure}/`, `--cacert ${mesh.folder}/trusted.pem`),
      /^secure secure\.good\.example 200$/,
    )
    assert.equal(await curl(`https://one.bad.example:${secure}/`, '-k'), 'curl 35')
    assert.deepEqual(
      await ask([
        { kind: 'h2', host: 'one.good.example', port: h2, path: '/b' },
        { kind: 'grpc', host: 'one.good.example', port: h2, path: '/a.B/C' },
        { kind: 'grpc', host: 'one.bad.example', port: h2, path: '/a.B/C' },
        { kind: 'tcp', host: 'one.good.example', port: database },
        { kind: 'tcp', host: 'two.good.example', port: database },
        { kind: 'tcp', host: 'one.bad.example', port: database },
      ]),
      ['200 one GET /b one.good.example', '200 grpc 0', '200 grpc 7', 'this is first', 'this is second', 'ECONNRESET'],
    )
  })

  test('a forged host or server name leads to whose it is, not to the address that the caller chose', async () => {
    await policy(deny({ to: [{ hosts: ['one.good.example', 'secure.good.example'] }] }))
    // The caller dials an address of its own choice and claims an allowed name.
    assert.equal(await curl(`http://${address}:${plain}/a`, "-H 'Host: one.good.example'"), 'one GET /a one.good.example 200')
    assert.match(
      await curl(`https://secure.good.example:${secure}/`, `-k --connect-to ::${address}:${secure}`),
      /^secure secure\.good\.example 200$/,
    )
    // And in the other direction: an allowed address does not carry a name that is not allowed.
    assert.match(await curl(`http://one.good.example:${plain}/a`, "-H 'Host: one.bad.example'"), /^403 egress-denied$/)
    assert.equal(await curl(`https://one.bad.example:${secure}/`, `-k --connect-to ::secure.good.example:${secure}`), 'curl 35')
  })

  test('who speaks late, or a byte at first, is judged by the host that it names all the same; a server that speaks first is heard', async () => {
    const late = (host: string, name: string) =>
      caller.says(`${process.execPath} ${join(import.meta.dirname, 'egress/late.mjs')} ${host} ${secure} ${name} 250`)
    await policy(deny({ to: [{ hosts: ['*.good.example'] }] }))
    assert.match(await late('secure.good.example', 'secure.good.example'), /^HTTP\/1\.1 200/)
    assert.doesNotMatch(await late('secure.good.example', 'one.bad.example'), /HTTP/)
    assert.deepEqual(await ask([{ kind: 'tcp', host: 'one.good.example', port: database }]), ['this is first'])
    await policy({ default: 'Allow', rules: [{ action: 'Deny', to: [{ hosts: ['one.bad.example'] }] }] })
    assert.match(await late(address!, 'real.example'), /^HTTP\/1\.1 200/)
    assert.doesNotMatch(await late(address!, 'one.bad.example'), /HTTP/)
    assert.deepEqual(await ask([{ kind: 'tcp', host: address!, port: database }]), ['this is real'])
    const closed = await freePort()
    assert.match(String(await ask([{ kind: 'tcp', host: address!, port: closed }])), /ECONNRE/)
  })

  test('methods and paths count where the bytes are HTTP, in every spelling; what is not seen is not allowed by them', async () => {
    await policy(
      deny({ to: [{ hosts: ['*.good.example'], methods: ['GET'], paths: [{ value: '/open' }, { type: 'Exact', value: '/one' }] }] }),
    )
    const url = `http://one.good.example:${plain}`
    for (const allowed of ['/open', '/open/more', '/one', '/open/../one', '/%6fpen'])
      assert.match(await curl(`${url}${allowed}`, '--path-as-is'), / 200$/, allowed)
    for (const denied of ['/', '/opener', '/one/more', '/open/../secret', '/open%2f..%2fsecret', '/open;/../secret'])
      assert.match(await curl(`${url}${denied}`, '--path-as-is'), /^403 egress-denied$/, denied)
    assert.match(await curl(`${url}/open`, '-X POST'), /^403 egress-denied$/)
    assert.equal(await curl(`https://secure.good.example:${secure}/open`, '-k'), 'curl 35')
    assert.deepEqual(
      await ask(
        [
          { kind: 'h2', host: 'one.good.example', port: h2, path: '/open' },
          { kind: 'h2', host: 'one.good.example', port: h2, path: '/shut' },
        ].map(each => each as Question),
      ).then(all => all.map(each => each.slice(0, 3))),
      ['200', '403'],
    )
  })

  test('networks and ports are allowed by address; what a name resolves to is denied by address all the same', async () => {
    await policy({
      ...deny(
        { to: [{ ipBlocks: [`${address}/32`], ports: [web, echo] }] },
        { to: [{ hosts: ['*.good.example'] }] },
        { action: 'Deny', to: [{ ipBlocks: ['127.0.0.13'] }] },
      ),
    })
    assert.match(await curl(`http://${address}:${web}/x`), / 200$/)
    assert.deepEqual(
      await ask([
        { kind: 'tcp', host: address!, port: database },
        { kind: 'udp', host: address!, port: echo },
        { kind: 'tcp', host: 'one.good.example', port: database },
        // An allowed name that leads to a denied address.
        { kind: 'tcp', host: 'inner.good.example', port: database },
      ]),
      ['ECONNRESET', 'HELLO', 'this is first', 'ECONNRESET'],
    )
    assert.match(await curl(`http://inner.good.example:${plain}/`), /^403 egress-denied$/)
  })

  test('a rule for requests of a host denies a tunnel to it, in which nobody sees them', async () => {
    const connect = (host: string): Question => ({
      kind: 'tcp',
      host,
      port: web,
      say: `CONNECT ${host}:${web} HTTP/1.1\r\nHost: ${host}:${web}\r\n\r\n`,
    })
    const denied = { action: 'Deny', to: [{ hosts: ['real.example'], methods: ['DELETE'] }] }
    await policy({ rules: [denied] })
    assert.deepEqual(await ask([connect('real.example')]), ['HTTP/1.1 403 Forbidden\r'])
    assert.equal(await curl(`http://real.example:${web}/x`), `real GET /x real.example:${web} 200`)
    await policy(deny({ to: [{ hosts: ['real.example'], methods: ['GET'] }] }))
    assert.deepEqual(await ask([connect('real.example')]), ['HTTP/1.1 403 Forbidden\r'])
    assert.equal(await curl(`http://real.example:${web}/x`), `real GET /x real.example:${web} 200`)
  })

  test('requests under way, connections of TLS and flows of datagrams end when the rules become stricter', async () => {
    await policy(deny({ to: [{ hosts: ['*.good.example', 'real.example'] }] }))
    const slow = await outside.slow('127.0.0.11')
    const held = join(import.meta.dirname, 'egress/hold.mjs')
    const first = caller.says(
      `curl -sS -o /dev/null -w '%{http_code} %header{x-weft-error}\\n' http://one.good.example:${slow}/ & ${process.execPath} ${held} secure.good.example ${secure} tls & ${process.execPath} ${held} real.example ${echo} udp; wait`,
    )
    await mesh.until('all are under way', async () => {
      const counted = await metrics()
      return (
        new RegExp(`weft_egress_decisions_total\\{[^}]*action="allow",destination="one.good.example:${slow}"`).test(counted) &&
        new RegExp(`weft_connections_active\\{[^}]*destination_workload="secure.good.example:${secure}"[^}]*\\} 1`).test(counted) &&
        new RegExp(`weft_udp_datagrams_total\\{[^}]*real.example:${echo}",flow="received"\\} [1-9]`).test(counted)
      )
    })
    await policy(deny())
    assert.deepEqual((await first).trim().split('\n').sort(), ['403 egress-denied', 'real.example ended', 'secure.good.example ended'])
  })

  test('what is called outside is seen as external, in the topology too', async () => {
    assert.match(await curl(`http://real.example:${web}/x`), / 200$/)
    await mesh.until('an edge to external', async () => /caller\S*\s.*external/s.test((await mesh.weft('topology')).stdout))
  })

  test('weft explain request says whether a destination outside is allowed, and by whose word', async () => {
    await policy(
      deny(
        { to: [{ hosts: ['*.good.example'], ports: [plain], paths: [{ value: '/open' }] }] },
        { to: [{ hosts: ['secure.good.example'] }] },
      ),
    )
    const explain = async (to: string, ...more: readonly string[]) =>
      mesh.weft('explain', 'request', '--from', 'caller', '--to', to, ...more)
    const allowed = await explain(`http://one.good.example:${plain}/open`)
    assert.match(allowed.stdout, /egress +✓ rule 0 of EgressPolicy default\/strict allows it/, allowed.stdout + allowed.stderr)
    assert.equal(allowed.code, 0, allowed.stdout)
    const denied = await explain(`http://one.good.example:${plain}/shut`)
    assert.match(denied.stdout, /egress +✗ the default of EgressPolicy default\/strict, Deny, denies it[\s\S]*egress-denied/)
    assert.equal(denied.code, 1)
    const secret = await explain(`https://secure.good.example:${secure}/any`)
    assert.match(secret.stdout, /egress +✓ rule 1 of EgressPolicy default\/strict allows it/, secret.stdout)
    assert.match((await explain(`${address}:${database}`)).stdout, /✗ the default of EgressPolicy/)
  })

  test('what no proxy can see is said in the status of the policy', async () => {
    await policy(deny({ to: [{ hosts: ['one.good.example'], ports: [443], paths: [{ value: '/open' }] }] }))
    assert.match(
      (await conditions('EgressPolicy', 'strict')).join('; '),
      /Accepted=True.*PartiallyInvalid=True UnsupportedValue: spec\.rules\[0\]\.to\[0\]\.paths: port 443 is TLS that is not decrypted here.*it allows nothing there/,
    )
  })

  test('the documents of the example are taken, and the guide goes through them', async () => {
    const { code, stderr } = await mesh.weft('apply', '-f', join(root, 'examples/egress.yaml'))
    assert.equal(code, 0, stderr)
    assert.ok(readFileSync(join(root, 'docs/guide/egress.md'), 'utf8').includes('examples/egress.yaml'))
    const denied = await mesh.weft('explain', 'request', '--from', 'caller', '--to', 'https://somewhere.example/')
    assert.match(denied.stdout, /the default of EgressPolicy default\/strict, Deny, denies it/)
    const gone = await mesh.weft('delete', '-f', join(root, 'examples/egress.yaml'))
    assert.equal(gone.code, 0, gone.stderr)
  })

  test('an allowed name does not lead to what listens on the loopback of the machine', async () => {
    await policy({ default: 'Deny', rules: [{ to: [{ hosts: ['*.good.example'] }] }] })
    assert.match(await curl(`http://one.good.example:${plain}/`), /^403 egress-denied$/)
    assert.deepEqual(await ask([{ kind: 'tcp', host: 'one.good.example', port: database }]), ['ECONNRESET'])
  })

  test('rules may be meant for some workloads only, and a policy for the labels of some', async () => {
    await policy(deny({ from: [{ service: 'caller' }], to: [{ hosts: ['one.bad.example'] }] }))
    assert.match(await curl(`http://one.bad.example:${plain}/`), / 200$/)
    assert.match(await curl(`http://one.bad.example:${plain}/`, '', other), /^403 egress-denied$/)
    await policy({ targetRefs: [{ kind: 'Workload', labels: { app: 'other' } }], default: 'Allow', rules: [] }, 'open')
    assert.match(await curl(`http://one.bad.example:${plain}/`, '', other), / 200$/)
    assert.match(await curl(`http://real.example:${web}/`), /^403 egress-denied$/)
  })

  test('rules that become stricter end what is open, and leave the rest alone', async () => {
    await policy(deny({ to: [{ hosts: ['*.good.example'] }] }))
    const script = join(import.meta.dirname, 'egress/hold.mjs')
    const first = caller.says(
      `${process.execPath} ${script} one.good.example ${database} & ${process.execPath} ${script} two.good.example ${database}; wait`,
    )
    await mesh.until(
      'both are open',
      async () => (await metrics()).match(/weft_connections_active\{[^}]*destination_service="external"[^}]*\} 1/g)?.length === 2,
    )
    await policy(deny({ to: [{ hosts: ['one.good.example'] }] }))
    const said = (await first).trim().split('\n').sort()
    assert.deepEqual(said, ['one.good.example held', 'two.good.example ended'])
  })

  describe('by HTTP_PROXY, where nothing is captured', () => {
    let plainly: Shell
    before(async () => {
      plainly = mesh.shell('plainly', { flags: ['--capture', 'proxy', '--dns-server', dnsAt] })
      await plainly.says('true')
    })
    after(() => plainly[Symbol.asyncDispose]())
    const by = (url: string, more = '') => curl(url, `--noproxy '' -x "$HTTP_PROXY" ${more}`, plainly)

    test('the same rules hold for requests that name their host, and for tunnels', async () => {
      assert.equal(await by(`http://one.bad.example:${plain}/a`), `bad GET /a one.bad.example:${plain} 200`)
      await policy(deny({ to: [{ hosts: ['*.good.example'], paths: [{ value: '/open' }] }] }, { to: [{ hosts: ['secure.good.example'] }] }))
      assert.equal(await by(`http://one.good.example:${plain}/open`), `one GET /open one.good.example:${plain} 200`)
      assert.match(await by(`http://one.good.example:${plain}/shut`), /^403 egress-denied$/)
      assert.match(await by(`http://one.bad.example:${plain}/open`), /^403 egress-denied$/)
      assert.equal(await by(`https://secure.good.example:${secure}/`, '-k'), 'secure secure.good.example 200')
      assert.equal(await by(`https://one.bad.example:${secure}/`, '-k'), 'curl 35')
      // What a tunnel was asked for does not count where the bytes name another host.
      assert.equal(await by(`https://one.bad.example:${secure}/`, `-k --connect-to ::secure.good.example:${secure}`), 'curl 35')
    })

    test('an ExternalService is called by its name', async () => {
      await policy(deny())
      await apply('ExternalService', 'first', { hosts: ['one.good.example'], ports: [{ port: plain, protocol: 'HTTP' }] })
      assert.equal(await by(`http://one.good.example:${plain}/a`), `one GET /a one.good.example:${plain} 200`)
      assert.match(await by(`http://two.good.example:${plain}/a`), /^403 egress-denied$/)
    })
  })

  describe('hosts that are known', () => {
    test('two databases on one port are two addresses, and each call comes to the right one', async () => {
      const ports = [{ port: database, protocol: 'TCP' }]
      await apply('ExternalService', 'first', { hosts: ['one.good.example'], ports })
      await apply('ExternalService', 'second', { hosts: ['two.good.example'], ports })
      const asked = Array.from(
        { length: 8 },
        (_, at) => ({ kind: 'tcp', host: `${at % 2 === 0 ? 'one' : 'two'}.good.example`, port: database }) as const,
      )
      assert.deepEqual(
        await ask(asked),
        asked.map((_, at) => `this is ${at % 2 === 0 ? 'first' : 'second'}`),
      )
      const found = await caller.says('getent ahostsv4 one.good.example; getent ahostsv4 two.good.example')
      const addresses = new Set(found.match(/^240\.79\.\d+\.\d+/gm))
      assert.equal(addresses.size, 2, found)
      const { status } = await mesh.client.get(paths['ExternalService']!, 'first')
      assert.ok(addresses.has((status as { addresses: readonly { value: string }[] }).addresses[0]!.value))
      assert.match(
        await metrics(),
        /weft_tcp_connections_opened_total\{[^}]*destination_workload="one\.good\.example",destination_service="first"[^}]*\} 4/,
      )
    })

    test('several hosts of one ExternalService each lead to their own place', async () => {
      await apply('ExternalService', 'both', {
        hosts: ['one.good.example', 'two.good.example'],
        ports: [{ port: plain, protocol: 'HTTP' }],
      })
      for (const host of ['one', 'two'])
        assert.equal(await curl(`http://${host}.good.example:${plain}/a`), `${host} GET /a ${host}.good.example:${plain} 200`)
    })

    test('they are allowed by default denied, but for what is denied by name, method or path', async () => {
      await policy(deny())
      await apply('ExternalService', 'first', {
        hosts: ['one.good.example'],
        ports: [
          { name: 'web', port: plain, protocol: 'HTTP' },
          { name: 'db', port: database, protocol: 'TCP' },
        ],
      })
      const both = async () => [
        await curl(`http://one.good.example:${plain}/a`),
        ...(await ask([{ kind: 'tcp', host: 'one.good.example', port: database }])),
      ]
      assert.deepEqual(await both(), [`one GET /a one.good.example:${plain} 200`, 'this is first'])
      await policy(deny({ action: 'Deny', to: [{ hosts: ['one.good.example'], ports: [plain], paths: [{ value: '/secret' }] }] }))
      assert.deepEqual(await both(), [`one GET /a one.good.example:${plain} 200`, 'this is first'])
      assert.match(await curl(`http://one.good.example:${plain}/secret/x`), /^403 egress-denied$/)
      await policy(deny({ action: 'Deny', to: [{ hosts: ['*.good.example'] }] }))
      assert.deepEqual(await both(), ['403 egress-denied', 'ECONNRESET'])
    })

    test('a request to one of them that names a denied host is denied: who serves both would answer for it', async () => {
      await apply('ExternalService', 'first', { hosts: ['one.good.example'], ports: [{ port: plain, protocol: 'HTTP' }] })
      await policy({ rules: [{ action: 'Deny', to: [{ hosts: ['*.bad.example'] }] }] })
      assert.match(await curl(`http://one.good.example:${plain}/a`), / 200$/)
      assert.match(await curl(`http://one.good.example:${plain}/a`, "-H 'Host: two.bad.example'"), /^403 egress-denied$/)
      assert.match(await curl(`http://one.good.example:${plain}/a`, "-H 'Host: TWO.bad.example:80'"), /^403 egress-denied$/)
    })

    test('TLS is begun by the proxy, which proves the server by the given roots and names or does not call it', async () => {
      await apply('ConfigMap', 'roots', {}, { data: { 'ca.crt': trusted.pem } })
      const originated = (tls: object) =>
        apply('ExternalService', 'secure', {
          hosts: ['secure.good.example'],
          ports: [{ port: 80, targetPort: secure, protocol: 'HTTP', tls }],
        })
      const url = 'http://secure.good.example/'
      await originated({ caCertificateRef: { name: 'roots' } })
      assert.equal(await curl(url), 'secure secure.good.example 200')
      await originated({ caCertificateRef: { name: 'roots' }, subjectAltNames: ['one.good.example'] })
      assert.equal(await curl(url), 'secure secure.good.example 200')
      await originated({ caCertificateRef: { name: 'roots' }, serverName: 'two.good.example' })
      assert.equal(await curl(url), '503 tls-failed')
      await originated({ caCertificateRef: { name: 'roots' }, subjectAltNames: ['another.example'] })
      assert.equal(await curl(url), '503 tls-failed')
      // The roots of the machine know nothing of it.
      await originated({ mode: 'Originate' })
      assert.equal(await curl(url), '503 tls-failed')
      await apply('ConfigMap', 'roots', {}, { data: { 'ca.crt': outside.authority('stranger').pem } })
      await originated({ caCertificateRef: { name: 'roots' } })
      assert.equal(await curl(url), '503 tls-failed')
      // Roots that are not there: nothing is called, and it is said.
      await originated({ caCertificateRef: { name: 'nowhere' } })
      // A proxy that had a way keeps it, as it was: never another one.
      assert.match(await curl(url), /^(500 backend-invalid|503 tls-failed)$/)
      assert.match(
        (await conditions('ExternalService', 'secure')).join(),
        /Accepted=False RefNotResolved: spec\.ports\[0\]\.tls\.caCertificateRef: ConfigMap default\/nowhere does not exist/,
      )
    })

    test('a client certificate is shown where one is configured', async () => {
      const pair = trusted.issue('caller.example')
      const port = await outside.tls('guarded', '127.0.0.11', trusted.issue('guarded.good.example'), 0, trusted.pem)
      await apply('ConfigMap', 'roots', {}, { data: { 'ca.crt': trusted.pem } })
      const text = (value: string) => Buffer.from(value).toString('base64')
      await apply('Secret', 'client', {}, { type: 'kubernetes.io/tls', data: { 'tls.crt': text(pair.cert), 'tls.key': text(pair.key) } })
      const originated = (tls: object) =>
        apply('ExternalService', 'guarded', {
          hosts: ['guarded.good.example'],
          ports: [{ port: 80, targetPort: port, protocol: 'HTTP', tls: { caCertificateRef: { name: 'roots' }, ...tls } }],
          endpoints: [{ address: '127.0.0.11' }],
          resolution: 'Static',
        })
      await originated({ clientCertificateRef: { name: 'client' } })
      assert.equal(await curl('http://guarded.good.example/'), 'guarded guarded.good.example caller.example 200')
      const shown = await (await fetch(`http://127.0.0.1:${admin}/config`)).text()
      assert.ok(!shown.includes(pair.key.trim().split('\n')[1]!), 'the key is shown')
      await originated({})
      assert.match(await curl('http://guarded.good.example/'), /^50[23] /)
    })

    test('wildcard hosts are told apart by server name and host, and TLS is begun for each by its name', async () => {
      await policy(deny())
      await apply('ConfigMap', 'roots', {}, { data: { 'ca.crt': trusted.pem } })
      await apply('ExternalService', 'wide', {
        hosts: ['*.good.example'],
        ports: [
          { name: 'tls', port: secure, protocol: 'TLS' },
          { name: 'http', port: plain, protocol: 'HTTP' },
          { name: 'upgraded', port: 8080, targetPort: secure, protocol: 'HTTP', tls: { caCertificateRef: { name: 'roots' } } },
        ],
      })
      const ca = `--cacert ${mesh.folder}/trusted.pem`
      assert.equal(await curl(`https://secure.good.example:${secure}/`, ca), 'secure secure.good.example 200')
      assert.equal(await curl(`https://two.good.example:${secure}/`, ca), 'two two.good.example 200')
      assert.equal(await curl(`http://two.good.example:${plain}/a`), `two GET /a two.good.example:${plain} 200`)
      assert.equal(await curl('http://secure.good.example:8080/'), 'secure secure.good.example 200')
      assert.equal(await curl('http://two.good.example:8080/'), 'two two.good.example 200')
      assert.match(await curl(`http://one.bad.example:${plain}/`), /^403 egress-denied$/)
      assert.equal(await curl(`https://one.bad.example:${secure}/`, '-k'), 'curl 35')
    })

    test('datagrams go to hosts by their name, and no more when they are denied', async () => {
      await policy(deny())
      await apply('ExternalService', 'clock', { hosts: ['real.example'], ports: [{ port: echo, protocol: 'UDP' }] })
      const say = { kind: 'udp', host: 'real.example', port: echo } as const
      assert.deepEqual(await ask([say]), ['HELLO'])
      await policy(deny({ action: 'Deny', to: [{ hosts: ['real.example'] }] }))
      assert.deepEqual(await ask([say]), ['ECONNREFUSED'])
    })

    test('policies of backends and of routes hold for them: limits, ejection, timeouts', async () => {
      const slow = await outside.slow('127.0.0.11')
      await apply('ExternalService', 'slow', { hosts: ['one.good.example'], ports: [{ port: slow, protocol: 'HTTP' }] })
      const target = { targetRefs: [{ kind: 'ExternalService', name: 'slow' }] }
      await apply('RoutePolicy', 'slow', { ...target, timeouts: { request: '300ms' } })
      assert.match(await curl(`http://one.good.example:${slow}/`), /^504 upstream-timeout$/)
      await apply('BackendPolicy', 'slow', { ...target, limits: { requests: 1 } })
      const line = `for i in 1 2 3 4; do curl -sS -o /dev/null -w '%{http_code}\\n' http://one.good.example:${slow}/ & done; wait`
      assert.deepEqual((await caller.says(line)).trim().split('\n').sort(), ['503', '503', '503', '504'])
      assert.match((await conditions('BackendPolicy', 'slow')).join(), /Accepted=True/)
    })

    test('routes attach to them, and lead to them beside a Service', async () => {
      await apply('ExternalService', 'first', { hosts: ['one.good.example'], ports: [{ port: plain, protocol: 'HTTP' }] })
      await apply('ExternalService', 'second', { hosts: ['two.good.example'], ports: [{ port: plain, protocol: 'HTTP' }] })
      const to = (name: string, weight: number) => ({ group: 'weft.dev', kind: 'ExternalService', name, port: plain, weight })
      await apply('HTTPRoute', 'split', {
        parentRefs: [{ group: 'weft.dev', kind: 'ExternalService', name: 'first' }],
        rules: [
          {
            matches: [{ path: { value: '/never' } }],
            filters: [
              {
                type: 'RequestRedirect',
                requestRedirect: { statusCode: 302, path: { type: 'ReplaceFullPath', replaceFullPath: '/ever' } },
              },
            ],
          },
          { backendRefs: [to('first', 3), to('second', 1)] },
        ],
      })
      assert.match(await curl(`http://one.good.example:${plain}/never`), /302$/)
      const line = `for i in $(seq 200); do echo http://one.good.example:${plain}/; done | xargs curl -sS`
      const said = (await caller.says(line))
        .trim()
        .split('\n')
        .map(each => each.split(' ')[0])
      const second = said.filter(each => each === 'two').length
      assert.equal(said.length, 200)
      // Binomial, a quarter of 200: 50, give or take six deviations of 6.1.
      assert.ok(second > 13 && second < 87, `${second} of 200`)
      assert.match(
        (await mesh.client.get(paths['HTTPRoute']!, 'split')).status === undefined
          ? ''
          : JSON.stringify((await mesh.client.get(paths['HTTPRoute']!, 'split')).status),
        /"type":"ResolvedRefs","status":"True"/,
      )
    })
  })
})

type Said = { readonly type: string; readonly status: string; readonly reason: string; readonly message: string }
