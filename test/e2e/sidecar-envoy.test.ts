/** Envoy as the sidecar of a workload, connected to our control plane, does what our own proxies do: the same cases over both, on the side of the caller and of the called. */

import assert from 'node:assert/strict'
import { execFile, spawnSync } from 'node:child_process'
import { Resolver } from 'node:dns/promises'
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import process from 'node:process'
import { after, before, describe, test } from 'node:test'
import { presentEnvoy } from '../../bench/peers/envoy-binary.ts'
import { addressBeside, envoyBeside, lacksEnvoy } from '../harness/envoy-sidecar.ts'
import { freePort } from '../harness/machine.ts'
import { kinds, Mesh, root, type Running, type Shell } from '../harness/mesh.ts'
import { type Answer, type Call, callerCases, calledCases, type Version } from './sidecar/cases.ts'

const versions: readonly Version[] = ['http1', 'http2', 'grpc']
const planes = ['weft', 'envoy'] as const
type Plane = (typeof planes)[number]
const file = (name: string): string => join(import.meta.dirname, 'sidecar', name)

describe('one table of cases, two data planes', { skip: lacksEnvoy, timeout: 300_000 }, () => {
  let mesh: Mesh
  let shell: Shell
  let agent: Running
  const addresses = new Map<string, string>()

  before(async () => {
    mesh = await Mesh.start()
    for (const [name, version] of [
      ['one', 'v1'],
      ['two', 'v2'],
    ] as const)
      mesh.run(`api-${name}`, [process.execPath, file('server.mjs')], {
        flags: [
          '--service',
          'api',
          '--app-version',
          version,
          '--port',
          '8080/http',
          '--port',
          '8081/http2',
          '--port',
          '8082/tcp',
          '--port',
          '8083/udp',
        ],
        env: { NAME: name, HTTP1: '8080', HTTP2: '8081', TCP: '8082', UDP: '8083' },
      })
    mesh.run('called-weft', [process.execPath, file('server.mjs')], {
      flags: ['--port', 'http:8080/http', '--port', 'http2:8081/http2', '--port', 'tcp:8082/tcp', '--port', 'udp:8083/udp'],
      env: { NAME: 'called', HTTP1: '8080', HTTP2: '8081', TCP: '8082', UDP: '8083' },
    })
    const [http1, http2, tcp, udp] = [await freePort(), await freePort(), await freePort(), await freePort()]
    const env = { NAME: 'called', HTTP1: String(http1), HTTP2: String(http2), TCP: String(tcp), UDP: String(udp) }
    mesh.spawn([process.execPath, file('server.mjs')], { env })
    await apply(readFileSync(file('documents.yaml'), 'utf8'))
    envoyBeside(
      mesh,
      'called-envoy',
      '--port',
      `http:${http1}/http`,
      '--port',
      `http2:${http2}/http2`,
      '--port',
      `tcp:${tcp}/tcp`,
      '--port',
      `udp:${udp}/udp`,
    )
    agent = envoyBeside(mesh, 'web-envoy')
    shell = mesh.shell('web-weft')
    await mesh.healthy('api', 2)
    await mesh.healthy('called-weft')
    await mesh.healthy('called-envoy')
    await apply(readFileSync(file('tcp.yaml'), 'utf8'))
    for (const [name, port] of [
      ['http1', 8080],
      ['http2', 8081],
    ] as const) {
      await apply(filled('route.yaml', { NAME: name, PORT: String(port) }))
      for (const plane of planes)
        await apply(
          filled('called.yaml', {
            NAME: `called-${plane}-${name}`,
            SERVICE: `called-${plane}`,
            TCPPORT: String(plane === 'envoy' ? tcp : 8082),
            UDPPORT: String(plane === 'envoy' ? udp : 8083),
            PORT: String(port),
          }),
        )
    }
    const { items } = await mesh.client.list(kinds.service, {})
    for (const { metadata, spec } of items) addresses.set(metadata.name, String((spec as { clusterIP?: string }).clusterIP))
    await shell.says('true')
    await mesh.until('all proxies are in sync', async () => (await mesh.client.proxies()).every(({ state }) => state === 'synced'))
  })
  after(async () => {
    await shell?.[Symbol.asyncDispose]()
    await mesh?.[Symbol.asyncDispose]()
  })

  const filled = (name: string, words: Readonly<Record<string, string>>): string =>
    Object.entries(words).reduce((text, [word, value]) => text.replaceAll(word, value), readFileSync(file(name), 'utf8'))

  async function apply(documents: string): Promise<void> {
    const path = join(mesh.folder, 'documents.yaml')
    writeFileSync(path, documents)
    const { code, stderr, stdout } = await mesh.weft('apply', '--wait', '-f', path)
    const complaints = stdout.split('\n').filter(line => line.includes(' is False ') && !line.includes('default/missing does not exist'))
    assert.deepEqual(
      [complaints, code === 0 || documents.includes('missing') || /accesspolicy.*UnsupportedValue|TargetNotFound/.test(stderr)],
      [[], true],
      `${stdout}${stderr}`,
    )
  }

  type Asked = { readonly service: string; readonly version: Version; readonly calls: readonly Call[]; readonly atOnce: number }

  /** The same program calls: in a namespace whose connections are brought to our proxy, or by the addresses to which Envoy is bound. */
  const runners: Readonly<Record<Plane, (asked: object, service: string) => Promise<string>>> = {
    weft: (asked, host) => shell.says(`${process.execPath} ${file('caller.mjs')} '${JSON.stringify({ ...asked, host })}'`),
    envoy: async (asked, service) => {
      const host = await addressBeside(mesh, agent, addresses.get(service)!)
      return new Promise((resolve, reject) =>
        execFile(process.execPath, [file('caller.mjs'), JSON.stringify({ ...asked, host })], (error, stdout, stderr) =>
          error ? reject(new Error(`${stderr}\n${agent.stderr.slice(-2000)}`)) : resolve(stdout),
        ),
      )
    },
  }
  const ask = async (plane: Plane, { service, version, ...rest }: Asked): Promise<readonly Answer[]> => {
    const port = { http1: 8080, http2: 8081, grpc: 8081, tcp: 8082, udp: 8083 }[version]
    return JSON.parse(await runners[plane]({ ...rest, version, port }, service)) as readonly Answer[]
  }

  for (const { says, service, only = versions, atOnce = 1, calls, judge } of callerCases)
    for (const plane of planes)
      test(`${plane} in front of a caller ${says}`, async () => {
        for (const version of only) {
          const answers = await ask(plane, { service, version, calls: calls(`${plane}-${version}`), atOnce })
          judged(version, answers, judge)
        }
      })

  for (const { says, service, only = versions, calls, judge } of calledCases)
    for (const plane of planes)
      test(`${plane} in front of the called ${says}`, async () => {
        for (const version of only) {
          const answers = await ask('weft', { service: `${service}-${plane}`, version, calls: calls(`${plane}-${version}`), atOnce: 1 })
          judged(version, answers, judge)
        }
      })

  test('from Envoy to Envoy, by mutual TLS', async () => {
    for (const version of versions) {
      const answers = await ask('envoy', { service: 'called-envoy', version, calls: [{ path: '/open' }, { path: '/secret' }], atOnce: 1 })
      judged(version, answers, ([open, secret]) => {
        assert.equal(open!.by, 'called')
        assert.match(open!.asked!['x-forwarded-client-cert']!, /URI=spiffe:\/\/weft\.local\/ns\/default\/sa\/web-envoy/)
        assert.equal(secret!.grpc ?? secret!.status, version === 'grpc' ? 7 : 403)
      })
    }
  })

  test('Envoy answers the names of services with the addresses to which it is bound', async () => {
    const address = await addressBeside(mesh, agent, addresses.get('api')!)
    const resolver = new Resolver()
    resolver.setServers([`127.${address.split('.')[1]}.0.1:15053`])
    for (const name of ['api', 'api.default']) assert.deepEqual(await resolver.resolve4(name), [address], name)
  })

  test('what Envoy cannot carry out is closed there, and Weft in the same mesh carries it out', async () => {
    const limit = (spec: string) =>
      `apiVersion: weft.dev/v1alpha1\nkind: RateLimitPolicy\nmetadata: { name: each, namespace: default }\nspec: { targetRefs: [{ name: called-envoy }, { name: called-weft }], ${spec} }\n`
    const path = join(mesh.folder, 'closed.yaml')
    const statusOf = async (plane: Plane): Promise<number> =>
      (await ask('weft', { service: `called-${plane}`, version: 'http1', calls: [{ path: '/open' }], atOnce: 1 }))[0]!.status
    const state = async () => (await mesh.client.proxies()).find(({ service }) => service === 'called-envoy')!
    // A bucket for each caller is more than Envoy has.
    writeFileSync(path, limit('local: { requests: 1000 }, by: [{ type: Identity }]'))
    const { code, stderr } = await mesh.weft('apply', '-f', path)
    assert.equal(code, 0, stderr)
    await mesh.until('it is told', async () => (await state()).lacking !== undefined && (await state()).state === 'synced')
    const { rejected, lacking = [] } = await state()
    assert.deepEqual(rejected, [])
    assert.deepEqual(
      [...new Set(lacking.map(({ kind, name, fate }) => `${kind} ${name} ${fate}`))],
      ['RateLimitPolicy default/each closed'],
    )
    assert.deepEqual([await statusOf('envoy'), await statusOf('weft')], [503, 200])
    await mesh.weft('delete', '-f', path)
    await mesh.until('all is well again', async () => (await statusOf('envoy')) === 200)
  })

  test('the control plane knows an Envoy as any proxy: what it has, its version, and that it is gone when it took its leave', async () => {
    const known = (await mesh.client.proxies()).find(({ service }) => service === 'web-envoy')!
    assert.match(known.version, /^envoy \d+\.\d+\.\d+$/)
    assert.deepEqual([known.state, known.rejected], ['synced', []])
    const { code } = await agent.stop()
    assert.equal(code, 0)
    await mesh.until('it is gone', async () => (await mesh.client.proxies()).every(({ service }) => service !== 'web-envoy'), 5000)
  })

  function judged(version: Version, answers: readonly Answer[], judge: (answers: readonly Answer[]) => void): void {
    try {
      judge(answers)
    } catch (thrown) {
      const tally = answers.slice(0, 12).map(({ status, grpc, by, ms }) => `${grpc ?? status} ${by ?? '-'} ${ms.toFixed(0)}ms`)
      throw new Error(`${version}: ${(thrown as Error).message}; ${tally.join(', ')}`, { cause: thrown })
    }
  }
})

