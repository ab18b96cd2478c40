/** The quick suites of others, against proxies as they are started from files; `npm run conformance` prints what they say. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { runInterop } from '../conformance/grpc.ts'
import { runH1spec } from '../conformance/h1spec.ts'
import { startHop } from '../conformance/hop.ts'
import { runWebSocket } from '../conformance/websocket.ts'

test('both lists of HTTP/1.1 cases named h1spec hold for a proxy', async t => {
  await using hop = await startHop()
  const { ran, missing } = await runH1spec('127.0.0.1', hop.port)
  assert.deepEqual(
    ran.flatMap(({ name, failures }) => failures.map(each => `${name}: ${each}`)),
    [],
  )
  for (const { name, passed, all } of ran) t.diagnostic(`${name}: ${passed}/${all}`)
  if (ran.length === 0) t.skip(missing.join('; '))
})

test("gRPC's own cases hold through two proxies, with its Go client and server", async t => {
  const results = await runInterop()
  if ('missing' in results) return t.skip(results.missing)
  assert.deepEqual(
    results.filter(({ why }) => why !== undefined),
    [],
  )
  t.diagnostic(`${results.length} cases`)
})

test('WebSocket clients of three languages find every frame as it was sent, through two proxies', async t => {
  const { results, missing } = await runWebSocket()
  if (results.length === 0) return t.skip(missing.join('; '))
  assert.deepEqual(
    results.filter(({ why }) => why !== undefined),
    [],
  )
  t.diagnostic(`${results.length} cases${missing.length > 0 ? `, without ${missing.join('; ')}` : ''}`)
})
