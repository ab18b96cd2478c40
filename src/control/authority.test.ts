import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { chmod, readdir, rm, stat, truncate, writeFile } from 'node:fs/promises'
import { test } from 'node:test'
import { type Clock, systemClock, TestClock } from '#base/clock'
import { type Log, silent } from '#base/log'
import { makeCsr } from '#identity/csr'
import { newKey } from '#identity/key'
import { workloadId } from '#identity/spiffe'
import { temporaryFolder } from '#io/files'
import { type Authority, openAuthority } from './authority.ts'

const orders = workloadId('test.mesh', { namespace: 'default', serviceAccount: 'orders' })
const day = 86_400_000

async function open(folder: string, clock: Clock = systemClock, log: Log = silent, trustDomain = 'test.mesh'): Promise<Authority> {
  const authority = await openAuthority({ folder, trustDomain, clock, log })
  authority.close()
  return authority
}

test('the first start makes keys that only the owner can read; the second start has the same root', async () => {
  await using folder = await temporaryFolder()
  const first = await open(`${folder.path}/ca`)
  const second = await open(`${folder.path}/ca`)
  assert.deepEqual(second.roots(), first.roots())
  const files = await readdir(`${folder.path}/ca`)
  assert.deepEqual(files.toSorted(), ['intermediate.pem', 'root.pem', 'tokens.pem'])
  for (const file of files) assert.equal((await stat(`${folder.path}/ca/${file}`)).mode & 0o777, 0o600)
  const { token } = await first.issueToken({ identity: orders, xds: 'localhost:7071' })
  assert.equal((await second.verifyToken(token)).identity, orders)
})

test('a leaf lives as long as asked, at most a day, and verifies by openssl', async t => {
  await using folder = await temporaryFolder()
  const authority = await open(folder.path)
  const csr = makeCsr(await newKey(), orders)
  const lives = [60_000, 0, 30 * day]
  const ends = await Promise.all(lives.map(async lifeMs => (await authority.issue(csr, orders, lifeMs)).notAfter - Date.now()))
  for (const [at, expected] of [60_000, day, day].entries()) assert.ok(Math.abs(ends[at]! - expected) < 5_000, `${ends[at]}`)

  const { chain } = await authority.issue(csr, orders)
  const shown = authority.serverCertificate().cert
  await Promise.all(['leaf', 'intermediate', 'root'].map((name, at) => writeFile(`${folder.path}/${name}.crt`, chain[at]!)))
  await writeFile(`${folder.path}/server.crt`, shown)
  try {
    execFileSync('openssl', ['version'])
  } catch {
    return t.skip('openssl is not installed')
  }
  const verify = (...args: string[]): string =>
    execFileSync('openssl', [
      'verify',
      '-x509_strict',
      '-CAfile',
      `${folder.path}/root.crt`,
      '-untrusted',
      `${folder.path}/intermediate.crt`,
      ...args,
    ]).toString()
  assert.match(verify('-purpose', 'sslclient', `${folder.path}/leaf.crt`), /OK/)
  assert.match(
    verify('-purpose', 'sslserver', '-verify_hostname', 'localhost', '-verify_ip', '127.0.0.1', `${folder.path}/server.crt`),
    /OK/,
  )
})

test('an authority that gives short lives gives nobody a longer one', async () => {
  await using place = await temporaryFolder('weft-authority-')
  const authority = await openAuthority({
    folder: place.path,
    trustDomain: 'test.mesh',
    clock: systemClock,
    log: silent,
    leafLifeMs: 60_000,
  })
  const csr = makeCsr(await newKey(), orders)
  const lives = await Promise.all(
    [0, 20_000, 3_600_000].map(async lifeMs => (await authority.issue(csr, orders, lifeMs)).notAfter - Date.now()),
  )
  assert.deepEqual(
    lives.map(ms => Math.round(ms / 5000) * 5),
    [60, 20, 60],
  )
  authority.close()
})

