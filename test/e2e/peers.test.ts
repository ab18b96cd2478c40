/** Programs that nobody here wrote, meshed unchanged: nginx, Redis, PostgreSQL and Python behind `weft run`, called by name; a tap shows what the wire shows. */

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { accessSync, chmodSync, constants, mkdirSync, writeFileSync } from 'node:fs'
import net from 'node:net'
import { delimiter, join } from 'node:path'
import process from 'node:process'
import { after, before, describe, test } from 'node:test'
import type { WorkloadResource } from '../../src/resources/weft.ts'
import { canCapture } from '../../src/io/namespace.ts'
import { asUser, kinds, Mesh, path, root, type Running, type Shell } from '../harness/mesh.ts'
import { Tap } from '../harness/tap.ts'
import { copyCluster, makeCluster, nobody, type Server, servers } from './peers/servers.ts'

type User = {
  readonly name: string
  readonly namespace: string
  readonly uid: number | undefined
  readonly isRoot: boolean
  readonly skip: string | false
}

const isRoot = process.getuid?.() === 0
const verdict = await canCapture()
let mesh: Mesh

before(async () => {
  mesh = await Mesh.start()
  if (lacks(serverOf('db')) === undefined) await makeCluster(folderOf('cluster'), isRoot ? nobody : undefined, path)
})
after(() => mesh[Symbol.asyncDispose]())

for (const user of users()) {
  describe(`as ${user.name}`, { skip: user.skip }, () => {
    const { namespace, uid } = user
    /** What goes through the mesh and must not be readable on the wire: the text, and the name in the TLS hello that carried it. */
    const sent: { readonly marker: string; readonly hello: string }[] = []
    const running: Running[] = []
    let caller: Shell
    let plain: PlainDoor
    let tap: Tap | string

    before(async () => {
      caller = mesh.shell('caller', { uid, flags: ['-n', namespace] })
      const there = servers.filter(server => lacks(server) === undefined)
      await Promise.all(there.flatMap(server => [start(server, false), start(server, true)]))
      plain = await plainDoor()
      tap = await Tap.open([plain.port, ...(await openPorts())])
      if (typeof tap !== 'string') await plain.send('before the first call')
    })
    after(async () => {
      await Promise.all([caller.running, ...running].map(each => each.stop()))
      plain.close()
      if (typeof tap !== 'string') await tap[Symbol.asyncDispose]()
    })

    async function start(server: Server, isDeclared: boolean): Promise<void> {
      const name = nameOf(server, isDeclared)
      const folder = folderOf(`${namespace}-${name}`)
      if (server.name === 'db') await copyCluster(join(mesh.folder, 'cluster'), folder, path)
      const port = isDeclared ? `${server.port}/${server.protocol}` : `${server.port}`
      const command = server.command({ folder, isRoot: user.isRoot, isFirst: !isDeclared })
      running.push(mesh.run(name, command, { uid, cwd: folder, flags: ['-n', namespace, '--port', port] }))
      await mesh.healthy(name, 1, namespace)
    }

    describe('called by name', { concurrency: true }, () => {
      for (const isDeclared of [false, true]) {
        const how = isDeclared ? 'declared' : 'found out'

        call('web', isDeclared, `nginx on port 80 answers curl by name, its protocol ${how}`, async (name, marker) => {
          const said = await caller.says(`curl -sSi --max-time 20 http://${name}:80/?${marker}`)
          assert.match(said, /^HTTP\/1\.1 200 OK\r\n/)
          assert.match(said, /^server: nginx\//im)
          assert.match(said, /<h1>Welcome to nginx/)
        })

        call('files', isDeclared, `Python's http.server gives curl a file, its protocol ${how}`, async (name, marker) => {
          writeFileSync(join(mesh.folder, `${namespace}-${name}`, marker), `inside ${marker}\n`)
          assert.equal(await caller.says(`curl -sS --max-time 20 http://${name}:8000/${marker}`), `inside ${marker}\n`)
        })

        call('redis', isDeclared, `Redis keeps what redis-cli gives it, its protocol ${how}`, async (name, marker) => {
          assert.equal(await caller.says(`redis-cli -h ${name} set key ${marker}; redis-cli -h ${name} get key`), `OK\n${marker}\n`)
          const piped = `for n in $(seq 2000); do echo "incr count"; done | redis-cli -h ${name} --pipe; redis-cli -h ${name} get count`
          assert.match(await caller.says(piped), /errors: 0, replies: 2000\n2000\n$/)
        })

        call('db', isDeclared, `PostgreSQL answers psql, its protocol ${how}`, async (name, marker) => {
          const ask = `psql -h ${name} -U postgres -X -A -t`
          assert.equal(await caller.says(`${ask} -c "select '${marker}', inet_server_port()"`), `${marker}|5432\n`)
          // A thousand rows in, all of them back: the stream is whole in both directions.
          const rows = `${ask} -q -c 'create table t (n int, text text)' -c "insert into t select n, repeat('${marker}', 20) from generate_series(1, 1000) n"`
          assert.equal(await caller.says(`${rows} -c 'select * from t' | wc -c`), `${20 * marker.length * 1000 + 1000 * 2 + 2893}\n`)
        })
      }

      test('the control plane names both ends of every edge by their SPIFFE ids', async () => {
        const expected = servers.filter(each => lacks(each) === undefined).flatMap(each => [nameOf(each, false), nameOf(each, true)])
        const idOf = (service: string) => `spiffe://weft.local/ns/${namespace}/sa/${service}`
        await mesh.until(`edges to ${expected.join(', ')}`, async () => {
          const { edges } = await mesh.client.topology(60)
          return expected.every(service =>
            edges.some(
              ({ source, destination, mtls }) => mtls && source.identity === idOf('caller') && destination.identity === idOf(service),
            ),
          )
        })
      })

      function call(server: string, isDeclared: boolean, title: string, act: (name: string, marker: string) => Promise<void>): void {
        const name = nameOf(serverOf(server), isDeclared)
        test(title, { skip: lacks(serverOf(server)) ?? false }, async () => {
          const marker = randomUUID()
          await act(name, marker)
          sent.push({ marker, hello: `${serverOf(server).port}.${name}.${namespace}.mesh` })
        })
      }
    })

    test('nothing of it was to be read on loopback, where what is sent in plaintext is', async t => {
      if (typeof tap === 'string') return t.skip(tap)
      const watching = tap
      assert.ok(sent.length > 0, 'no call has been made')
      await plain.send('after the last call')
      await mesh.until('the plaintext that was sent on purpose', () => watching.saw('after the last call'))
      assert.ok(watching.saw('before the first call'))
      for (const { marker, hello } of sent) {
        assert.equal(watching.saw(marker), false, `${marker} on its way to ${hello}`)
        assert.ok(watching.saw(hello), `a TLS hello to ${hello}`)
      }
    })
  })
}

function users(): readonly User[] {
  const plain = { name: 'an ordinary user', namespace: 'as-user', isRoot: false }
  const skip = verdict.ok ? false : `${verdict.why}: ${verdict.remedy}`
  if (!isRoot) return [{ ...plain, uid: undefined, skip }]
  const [file = '', ...args] = [...asUser(nobody), process.execPath, '-e', `require('fs').readFileSync('${root}/src/bin/weft.ts')`]
  const isReadable = spawnSync(file, args).status === 0
  return [
    { name: 'root', namespace: 'as-root', uid: undefined, isRoot, skip },
    { ...plain, uid: nobody, skip: skip || (isReadable ? false : 'this checkout or Node is not readable for other users') },
  ]
}

function serverOf(name: string): Server {
  return servers.find(each => each.name === name)!
}

function nameOf({ name }: Server, isDeclared: boolean): string {
  return isDeclared ? `${name}-declared` : name
}

/** Why this server cannot be tried here. */
function lacks({ needs }: Server): string | undefined {
  const absent = needs.filter(
    tool => !(tool.startsWith('/') ? [tool] : path.split(delimiter).map(folder => join(folder, tool))).some(isExecutable),
  )
  return absent.length === 0 ? undefined : `not installed: ${absent.join(', ')}`
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK)
    return true
  } catch {
    return false
  }
}

