/** Two shapes of the same proxy: one for each workload (`weft run`) and one for all of a machine (`weft node`). What is promised of one holds for the other. */

import assert from 'node:assert/strict'
import { chmodSync, existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import process from 'node:process'
import { after, before, describe, test } from 'node:test'
import { canCapture } from '../../src/io/namespace.ts'
import { asUser, type Done, Mesh, root, type Running } from '../harness/mesh.ts'

const verdict = await canCapture()
const skip = verdict.ok ? false : `${verdict.why}: ${verdict.remedy}`

const weft = [process.execPath, '--disable-warning=ExperimentalWarning', process.env['WEFT_TEST_PROGRAM'] ?? join(root, 'src/bin/weft.ts')]
const serve = `
const [http, fs] = [require('node:http'), require('node:fs')]
http.createServer((request, reply) => {
  if (request.url === '/slow') {
    fs.writeFileSync(process.env.SEEN, '')
    return setTimeout(() => reply.end(process.env.NAME + ' slowly'), 1500)
  }
  reply.end(process.env.NAME)
}).listen(8080)`
const server = [process.execPath, '-e', serve]

type Asked = {
  readonly name: string
  readonly ports?: readonly string[]
  readonly env?: Record<string, string>
  readonly command: readonly string[]
}

/** Starts workloads: as many processes of ours as the shape has. */
type Shape = (mesh: Mesh, workloads: readonly Asked[]) => readonly Running[]

const eachItsOwn: Shape = (mesh, workloads) =>
  workloads.map(({ name, ports = [], env = {}, command }) =>
    mesh.run(name, command, { flags: ports.flatMap(port => ['--port', port]), env }),
  )

const oneForAll =
  (uid?: number): Shape =>
  (mesh, workloads) => {
    const file = join(mesh.folder, `workloads-${uid ?? 0}-${workloads[0]!.name}.json`)
    writeFileSync(file, JSON.stringify({ workloads }))
    chmodSync(file, 0o644)
    const line = [...asUser(uid), ...weft, 'node', '-f', file, '--control', mesh.url]
    return [mesh.spawn(line, { env: { XDG_STATE_HOME: mesh.stateOf(uid) } })]
  }

const nobody = 65_534
const shapes: readonly (readonly [name: string, start: Shape, isShared: boolean, uid?: number])[] = [
  ['one proxy for each workload', eachItsOwn, false],
  ['one proxy for all workloads', oneForAll(), true],
  ['one proxy for all workloads, of an ordinary user', oneForAll(nobody), true, nobody],
]

for (const [name, start, isShared, uid] of shapes)
  describe(name, {
    skip: skip || (process.getuid?.() !== 0 && uid !== undefined ? 'needs root to become somebody else' : false),
  }, () => {
    let mesh: Mesh
    let servers: readonly Running[]
    let callers = 0
    /** A file that is there when the slow request has arrived. */
    let seen = ''

    before(async () => {
      mesh = await Mesh.start()
      seen = join(mesh.stateOf(uid), 'seen')
      const names = ['one', 'two']
      servers = start(
        mesh,
        names.map(each => ({ name: each, ports: ['8080/http'], env: { NAME: each, SEEN: seen }, command: server })),
      )
      await Promise.all(names.map(each => mesh.healthy(each)))
    })
    after(() => mesh[Symbol.asyncDispose]())

    const job = async (script: string): Promise<Done> => {
      const [running] = start(mesh, [{ name: `job-${(callers += 1)}`, command: ['/bin/sh', '-c', script] }])
      return running!.exited
    }
    const metricsOf = async (service: string): Promise<string> => {
      const proxy = (await mesh.client.proxies()).find(each => each.service === service)!
      return (await fetch(`${proxy.admin}/metrics`)).text()
    }

    test('workloads that listen on the same port are reached by their names', async () => {
      const { code, stdout } = await job('curl -sS http://one:8080/ && curl -sS http://two:8080/')
      assert.deepEqual([code, stdout], [0, 'onetwo'])
    })

    test('each has an identity of its own, which the other end proves and counts', async () => {
      await job('curl -sS http://one:8080/')
      const text = await metricsOf('one')
      assert.match(text, new RegExp(`source_identity="spiffe://weft.local/ns/default/sa/job-${callers}"`))
      assert.match(text, /destination_identity="spiffe:\/\/weft.local\/ns\/default\/sa\/one"/)
      assert.doesNotMatch(text, /mtls="false"/)
      const identities = new Set(
        await Promise.all(
          (await mesh.client.proxies())
            .filter(({ service }) => service === 'one' || service === 'two')
            .map(
              async ({ admin }) =>
                ((await (await fetch(`${admin}/status`)).json()) as { certificate: { identity: string } }).certificate.identity,
            ),
        ),
      )
      assert.deepEqual(
        [...identities].toSorted(),
        ['one', 'two'].map(each => `spiffe://weft.local/ns/default/sa/${each}`),
      )
    })

    test('a workload cannot take the name of a neighbour: what it is told is its own', async () => {
      const [own] = (await mesh.client.proxies()).filter(({ service }) => service === 'two')
      const view = (await (await fetch(`${own!.admin}/config`)).json()) as {
        listeners: Record<string, { direction: string; service: string }>
      }
      const inbound = Object.values(view.listeners).filter(({ direction }) => direction === 'inbound')
      assert.deepEqual(
        inbound.map(({ service }) => service),
        ['two.default'],
      )
    })

    test('the exit code of a job is passed on', async () => {
      assert.equal((await job('exit 7')).code, 7)
    })

    test('TERM lets a request under way end, and takes all workloads out of the mesh', async () => {
      const slow = job('curl -sS http://one:8080/slow')
      await mesh.until('the request is under way', () => existsSync(seen))
      const begun = performance.now()
      for (const running of servers) running.child.kill('SIGTERM')
      const [done, ...ended] = await Promise.all([slow, ...servers.map(running => running.exited)])
      assert.deepEqual([done.code, done.stdout], [0, 'one slowly'])
      for (const { code } of ended) assert.equal(code, isShared ? 0 : 143)
      assert.ok(performance.now() - begun < 10_000)
      await mesh.until('nobody is left', async () => (await mesh.healthOf('one')).length + (await mesh.healthOf('two')).length === 0)
    })
  })
