import assert from 'node:assert/strict'
import { createPublicKey, X509Certificate } from 'node:crypto'
import { test } from 'node:test'
import { readBundle, writeBundle } from './bundle.ts'
import { createRoot, issueLeaf } from './issue.ts'
import { newKey } from './key.ts'
import { workloadId } from './spiffe.ts'

const root = createRoot('one.test', await newKey(), Date.now())

test('a bundle is a set of keys with one certificate each, and is read again as it was written', () => {
  const text = writeBundle({ roots: [root.root], sequence: 7, refreshHintS: 300, jwtKeys: [{ kty: 'EC', kid: 'a' }] })
  const said = JSON.parse(text) as { spiffe_sequence: number; spiffe_refresh_hint: number; keys: Record<string, string>[] }
  assert.deepEqual([said.spiffe_sequence, said.spiffe_refresh_hint], [7, 300])
  const [first, second] = said.keys
  assert.equal(first!['use'], 'x509-svid')
  assert.equal(second!['use'], 'jwt-svid')
  assert.ok(createPublicKey({ key: first!, format: 'jwk' }).equals(root.certificate.publicKey))
  assert.deepEqual(new X509Certificate(Buffer.from(first!['x5c']![0]!, 'base64')).raw, root.certificate.raw)
  assert.deepEqual(readBundle(text), {
    roots: [root.root],
    sequence: 7,
    refreshHintS: 300,
    jwtKeys: [{ kty: 'EC', kid: 'a', use: 'jwt-svid' }],
  })
})

test('PEM is a bundle too, keys of other uses are left aside', () => {
  assert.deepEqual(readBundle(root.root).roots, [root.root])
  assert.deepEqual(readBundle('{"keys":[{"use":"sig","kty":"EC"}]}').roots, [])
})

test('what is no bundle is refused with what is wrong', async () => {
  const leaf = issueLeaf(root, (await newKey()).public, workloadId('one.test', { namespace: 'a', serviceAccount: 'b' }), Date.now())
  const cases: readonly [string, RegExp][] = [
    ['hello', /neither JSON nor PEM/],
    ['null', /no list "keys"/],
    ['{"keys":[{"use":"x509-svid"}]}', /key 0 has not one certificate/],
    ['{"keys":[{"use":"x509-svid","x5c":["AAAA"]}]}', /key 0: this is not a certificate/],
    ['{"keys":[],"spiffe_sequence":-1}', /spiffe_sequence is no whole number/],
    [leaf.chain[0]!, /none that may sign others/],
    ['-----BEGIN PRIVATE KEY-----', /no certificate/],
  ]
  for (const [text, says] of cases) assert.throws(() => readBundle(text), says, text)
})
