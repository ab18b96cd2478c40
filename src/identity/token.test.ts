import assert from 'node:assert/strict'
import { test } from 'node:test'
import { defaultIdTemplate } from '#base/id-template'
import { createRoot } from './issue.ts'
import { newKey } from './key.ts'
import { controlId, workloadId } from './spiffe.ts'
import { BadToken, expectWhole, readToken, rootSha256, signToken, verifyToken } from './token.ts'

const now = Date.parse('2026-01-01T00:00:00Z')
const identity = workloadId('test.mesh', { namespace: 'default', serviceAccount: 'orders' })
const key = await newKey()
const { root } = createRoot('test.mesh', await newKey(), now)
const token = await signToken(
  key,
  { identity, xds: 'control.test:7071', trustDomain: 'test.mesh', expiresAt: now + 60_000, root },
  controlId('test.mesh'),
  now,
)

test('a token says who, where, and by which root; its maker can prove it', async () => {
  const read = readToken(`${token}\n`, now)
  assert.deepEqual(
    { ...read, id: '' },
    {
      identity,
      xds: 'control.test:7071',
      trustDomain: 'test.mesh',
      idTemplate: defaultIdTemplate,
      rootSha256: rootSha256(root),
      expiresAt: now + 60_000,
      id: '',
    },
  )
  assert.deepEqual(await verifyToken(token, key.public, now), read)
})

test('a token of another maker, an expired one, and one whose algorithm was removed are refused', async () => {
  await assert.rejects(verifyToken(token, (await newKey()).public, now), /not signed by this control plane/)
  await assert.rejects(
    verifyToken(token, key.public, now + 60_000),
    /expired at 2026-01-01T00:01:00\.000Z; make a new one with: weft token create/,
  )
  const [, payload] = token.split('.')
  const none = `${Buffer.from('{"alg":"none"}').toString('base64url')}.${payload}.`
  await assert.rejects(verifyToken(none, key.public, now), /not signed by this control plane/)
})

test('a token tells the template of the mesh, where it is not the default, and none that could be read in two ways', async () => {
  const other = { identity, xds: 'control.test:7071', trustDomain: 'test.mesh', expiresAt: now + 60_000, root }
  const sign = async (idTemplate: string) => signToken(key, { ...other, idTemplate }, controlId('test.mesh'), now)
  assert.equal(readToken(await sign('/{namespace}/{serviceAccount}'), now).idTemplate, '/{namespace}/{serviceAccount}')
  assert.ok(!Buffer.from(token.split('.')[1]!, 'base64url').toString().includes('tpl'))
  const bad = await sign('/{namespace}-{serviceAccount}')
  assert.throws(() => readToken(bad, now), BadToken)
})

const odd = [
  '',
  'x',
  'a.b.c',
  'a..b',
  ...['null', '1', '"x"', '[]', '{}', '{"aud":"weft-join"}', '{"aud":"weft-join","exp":-1e300}'].map(
    json => `a.${Buffer.from(json).toString('base64url')}.c`,
  ),
]
test('a token that was cut or altered in its form is known by that, before anybody is asked', () => {
  expectWhole(token)
  expectWhole(` ${token}\n`)
  for (const text of [token.slice(0, -1), `${token}x`, `x${token}`, token.replace(/[^.]*$/, ''), '', 'a.b.c'])
    assert.throws(() => expectWhole(text), /the join token is malformed/, text)
})

test('whatever is no token is refused with one sentence', () => {
  for (const text of odd)
    assert.throws(
      () => readToken(text, now),
      (thrown: Error) => thrown instanceof BadToken && thrown.message.endsWith('make a new one with: weft token create'),
      text,
    )
})
