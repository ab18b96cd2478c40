import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { test, type TestContext } from 'node:test'
import { createIntermediate, createRoot, issueLeaf, type Signer } from './issue.ts'
import { newKey } from './key.ts'
import { workloadId } from './spiffe.ts'
import { type Expected, type Refusal, verifyPeer } from './verify.ts'

const now = Date.now()
const hour = 3_600_000
const day = 24 * hour
const td = 'test.mesh'
const orders = workloadId(td, { namespace: 'default', serviceAccount: 'orders' })
const root = createRoot(td, await newKey(), now)
const intermediate = createIntermediate(root, await newKey(), now)
const key = await newKey()
const expected: Expected = { roots: [root.certificate], trustDomain: td, role: 'client' }

const parse = (chain: readonly string[]): X509Certificate[] => chain.map(pem => new X509Certificate(pem))
const leafOf = (signer: Signer, at = now, id = orders): X509Certificate[] =>
  parse(issueLeaf(signer, key.public, id, at, { lifeMs: hour }).chain)

function refusedAs(chain: readonly X509Certificate[], code: Refusal, says: RegExp, more: Partial<Expected> = {}, at = now): void {
  const judged = verifyPeer(chain, { ...expected, ...more }, at)
  assert.ok('refused' in judged, JSON.stringify(judged))
  assert.equal(judged.code, code, judged.refused)
  assert.match(judged.refused, says)
}

test('a leaf of this mesh proves its id, in both roles, with its intermediate presented or known', () => {
  const chain = leafOf(intermediate)
  for (const role of ['client', 'server'] as const)
    assert.deepEqual(verifyPeer(chain, { ...expected, role, ids: [orders] }, now), verifyPeer(chain, expected, now))
  const judged = verifyPeer(chain, expected, now)
  assert.ok('peer' in judged)
  assert.equal(judged.peer, orders)
  assert.equal(judged.serial, chain[0]!.serialNumber.toLowerCase())
  assert.ok('peer' in verifyPeer(chain.slice(0, 1), { ...expected, intermediates: [intermediate.certificate] }, now))
  assert.ok(
    'peer' in
      verifyPeer(
        [...chain].map(one => one.raw),
        expected,
        now,
      ),
  )
})

test('each thing that is wrong has its own reason', () => {
  const chain = leafOf(intermediate)
  refusedAs([], 'unreadable', /no certificate/)
  refusedAs(chain, 'expired', /the certificate expired at/, {}, now + 2 * hour)
  refusedAs(chain, 'not-yet-valid', /do the clocks of both hosts agree/, {}, now - hour)
  refusedAs(chain.slice(0, 1), 'unknown-issuer', /not signed by a root/)
  refusedAs(chain, 'wrong-trust-domain', /is of the trust domain test\.mesh, not other\.mesh/, { trustDomain: 'other.mesh' })
  refusedAs(chain, 'wrong-id', /the peer is .*orders, expected .*cart/, {
    ids: [workloadId(td, { namespace: 'default', serviceAccount: 'cart' })],
  })
  refusedAs(chain, 'wrong-id', /expected nobody/, { ids: [] })
  refusedAs(parse([intermediate.chain[0]!, root.root]), 'signing-certificate', /signs others/)
  const judged = verifyPeer([new Uint8Array([1, 2, 3])], expected, now)
  assert.ok('refused' in judged && judged.code === 'unreadable')
})

test('another authority with the same names does not pass', async () => {
  const impostor = createIntermediate(createRoot(td, await newKey(), now), await newKey(), now)
  const chain = leafOf(impostor)
  refusedAs(chain, 'unknown-issuer', /not signed by a root/)
  refusedAs([chain[0]!, intermediate.certificate, root.certificate], 'unknown-issuer', /not signed by a root/)
})

test('a leaf cannot sign another leaf', () => {
  const chain = leafOf(intermediate)
  const forger: Signer = { ...intermediate, key, certificate: chain[0]!, chain: [chain[0]!.toString(), ...intermediate.chain] }
  refusedAs(leafOf(forger), 'unknown-issuer', /not signed by a root/)
})

