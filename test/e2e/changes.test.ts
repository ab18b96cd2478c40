/** Configuration changes under a steady load: they are in force within a second, they do what they say, and no request is lost on the way. */

import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { canCapture } from '../../src/io/namespace.ts'
import type { Resource } from '../../src/resources/kind.ts'
import { AdsClient, becomeMember, types } from '../harness/ads-client.ts'
import { active, adding, apply, forHeader, type Rule, route, split, startFront, to } from '../harness/front.ts'
import { Load, tell } from '../harness/load.ts'
import { kinds, Mesh } from '../harness/mesh.ts'

const rate = 500
const changes = 1000

// Without capture an ordinary client would have to be told of the proxy.
const verdict = await canCapture()

describe('changes under load', { skip: verdict.ok ? false : `${verdict.why}: ${verdict.remedy}` }, () => {
  let mesh: Mesh
  let load: Load

  before(async () => {
    mesh = await Mesh.start()
    for (const version of ['v1', 'v2']) startFront(mesh, version)
    await mesh.healthy('front', 2)
    load = new Load(mesh, { to: 'http://front:8080', rate })
    await load.answers(rate)
  })
  after(() => mesh[Symbol.asyncDispose]())

  const change = (resource: Resource): Promise<number> => apply(mesh, resource)
  const inForce = (revision: number): Promise<void> => active(mesh, revision)

  async function nothingFailed(): Promise<void> {
    const report = await load.report()
    assert.deepEqual(report.failed, {}, tell(report))
  }

  test('a split is in force in under a second, as the control plane tells it and as callers see it', async t => {
    const told: number[] = []
    const seen: number[] = []
    for (const [v1, v2] of [
      [1, 0],
      [0, 1],
      [1, 0],
      [0, 1],
      [1, 0],
    ] as const) {
      const began = performance.now()
      const confirmed = change(route('split', split(v1, v2)))
        .then(inForce)
        .then(() => told.push(performance.now() - began))
      const instance = v1 > 0 ? 'v1' : 'v2'
      for (;;) {
        const tally = await load.ask({ times: 8 })
        if (tally[instance] === 8) break
        assert.ok(performance.now() - began < 20_000, JSON.stringify(tally))
      }
      seen.push(performance.now() - began)
      await confirmed
    }
    const median = (list: readonly number[]): number => list.toSorted((a, b) => a - b)[2]!
    t.diagnostic(`told after ${told.map(Math.round).join(', ')} ms; seen after ${seen.map(Math.round).join(', ')} ms`)
    assert.ok(median(told) < 1000 && median(seen) < 1000, `${told} ${seen}`)
    await nothingFailed()
  })

  test('each version gets its share, and a version of weight 0 nothing', async () => {
    await inForce(await change(route('split', split(80, 20))))
    const shared = await load.ask({ times: 2000 })
    // Five standard deviations of a binomial distribution: √(2000 · 0.8 · 0.2) = 17.9.
    assert.equal((shared['v1'] ?? 0) + (shared['v2'] ?? 0), 2000, JSON.stringify(shared))
    assert.ok(Math.abs(shared['v1']! - 1600) < 90, JSON.stringify(shared))
    await inForce(await change(route('split', split(1, 0))))
    assert.deepEqual(await load.ask({ times: 500 }), { v1: 500 })
    await nothingFailed()
  })

  test('a header leads to another version, and a changed header arrives there', async () => {
    await inForce(await change(route('split', forHeader('tester', adding('by-route', split(0, 1))), split(1, 0))))
    assert.deepEqual(await load.ask({ times: 50, headers: { 'x-who': 'tester' } }), { 'v2 saw by-route': 50 })
    assert.deepEqual(await load.ask({ times: 50, headers: { 'x-who': 'somebody' } }), { v1: 50 })
    assert.deepEqual(await load.ask({ times: 50, method: 'POST', headers: { 'x-who': 'tester' } }), { 'v2 saw by-route': 50 })
    await nothingFailed()
  })

  test(`${changes} changes at full speed under ${rate} requests a second lose not one request`, async t => {
    const before = await load.report()
    const began = performance.now()
    const revisions = new Set<number>()
    let isChanging = true
    const watched = (async () => {
      while (isChanging) for (const proxy of await mesh.client.proxies()) revisions.add(proxy.active)
    })()
    let done = 0
    for (; done < changes; done++) await changeOnce(done)
    const took = (performance.now() - began) / 1000
    const last = await change(route('split', adding('the-last', split(0, 100))))
    await inForce(last)
    isChanging = false
    await watched

    assert.deepEqual(await load.ask({ times: 300 }), { 'v2 saw the-last': 300 })
    const now = await load.report()
    const answered = now.ok - before.ok
    const { slowestMs } = now
    t.diagnostic(
      `${changes} changes in ${took.toFixed(1)} s, ${revisions.size} different revisions seen active; meanwhile ${answered} requests answered (${(answered / (now.seconds - before.seconds)).toFixed(0)}/s), slowest ${slowestMs.toFixed(0)} ms, ${now.heldBack} held back`,
    )
    assert.deepEqual(now.failed, {}, tell(now))
    assert.ok(answered > 500, 'the load must have run meanwhile')
    assert.ok(revisions.size > 20, `only ${revisions.size} different revisions were active in between`)
    const { items } = await mesh.client.list(kinds.httpRoute)
    assert.deepEqual(
      items.map(item => item.metadata.name),
      ['split'],
    )
  })

  /** Every change leaves a mesh in which each request has somewhere to go. Ten make a round, which begins and ends with `split` alone. */
  async function changeOnce(at: number): Promise<void> {
    const { client } = mesh
    const weight = (at * 7) % 101
    switch (at % 10) {
      case 0:
        return void (await change(route('split', split(weight, 100 - weight))))
      case 1:
        return void (await change(route('extra', forHeader(`caller-${at}`, split(0, 1)), split(1, 1))))
      case 2:
        return void (await change(route('split', forHeader(`caller-${at}`, split(1, 0)), split(weight, 100 - weight))))
      case 3:
        return void (await client.patch(kinds.httpRoute, 'split', { spec: { rules: [split(100 - weight, weight)] } }))
      case 4:
        return await client.delete(kinds.httpRoute, 'extra')
      case 5:
        return void (await change(route('split', adding(`change-${at}`, split(50, 50)))))
      case 6:
        return await client.delete(kinds.httpRoute, 'split') // the Service itself then answers
      case 7:
        return void (await client.create(
          kinds.httpRoute,
          route('split', { ...split(1, 1), matches: [{ path: { type: 'PathPrefix', value: '/' } }] }),
        ))
      case 8:
        return void (await client.patch(kinds.httpRoute, 'split', [{ op: 'replace', path: '/spec/rules/0', value: split(1, 0) }], {
          type: 'json',
        }))
      default:
        return void (await change(route('split', { ...split(3, 1), matches: [{ method: 'GET' }] }, split(1, 3))))
    }
  }

  test('a reference to nothing answers 500 for its share and says so; without it all is well again', async () => {
    const bad: Rule = {
      matches: [{ path: { type: 'Exact', value: '/bad' } }],
      backendRefs: [to('v1', 1), { name: 'no-such-service', port: 8080, weight: 1 }],
    }
    const healed: Rule = { ...bad, backendRefs: [to('v1', 1)] }
    await inForce(await change(route('split', bad, split(1, 1))))
    const tally = await load.ask({ path: '/bad', times: 400 })
    const failing = Object.entries(tally).filter(([key]) => key.startsWith('500 backend-invalid'))
    // Five standard deviations: √(400 · ¼) = 10.
    assert.ok(
      Math.abs((tally['v1'] ?? 0) - 200) < 50 && failing.length === 1 && (tally['v1'] ?? 0) + failing[0]![1] === 400,
      JSON.stringify(tally),
    )

    type Status = {
      readonly parents: readonly {
        readonly conditions: readonly {
          readonly type: string
          readonly status: string
          readonly reason: string
          readonly message: string
        }[]
      }[]
    }
    const resolved = async () => {
      const { status } = await mesh.client.get(kinds.httpRoute, 'split')
      return (status as Status | undefined)?.parents[0]?.conditions.find(({ type }) => type === 'ResolvedRefs')
    }
    await mesh.until('ResolvedRefs is False', async () => (await resolved())?.status === 'False')
    const condition = (await resolved())!
    assert.equal(condition.reason, 'BackendNotFound')
    assert.match(condition.message, /no-such-service/)

    await inForce(await change(route('split', healed, split(1, 1))))
    assert.deepEqual(await load.ask({ path: '/bad', times: 100 }), { v1: 100 })
    await mesh.until('ResolvedRefs is True', async () => (await resolved())?.status === 'True')
    await mesh.client.delete(kinds.httpRoute, 'split')
    await mesh.until('the Service answers by itself', async () => {
      const { v1 = 0, v2 = 0 } = await load.ask({ times: 40 })
      return v1 > 0 && v2 > 0 && v1 + v2 === 40
    })
    await nothingFailed()
  })

  test('a proxy that refuses a resource is named with the reason, the others have it all the same', async () => {
    using stock = new AdsClient(await becomeMember(mesh, 'stock'), 'stock')
    for (const typeUrl of [types.cluster, types.listener]) stock.subscribe(typeUrl)
    const table = 'default/front:8080'
    stock.subscribe(types.route, [table])
    await mesh.until('the stock client has its routes', () => stock.got.has(types.route))
    await inForce(await change(route('split', split(1, 1))))

    stock.refusals.set(types.route, `${table}: weights are not carried out here`)
    const file = join(mesh.folder, 'split.yaml')
    writeFileSync(file, JSON.stringify(route('split', split(0, 1))))
    const refused = await mesh.weft('apply', '-f', file, '--wait', '--force-conflicts')
    assert.notEqual(refused.code, 0, refused.stdout)
    assert.match(refused.stdout, /active on 3\/4 proxies/)
    assert.match(refused.stdout, /stock-1\.default refused default\/front:8080: weights are not carried out here/)
    assert.deepEqual(await load.ask({ times: 100 }), { v2: 100 })

    stock.refusals.clear()
    const taken = await mesh.weft('apply', '-f', file, '--wait', '--force-conflicts')
    assert.notEqual(taken.code, 0, 'what was refused is not sent again unless it changes')
    writeFileSync(file, JSON.stringify(route('split', split(1, 0))))
    const active4 = await mesh.weft('apply', '-f', file, '--wait', '--force-conflicts')
    assert.equal(active4.code, 0, active4.stdout + active4.stderr)
    assert.match(active4.stdout, /active on 4\/4 proxies/)
    await nothingFailed()
  })

  test('after all of it not one request of the load has failed', async t => {
    const report = await load.stop()
    t.diagnostic(tell(report))
    assert.equal(report.ok, report.sent)
    assert.deepEqual(report.failed, {})
  })
})
