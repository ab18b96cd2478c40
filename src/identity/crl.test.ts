import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import tls from 'node:tls'
import { once } from 'node:events'
import { readCertificate } from './certificate.ts'
import { issuerOf, makeCrl, readCrls } from './crl.ts'
import { der, integer, octets, oid, sequence, text, time, yes } from './der.ts'
import { createIntermediate, createRoot, issueLeaf, signAs } from './issue.ts'
import { newKey } from './key.ts'
import { workloadId } from './spiffe.ts'

const now = Math.floor(Date.now() / 1000) * 1000
const dayMs = 86_400_000
const web = workloadId('weft.local', { namespace: 'shop', serviceAccount: 'web' })

async function authority() {
  const root = createRoot('weft.local', await newKey(), now)
  const signer = createIntermediate(root, await newKey(), now)
  const key = await newKey()
  const leaf = issueLeaf(signer, key.public, web, now)
  return { root, signer, key, leaf }
}

const listOf = (
  signer: Awaited<ReturnType<typeof authority>>['signer'],
  serials: readonly string[],
  more: { readonly number?: bigint; readonly nextUpdate?: number } = {},
): string =>
  makeCrl(signer, {
    number: more.number ?? 1n,
    thisUpdate: now,
    nextUpdate: more.nextUpdate ?? now + dayMs,
    entries: serials.map(serial => ({ serial, at: now - 60_000, reason: 'KeyCompromise' })),
  })

test('a list that was made is read again with its number, its times, its entries and who signed it', async () => {
  const { root, signer, leaf } = await authority()
  const number = BigInt(now)
  const [crl] = readCrls(listOf(signer, [leaf.serial, 'ff01'], { number }))
  assert.equal(crl!.number, number)
  assert.equal(crl!.thisUpdate, now)
  assert.equal(crl!.nextUpdate, now + dayMs)
  assert.deepEqual(
    [...crl!.entries],
    [
      [leaf.serial, { at: now - 60_000, reason: 1 }],
      ['ff01', { at: now - 60_000, reason: 1 }],
    ],
  )
  assert.equal(crl!.issuer, issuerOf(readCertificate(leaf.chain[0]!)))
  assert.equal(crl!.isSignedBy(signer.certificate), true)
  assert.equal(crl!.isSignedBy(root.certificate), false)
})

test('a list that was changed after it was signed is not signed any more, and half a list is refused', async () => {
  const { signer, leaf } = await authority()
  const pem = listOf(signer, [leaf.serial])
  const der = Buffer.from(pem.replaceAll(/-----[^-]+-----|\s/g, ''), 'base64')
  const at = der.indexOf(Buffer.from(leaf.serial, 'hex'))
  const forged = Buffer.from(der)
  forged[at + 3]! ^= 1
  assert.equal(readCrls(forged)[0]!.isSignedBy(signer.certificate), false)
  assert.throws(() => readCrls(der.subarray(0, der.length - 10)), RangeError)
  assert.throws(() => readCrls('no list at all'), RangeError)
})

test('openssl reads the list, and refuses with it what is on it and nothing else', async context => {
  try {
    execFileSync('openssl', ['version'])
  } catch {
    return context.skip('openssl is not on this machine')
  }
  const { root, signer, leaf } = await authority()
  const other = issueLeaf(signer, (await newKey()).public, web, now)
  const folder = mkdtempSync(join(tmpdir(), 'weft-crl-'))
  try {
    const put = (name: string, content: string): string => {
      writeFileSync(join(folder, name), content)
      return join(folder, name)
    }
    const crls = put('crl.pem', listOf(signer, [leaf.serial]) + listOf(root, []))
    const shown = execFileSync('openssl', ['crl', '-text', '-noout', '-in', put('one.pem', listOf(signer, [leaf.serial]))]).toString()
    assert.match(shown, /Version 2 \(0x1\)/)
    assert.match(shown, /X509v3 Authority Key Identifier/)
    assert.match(shown, /X509v3 CRL Number: \s+1/)
    assert.match(shown, new RegExp(leaf.serial, 'i'))
    assert.match(shown, /Key Compromise/)
    const verify = (pem: string): string => {
      const args = ['verify', '-crl_check_all', '-CAfile', put('root.pem', root.root), '-untrusted', put('ca.pem', signer.chain[0]!)]
      try {
        return execFileSync('openssl', [...args, '-CRLfile', crls, put('leaf.pem', pem)], { stdio: 'pipe' }).toString()
      } catch (thrown) {
        return String((thrown as { stderr: Buffer }).stderr)
      }
    }
    assert.match(verify(leaf.chain[0]!), /certificate revoked/)
    assert.match(verify(other.chain[0]!), /OK/)
    const signed = execFileSync(
      'openssl',
      ['crl', '-noout', '-in', join(folder, 'one.pem'), '-CAfile', join(folder, 'ca.pem'), '-verify'],
      {
        stdio: 'pipe',
      },
    )
    assert.ok(signed.toString() === '' || /OK/.test(signed.toString()))
  } finally {
    rmSync(folder, { recursive: true })
  }
})

/** Why proxies judge by themselves: Node checks lists, but then refuses everybody when one has ended, which an absent control plane would bring about. */
test('Node itself refuses a client on a list, and every client once a list has ended', async () => {
  const { root, signer, key, leaf } = await authority()
  const asked = async (crl: readonly string[]): Promise<string> => {
    const own = { key: key.pem, cert: leaf.chain.slice(0, -1).join(''), ca: [root.root] }
    const server = tls.createServer({ ...own, crl: [...crl], requestCert: true, rejectUnauthorized: true })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as { port: number }
    const said = Promise.withResolvers<string>()
    server.on('secureConnection', socket => {
      said.resolve('served')
      socket.destroy()
    })
    server.on('tlsClientError', (error, socket) => said.resolve(String(socket.authorizationError ?? error.message)))
    const client = tls.connect({ ...own, port, host: '127.0.0.1', checkServerIdentity: () => undefined })
    client.on('error', () => {})
    client.resume()
    try {
      return await said.promise
    } finally {
      client.destroy()
      server.close()
    }
  }
  const empty = listOf(root, [])
  assert.equal(await asked([listOf(signer, []), empty]), 'served')
  assert.match(await asked([listOf(signer, [leaf.serial]), empty]), /CERT_REVOKED/)
  assert.match(await asked([listOf(signer, [], { nextUpdate: now - 1000 }), empty]), /CRL_HAS_EXPIRED/)
})

test('a list that says where it is found is taken, one of some certificates only is not', async () => {
  const { signer } = await authority()
  const pem = (point: readonly Uint8Array[]): string =>
    signAs('X509 CRL', signer.key, algorithm => [
      integer(Uint8Array.of(1)),
      algorithm,
      sequence(),
      time(now),
      time(now + dayMs),
      der(0xa0, sequence(sequence(oid('2.5.29.28'), yes, octets(sequence(...point))))),
    ])
  const found = der(0xa0, der(0xa0, text(0x86, 'https://ca.test/crl')))
  for (const whole of [[found], [found, der(0x81, Uint8Array.of(0xff))]]) assert.equal(readCrls(pem(whole)).length, 1)
  for (const part of [0x82, 0x84, 0x85]) assert.throws(() => readCrls(pem([found, der(part, Uint8Array.of(0xff))])), /of some certificates/)
  assert.throws(() => readCrls(pem([der(0x83, Uint8Array.of(1, 0x02))])), /some reasons only/)
})