test('an expired intermediate is the reason given, and a newer one under the same name leads on', async () => {
  const shortKey = await newKey()
  const short = createIntermediate(root, shortKey, now, day)
  const chain = leafOf(short, now + day - 60_000)
  const after = now + day + 60_000
  // the leaf's life is cut to its signer's
  refusedAs(chain, 'expired', /the certificate expired/, {}, after)
  const again = createIntermediate(root, shortKey, now + day, day)
  const leaf = leafOf(again, now + day)
  refusedAs([leaf[0]!, short.certificate], 'expired', /the intermediate certificate that signed it expired/, {}, after)
  assert.ok('peer' in verifyPeer([leaf[0]!, short.certificate, again.certificate], expected, after))
})

/** Leaves that our authority never makes, made by openssl under our intermediate. */
function odd(t: TestContext, extensions: string): X509Certificate[] | undefined {
  const folder = mkdtempSync(`${tmpdir()}/weft-odd-`)
  t.after(() => rmSync(folder, { recursive: true }))
  try {
    writeFileSync(`${folder}/ca.key`, intermediate.key.pem)
    writeFileSync(`${folder}/ca.pem`, intermediate.chain[0]!)
    writeFileSync(`${folder}/leaf.key`, key.pem)
    writeFileSync(`${folder}/ext`, extensions)
    const run = (args: string): unknown => execFileSync('openssl', args.split(' '), { cwd: folder, stdio: 'pipe' })
    run('req -new -key leaf.key -subj /CN=odd -out leaf.csr')
    run('x509 -req -in leaf.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 1 -extfile ext -out leaf.pem')
    return parse([readFileSync(`${folder}/leaf.pem`, 'utf8'), intermediate.chain[0]!])
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code !== 'ENOENT') throw thrown
    t.skip('openssl is not installed')
    return undefined
  }
}

const oddities: readonly (readonly [string, string, Refusal, RegExp])[] = [
  ['no URI at all', 'subjectAltName=DNS:orders', 'no-id', /names no SPIFFE id/],
  ['two URIs', `subjectAltName=URI:${orders},URI:spiffe://test.mesh/ns/default/sa/cart`, 'many-ids', /more than one URI/],
  ['a URI that is no SPIFFE id', 'subjectAltName=URI:https://test.mesh/orders', 'bad-id', /does not begin with spiffe/],
  ['an id without a workload', 'subjectAltName=URI:spiffe://test.mesh', 'bad-id', /names the trust domain itself/],
  [
    'an id of another trust domain',
    'subjectAltName=URI:spiffe://other.mesh/ns/a/sa/b',
    'wrong-trust-domain',
    /other\.mesh, not test\.mesh/,
  ],
  ['a DNS name that looks like a URI', 'subjectAltName=DNS:URI:spiffe://test.mesh/ns/a/sa/b', 'no-id', /names no SPIFFE id/],
  ['a use for servers only', `subjectAltName=URI:${orders}\nextendedKeyUsage=serverAuth`, 'wrong-usage', /not for a TLS client/],
]
for (const [what, extensions, code, says] of oddities) {
  test(`a leaf with ${what} is refused`, t => {
    const chain = odd(t, extensions)
    if (chain) refusedAs(chain, code, says, {}, Date.now())
  })
}

test('a leaf says what X509-SVID asks for, as openssl reads it', t => {
  const [leaf] = leafOf(intermediate)
  let text: string
  try {
    text = execFileSync('openssl', ['x509', '-noout', '-text'], { input: leaf!.toString() }).toString()
  } catch {
    return t.skip('openssl is not installed')
  }
  assert.match(text, /Subject: *\n/)
  assert.match(text, new RegExp(`Subject Alternative Name: critical\\n *URI:${orders}\\n`))
  assert.match(text, /Key Usage: critical\n *Digital Signature\n/)
  assert.match(text, /Extended Key Usage: *\n *TLS Web Server Authentication, TLS Web Client Authentication\n/)
  assert.match(text, /Basic Constraints: critical\n *CA:FALSE/)
  assert.equal(leaf!.serialNumber.length, 32)
  assert.equal(leaf!.validFromDate.getTime(), Math.floor((now - 300_000) / 1000) * 1000)
})