describe('the agent beside an Envoy', { skip: lacksEnvoy, timeout: 120_000 }, () => {
  test('gives it a new certificate before the old one ends, and requests go on', async () => {
    await using mesh = await Mesh.start({ control: ['--leaf-life', '8s'] })
    mesh.run('api', [process.execPath, file('server.mjs')], {
      flags: ['--port', '8080/http'],
      env: { NAME: 'api', HTTP1: '8080', HTTP2: '8081', TCP: '8082', UDP: '8083' },
    })
    const admin = await freePort()
    const agent = envoyBeside(mesh, 'web', '--admin-port', String(admin))
    await mesh.healthy('api')
    const { items } = await mesh.client.list(kinds.service, {})
    const { clusterIP = '' } = items.find(({ metadata }) => metadata.name === 'api')!.spec as { clusterIP?: string }
    const host = await addressBeside(mesh, agent, clusterIP)
    const call = () =>
      fetch(`http://${host}:8080/`, { headers: { connection: 'close' } }).then(
        ({ status }) => status,
        () => 0,
      )
    const serial = async (): Promise<string | undefined> => {
      const { certificates } = (await (await fetch(`http://127.0.0.1:${admin}/certs`)).json()) as {
        certificates: readonly { readonly cert_chain: readonly { readonly serial_number: string }[] }[]
      }
      return certificates.find(({ cert_chain }) => cert_chain.length > 0)?.cert_chain[0]!.serial_number
    }
    await mesh.until('it serves', async () => (await call()) === 200)
    const first = await serial()
    assert.ok(first !== undefined)
    await mesh.until('Envoy has another certificate', async () => (await serial()) !== first, 20_000)
    // Longer than the first was good for.
    const end = Date.now() + 9000
    for (let calls = 0; Date.now() < end; calls++) {
      assert.equal(await call(), 200, `call ${calls}`)
      await new Promise(resolve => setTimeout(resolve, 100))
    }
    assert.equal((await mesh.client.proxies()).find(({ service }) => service === 'web')!.state, 'synced')
  })

  test('prints the bootstrap for an Envoy that others start, which takes it', async () => {
    await using mesh = await Mesh.start()
    const agent = mesh.spawn([
      process.execPath,
      join(root, 'src/bin/weft.ts'),
      'envoy',
      '--control',
      mesh.url,
      '--name',
      'web',
      '--port',
      '9/tcp',
      '--agent-only',
    ])
    await mesh.until('it prints a path', () => agent.stdout.includes('\n'))
    const path = agent.stdout.trim()
    assert.equal(statSync(path).mode & 0o777, 0o600)
    assert.doesNotMatch(readFileSync(path, 'utf8'), /PRIVATE KEY/)
    const { status, stderr } = spawnSync(presentEnvoy()!, ['--mode', 'validate', '-l', 'error', '-c', path], {
      encoding: 'utf8',
      timeout: 50_000,
    })
    assert.equal(status, 0, stderr)
    const { code } = await agent.stop()
    assert.equal(code, 0)
    assert.ok(!existsSync(path), 'it is gone with the agent')
  })
})
