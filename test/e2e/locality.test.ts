/** Which endpoints are near, seen from a caller: host, zone and region come first, what they cannot carry goes further, and regions help in their order. */

import assert from 'node:assert/strict'
import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import process from 'node:process'
import { after, before, describe, test } from 'node:test'
import type { KindPath } from '../../src/api/client.ts'
import { canCapture } from '../../src/io/namespace.ts'
import type { Resource } from '../../src/resources/kind.ts'
import { active } from '../harness/front.ts'
import { Mesh, type Shell } from '../harness/mesh.ts'

const verdict = await canCapture()
const policies: KindPath = { group: 'weft.dev', version: 'v1alpha1', plural: 'backendpolicies', namespaced: true }
const script = (name: string): string => join(import.meta.dirname, 'health-checks', name)
const kinds = ['http', 'http2', 'grpc', 'tcp'] as const

/** Three in the caller's zone, of which one is on its host; one in its region; one in each of two others. */
const places = { h1: 'eu/a/h1', h2: 'eu/a/h2', h3: 'eu/a/h3', b: 'eu/b/x', us: 'us/a/x', ap: 'ap/a/x' } as const
type Name = keyof typeof places
const names = Object.keys(places) as Name[]

describe('locality', { skip: verdict.ok ? false : `${verdict.why}: ${verdict.remedy}` }, () => {
  let mesh: Mesh
  let caller: Shell
  const stateOf = (name: Name): string => join(mesh.folder, `state-${name}`)

  /** All others serve. */
  const fallIll = async (...who: readonly Name[]): Promise<void> => {
    for (const name of names)
      if (who.includes(name)) writeFileSync(stateOf(name), 'ill')
      else rmSync(stateOf(name), { force: true })
    await mesh.healthy('web', names.length - who.length)
  }
  const prefer = async (locality: object): Promise<void> => {
    const policy = {
      apiVersion: 'weft.dev/v1alpha1',
      kind: 'BackendPolicy',
      metadata: { name: 'web', namespace: 'default' },
      spec: { targetRefs: [{ name: 'web' }], balance: 'RoundRobin', locality },
    } as unknown as Resource
    const { resource } = await mesh.client.apply(policies, policy, { force: true })
    await active(mesh, Number(resource.metadata.resourceVersion))
  }
  const tallied = async (kind: (typeof kinds)[number], times: number): Promise<Readonly<Record<string, number>>> => {
    const said = JSON.stringify({ kind, host: 'web', times })
    const answers = JSON.parse(await caller.says(`${process.execPath} ${script('caller.mjs')} '${said}'`)) as readonly { by: string }[]
    const tally: Record<string, number> = {}
    for (const { by } of answers) tally[by] = (tally[by] ?? 0) + 1
    return tally
  }

  before(async () => {
    mesh = await Mesh.start()
    const ports = ['8080/http', '8083/grpc', '8081/tcp'].flatMap(port => ['--port', port])
    for (const name of names)
      mesh.run(`web-${name}`, [process.execPath, script('server.mjs')], {
        flags: ['--service', 'web', '--ready-http', '8080/healthz', '--locality', places[name], ...ports],
        env: { NAME: name, STATE: stateOf(name) },
      })
    await mesh.healthy('web', names.length)
    caller = mesh.shell('caller', { flags: ['--locality', 'eu/a/h1'] })
    await caller.says('true')
  })
  after(async () => {
    await caller?.[Symbol.asyncDispose]()
    await mesh?.[Symbol.asyncDispose]()
  })

  test('with Host the same machine gets all; without it the zone, the region and the rest follow', async () => {
    await fallIll()
    await prefer({ prefer: 'Host' })
    for (const kind of kinds) assert.deepEqual(await tallied(kind, 12), { h1: 12 }, kind)
    await fallIll('h1')
    for (const kind of kinds) assert.deepEqual(await tallied(kind, 12), { h2: 6, h3: 6 }, kind)
    await fallIll('h1', 'h2', 'h3')
    for (const kind of kinds) assert.deepEqual(await tallied(kind, 12), { b: 12 }, kind)
    await fallIll('h1', 'h2', 'h3', 'b')
    for (const kind of kinds) assert.deepEqual(await tallied(kind, 12), { us: 6, ap: 6 }, kind)
  })

  test('with Zone a zone of which a third is healthy keeps 1.4 times that part, and the region takes the rest', async () => {
    await prefer({ prefer: 'Zone' })
    await fallIll('h3')
    // Two of three are 93 %: of 300 calls 20 go further, within four standard deviations.
    for (const kind of ['http', 'tcp'] as const) {
      const { b = 0, us, ap } = await tallied(kind, 300)
      assert.deepEqual([us, ap], [undefined, undefined])
      assert.ok(b >= 2 && b <= 38, `${kind}: ${b} of 300 for the region`)
    }
    await fallIll('h2', 'h3')
    for (const kind of kinds) {
      const { h1 = 0, b = 0 } = await tallied(kind, 300)
      assert.equal(h1 + b, 300)
      assert.ok(Math.abs(h1 - 140) <= 35, `${kind}: ${h1} of 300 for the zone`)
    }
  })

  test('with Region all zones of it are equal, and other regions help in the order of failover', async () => {
    await prefer({ prefer: 'Region', failover: ['ap', 'us'] })
    await fallIll()
    for (const kind of kinds) assert.deepEqual(await tallied(kind, 12), { h1: 3, h2: 3, h3: 3, b: 3 }, kind)
    await fallIll('h1', 'h2', 'h3', 'b')
    for (const kind of kinds) assert.deepEqual(await tallied(kind, 12), { ap: 12 }, kind)
    await fallIll('h1', 'h2', 'h3', 'b', 'ap')
    for (const kind of kinds) assert.deepEqual(await tallied(kind, 12), { us: 12 }, kind)
  })

  test('with None all are equally near', async () => {
    await prefer({ prefer: 'None' })
    await fallIll()
    for (const kind of kinds) assert.deepEqual(await tallied(kind, 12), { h1: 2, h2: 2, h3: 2, b: 2, us: 2, ap: 2 }, kind)
  })
})