test('the intermediate is replaced after two thirds of its year, and what the old one signed stays good', async () => {
  await using folder = await temporaryFolder()
  const clock = new TestClock(Date.now())
  const authority = await open(folder.path, clock)
  const csr = makeCsr(await newKey(), orders)
  clock.advance(242 * day)
  const before = await authority.issue(csr, orders)
  clock.advance(2 * day)
  const [after, same] = await Promise.all([authority.issue(csr, orders), authority.issue(csr, orders)])
  assert.notEqual(after.chain[1], before.chain[1])
  assert.equal(after.chain[1], same.chain[1])
  assert.equal(after.chain[2], before.chain[2])
  const identify = (chain: readonly string[]) => authority.identify(chain.map(pem => new X509Certificate(pem).raw))
  assert.ok('peer' in identify(after.chain))
  clock.advance(-1.5 * day)
  assert.ok('peer' in identify(before.chain))
  const again = await open(folder.path, new TestClock(Date.now() + 250 * day))
  assert.equal(again.certificates().filter(certificate => certificate.use === 'intermediate').length, 1)
})

test('keys that others may read are complained about', async () => {
  await using folder = await temporaryFolder()
  await open(folder.path)
  await chmod(`${folder.path}/root.pem`, 0o644)
  const warnings: string[] = []
  await open(folder.path, systemClock, { ...silent, warn: (says, fields) => void warnings.push(`${says} ${fields?.['path']}`) })
  assert.deepEqual(warnings, [`a private key can be read by others; run: chmod 600 ${folder.path}/root.pem`])
})

test('a folder that cannot be used is named with what to do', async () => {
  await using folder = await temporaryFolder()
  const ca = `${folder.path}/ca`
  await open(ca)
  await assert.rejects(
    open(ca, systemClock, silent, 'other.mesh'),
    /root\.pem is the root of spiffe:\/\/test\.mesh, not of the trust domain other\.mesh/,
  )
  await assert.rejects(open(ca, new TestClock(Date.now() + 4000 * day)), /expired at .*; move .*ca away to begin anew/)
  await assert.rejects(open(ca, systemClock, silent, 'Not A Domain'), /cannot be a trust domain/)
  await truncate(`${ca}/root.pem`, 300)
  await assert.rejects(open(ca), /cannot use .*root\.pem: .*; restore it from a backup/)
  await rm(`${ca}/root.pem`)
  await assert.rejects(open(ca), /has intermediate\.pem but no root\.pem; restore it/)
  await writeFile(`${folder.path}/file`, '')
  await assert.rejects(open(`${folder.path}/file`), /cannot make the folder .*file: /)
})

test('an unreadable key is an error and not a new root', async t => {
  if (process.getuid?.() === 0) return t.skip('root may read everything')
  await using folder = await temporaryFolder()
  await open(folder.path)
  await chmod(`${folder.path}/root.pem`, 0)
  await assert.rejects(open(folder.path), /cannot read .*root\.pem: this user may not/)
})

test('a request that is no request, names another, or is not signed by its key is refused', async () => {
  await using folder = await temporaryFolder()
  const authority = await open(folder.path)
  const csr = makeCsr(await newKey(), orders)
  await assert.rejects(authority.issue('hello', orders), /not PKCS#10 in PEM form/)
  await assert.rejects(
    authority.issue(csr, workloadId('test.mesh', { namespace: 'a', serviceAccount: 'b' })),
    /asks for .*orders, but its sender is/,
  )
  const der = Buffer.from(csr.replace(/-----[^-]+-----|\s/g, ''), 'base64')
  der[der.length - 5]! ^= 1
  await assert.rejects(
    authority.issue(`-----BEGIN CERTIFICATE REQUEST-----\n${der.toString('base64')}\n-----END CERTIFICATE REQUEST-----\n`, orders),
    /not signed by the key that it names/,
  )
})