/** For a server alone. Whoever it runs as may write there. */
function folderOf(name: string): string {
  const folder = join(mesh.folder, name)
  mkdirSync(folder)
  chmodSync(folder, 0o777)
  return folder
}

/** Every port that the mesh has open on this machine: of the control plane, and of each proxy for callers and for operators. */
async function openPorts(): Promise<readonly number[]> {
  const [{ items }, { xds }] = await Promise.all([mesh.client.list(kinds.workload, { all: true }), mesh.client.status()])
  const workloads = items as readonly WorkloadResource[]
  const doors = workloads.flatMap(({ spec, status }) => [
    ...(spec?.ports ?? []).map(({ bind }) => bind?.port),
    ...(status?.proxy?.admin === undefined ? [] : [Number(new URL(status.proxy.admin).port)]),
  ])
  return [Number(new URL(mesh.url).port), xds.port, ...doors.filter(port => port !== undefined)]
}

type PlainDoor = { readonly port: number; readonly send: (text: string) => Promise<void>; readonly close: () => void }

/** A server outside the mesh, to which text goes over this machine's loopback for the tap to see. */
async function plainDoor(): Promise<PlainDoor> {
  const server = net.createServer(socket => socket.resume().on('error', () => {}))
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const { port } = server.address() as net.AddressInfo
  const send = async (text: string) => {
    const socket = net.connect(port, '127.0.0.1')
    socket.end(text)
    await once(socket.resume(), 'close')
  }
  return { port, send, close: () => server.close() }
}
