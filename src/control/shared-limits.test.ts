import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Mesh } from '#model/mesh'
import { controlBackend } from '#model/rate-limit'
import { type LimitQuestion, type LimitReply, shouldRateLimit } from '#xds/rpcs'
import { countersInMemory, sharedLimits } from './shared-limits.ts'

const silent = { debug() {}, info() {}, warn() {}, error() {} } as never
const web = 'spiffe://weft.local/ns/default/sa/web'
const mesh = {
  limitService: { backend: controlBackend, domain: 'weft', timeoutMs: 200 },
  sharedLimits: {
    'default/each': {
      name: 'default/each',
      requests: 2,
      intervalMs: 1000,
      burst: 2,
      by: [{ type: 'header', name: 'x-tenant' }],
      overrides: [{ when: [{ key: 0, values: ['gold'] }], requests: 4, intervalMs: 1000, burst: 4 }],
      spenders: [web],
    },
  },
} as unknown as Mesh

/** The service as callers meet it, without a socket. */
function asked(now: () => number) {
  const loop = { current: { revision: 1, mesh, notes: [], ordered: [] }, onCompiled: () => () => {} }
  const { service } = sharedLimits({ loop, counters: countersInMemory(now), log: silent })
  let ask: ((question: LimitQuestion, peer: string | undefined) => Promise<LimitReply>) | undefined
  const server = {
    register: (_: string, handle: (call: unknown, done: (error: unknown, reply: LimitReply) => void) => void) => {
      ask = (question, peer) =>
        new Promise((resolve, reject) => {
          const call = {
            request: { message: question },
            getPeer: () => peer ?? '',
            metadata: { getMap: () => ({}) },
            getDeadline: () => Number.POSITIVE_INFINITY,
          }
          handle(call, (error, reply) => (error === null ? resolve(reply) : reject(error as Error)))
        })
      return true
    },
  }
  const door = { log: silent, admit: (peer: string) => (peer === '' ? undefined : { peer, serial: '', notAfter: 0 }) }
  service.attach(server as never, door as never)
  assert.equal(service.path, shouldRateLimit.path)
  return ask!
}

const about = (tenant: string, policy = 'default/each', hits = 1): LimitQuestion => ({
  domain: 'weft',
  hits,
  descriptors: [
    {
      entries: [
        { key: 'policy', value: policy },
        { key: 'header.x-tenant', value: tenant },
      ],
    },
  ],
})

test('each value has its bucket, some a larger one, and answers say what is left', async () => {
  let now = 0
  const ask = asked(() => now)
  assert.equal((await ask(about('a'), web)).isOver, false)
  const { isOver, statuses, responseHeaders } = await ask(about('a'), web)
  assert.equal(isOver, false)
  assert.deepEqual(statuses[0]?.limit, { name: 'default/each', requests: 2, intervalMs: 1000 })
  assert.deepEqual(responseHeaders, [
    { name: 'ratelimit-policy', value: '"default/each";q=2;w=1' },
    { name: 'ratelimit', value: '"default/each";r=0;t=1' },
  ])
  const over = await ask(about('a'), web)
  assert.equal(over.isOver, true)
  assert.equal(over.statuses[0]?.resetMs, 500)
  assert.ok(over.responseHeaders.some(({ name, value }) => name === 'retry-after' && value === '1'))
  assert.equal((await ask(about('b'), web)).isOver, false)
  for (let at = 0; at < 4; at++) assert.equal((await ask(about('gold'), web)).isOver, false)
  assert.equal((await ask(about('gold'), web)).isOver, true)
  now = 500
  assert.equal((await ask(about('a'), web)).isOver, false)
})

test('several hits are taken together or not at all', async () => {
  const ask = asked(() => 0)
  assert.equal((await ask(about('a', 'default/each', 3), web)).isOver, true)
  assert.equal((await ask(about('a', 'default/each', 2), web)).isOver, false)
})

test('a proxy may ask about limits of its own workload only, by the keys that they have, and in the domain of the mesh', async () => {
  const ask = asked(() => 0)
  const other = 'spiffe://weft.local/ns/default/sa/other'
  await assert.rejects(ask(about('a'), other), /other may not ask about RateLimitPolicy default\/each/)
  await assert.rejects(ask(about('a'), undefined), /nobody known may not ask/)
  const short = { ...about('a'), descriptors: [{ entries: [{ key: 'policy', value: 'default/each' }] }] }
  await assert.rejects(ask(short, web), /goes by 1 keys, and 0 came/)
  await assert.rejects(ask({ ...about('a'), domain: 'shop' }, web), /does not count for the domain "shop"/)
})

test('what no policy speaks of is not limited', async () => {
  const ask = asked(() => 0)
  assert.deepEqual(await ask(about('a', 'default/gone'), other()), {
    isOver: false,
    statuses: [{ isOver: false, remaining: 0 }],
    responseHeaders: [],
    requestHeaders: [],
  })
})

const other = (): string => 'spiffe://weft.local/ns/default/sa/other'
