/** What judges of other people say about the HTTP/2 codec. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { h2specPath, runH2spec } from './conformance/h2spec.ts'
import { readStories, storiesFolder } from './conformance/hpack.ts'
import { serveHttp2 } from './conformance/http2-server.ts'

const h2spec = h2specPath()
const stories = storiesFolder()

test('h2spec, strict, finds every case as the RFCs want it', {
  skip: h2spec === undefined && 'h2spec is not on this machine: npm run conformance -- h2spec-codec',
}, async () => {
  await using server = await serveHttp2()
  const { passed, all, report } = await runH2spec(h2spec!, '127.0.0.1', server.port)
  assert.equal(report, '')
  assert.ok(all >= 146, `only ${all} cases were run`)
  assert.equal(passed, all)
})

test('the HPACK stories of all other implementations are read, and are read again when written here', {
  skip: stories === undefined && 'the stories are not on this machine: npm run conformance -- hpack',
}, () => {
  const { all, wrong } = readStories(stories!)
  assert.deepEqual(wrong, [])
  assert.ok(all > 50_000, `only ${all} blocks were read`)
})
