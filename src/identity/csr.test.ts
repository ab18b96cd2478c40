import 'reflect-metadata'
import * as other from '@peculiar/x509'
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { test } from 'node:test'
import { BadCsr, makeCsr, readCsr } from './csr.ts'
import { toPem } from './der.ts'
import { createRoot, issueLeaf } from './issue.ts'
import { newKey } from './key.ts'
import { workloadId } from './spiffe.ts'

const orders = workloadId('test.mesh', { namespace: 'default', serviceAccount: 'orders' })
const key = await newKey()
const spki = key.public.export({ type: 'spki', format: 'der' }).toString('hex')

function openssl(input: string, ...args: string[]): string | undefined {
  try {
    return execFileSync('openssl', args, { input, stdio: 'pipe' }).toString()
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw thrown
  }
}

test('a request of ours is read by us, by @peculiar/x509 and by openssl alike', async t => {
  const pem = makeCsr(key, orders)
  const ours = readCsr(pem)
  assert.deepEqual(ours.uris, [orders])
  assert.equal(ours.publicKey.export({ type: 'spki', format: 'der' }).toString('hex'), spki)

  const theirs = new other.Pkcs10CertificateRequest(pem)
  assert.equal(await theirs.verify(), true)
  const names = theirs.extensions.find(extension => extension instanceof other.SubjectAlternativeNameExtension)
  assert.deepEqual(names?.names.toJSON(), [{ type: 'url', value: orders }])

  const text = openssl(pem, 'req', '-noout', '-text', '-verify')
  if (text === undefined) return t.skip('openssl is not installed')
  assert.match(text, new RegExp(`Subject Alternative Name: critical\\n *URI:${orders}\\n`))
})

test('a request of @peculiar/x509 is read', async () => {
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }
  const keys = await crypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
  const names = new other.SubjectAlternativeNameExtension([
    { type: 'dns', value: 'x' },
    { type: 'url', value: orders },
  ])
  const request = await other.Pkcs10CertificateRequestGenerator.create({
    name: 'CN=orders, O=Test',
    keys,
    signingAlgorithm: algorithm,
    extensions: [names],
  })
  assert.deepEqual(readCsr(request.toString('pem')).uris, [orders])
  const bare = await other.Pkcs10CertificateRequestGenerator.create({ name: 'CN=orders', keys, signingAlgorithm: algorithm })
  assert.deepEqual(readCsr(bare.toString('pem')).uris, [])
})

const algorithms = ['ec -pkeyopt ec_paramgen_curve:P-256', 'ec -pkeyopt ec_paramgen_curve:P-384', 'rsa:2048', 'ed25519']
for (const algorithm of [...algorithms, 'rsa:1024', 'ec -pkeyopt ec_paramgen_curve:P-521']) {
  test(`a request that openssl made with ${algorithm} is ${algorithms.includes(algorithm) ? 'read and gets a certificate' : 'refused as too weak or unusual'}`, t => {
    const pem = openssl(
      '',
      'req',
      '-new',
      '-newkey',
      ...algorithm.split(' '),
      '-nodes',
      '-keyout',
      '/dev/null',
      '-subj',
      '/CN=x',
      '-addext',
      `subjectAltName=URI:${orders},DNS:x`,
    )
    if (pem === undefined) return t.skip('openssl is not installed')
    if (!algorithms.includes(algorithm))
      return assert.throws(() => readCsr(pem), /has (an RSA key of 1024 bits|a key on the curve secp521r1); use EC P-256/)
    const { uris, publicKey } = readCsr(pem)
    assert.deepEqual(uris, [orders])
    const leaf = new X509Certificate(issueLeaf(root, publicKey, orders, Date.now()).chain[0]!)
    assert.deepEqual(leaf.publicKey.export({ type: 'spki', format: 'der' }), publicKey.export({ type: 'spki', format: 'der' }))
  })
}
const root = createRoot('test.mesh', await newKey(), Date.now())

test('no single changed, missing or added byte of a request gets through, and none breaks the reader', () => {
  const bytes = Buffer.from(makeCsr(key, orders).replace(/-----[^-]+-----|\s/g, ''), 'base64')
  const refused = (changed: Uint8Array): void => assert.throws(() => readCsr(toPem('CERTIFICATE REQUEST', changed)), BadCsr)
  for (let at = 0; at < bytes.length; at++) {
    for (const mask of [1, 0x80, 0xff]) {
      const changed = Buffer.from(bytes)
      changed[at]! ^= mask
      refused(changed)
    }
    refused(bytes.subarray(0, at))
  }
  refused(Buffer.concat([bytes, Buffer.of(0)]))
  refused(Buffer.concat([bytes, bytes]))
  for (const pem of ['', 'hello', toPem('CERTIFICATE', bytes), '-----BEGIN CERTIFICATE REQUEST-----\n-----END CERTIFICATE REQUEST-----\n'])
    assert.throws(() => readCsr(pem), BadCsr)
})

test('a leaf of ours is read by @peculiar/x509 with every name, and its signature holds', async () => {
  const ips = ['127.0.0.1', '::1', '2001:db8::ff00:42:8329', 'fe80::1.2.3.4']
  const { chain, serial } = issueLeaf(root, key.public, orders, Date.now(), { dns: ['localhost', 'control.test'], ips })
  const leaf = new other.X509Certificate(chain[0]!)
  assert.equal(await leaf.verify({ publicKey: new other.X509Certificate(chain[1]!).publicKey }), true)
  assert.equal(leaf.serialNumber, serial)
  assert.equal(leaf.issuer, new other.X509Certificate(chain[1]!).subject)
  const names = leaf.extensions.find(extension => extension instanceof other.SubjectAlternativeNameExtension)?.names.toJSON()
  assert.deepEqual(
    names?.map(name => name.value),
    [orders, 'localhost', 'control.test', ...ips.slice(0, 3), 'fe80::102:304'],
  )
  const node = new X509Certificate(chain[0]!)
  for (const ip of ips) assert.ok(node.checkIP(ip), ip)
  for (const bad of [
    '1.2.3',
    '1.2.3.256',
    '01.2.3.4',
    ':::',
    '1::2::3',
    '1:2:3:4:5:6:7',
    '1:2:3:4:5:6:7:8:9',
    'g::',
    '::%eth0',
    '12345::',
  ]) {
    assert.throws(() => issueLeaf(root, key.public, orders, 0, { ips: [bad] }), RangeError, bad)
  }
})

test('a root that ends after 2049 is written and read with its time', () => {
  const now = Date.parse('2045-06-01T00:00:00Z')
  const { certificate } = createRoot('test.mesh', key, now)
  assert.equal(certificate.validFromDate.toISOString(), '2045-05-31T23:55:00.000Z')
  assert.equal(certificate.validToDate.toISOString(), '2055-05-30T00:00:00.000Z')
})
