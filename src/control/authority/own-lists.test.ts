import assert from 'node:assert/strict'
import { copyFile, readdir, rm } from 'node:fs/promises'
import { test } from 'node:test'
import { TestClock } from '#base/clock'
import { silent } from '#base/log'
import { readCertificate } from '#identity/certificate'
import { readCrls } from '#identity/crl'
import { makeCsr } from '#identity/csr'
import { newKey } from '#identity/key'
import { workloadId } from '#identity/spiffe'
import { temporaryFolder } from '#io/files'
import { openAuthority, openIssuedBook } from '../authority.ts'
import { RevokedError, Withdrawn } from '../withdrawn.ts'

const web = workloadId('test.mesh', { namespace: 'shop', serviceAccount: 'web' })
const cart = workloadId('test.mesh', { namespace: 'shop', serviceAccount: 'cart' })
const day = 86_400_000

async function open(folder: string, clock: TestClock) {
  const book = openIssuedBook({ path: `${folder}/issued.db`, clock })
  const withdrawn = new Withdrawn(book)
  const authority = await openAuthority({ folder: `${folder}/ca`, trustDomain: 'test.mesh', clock, log: silent, withdrawn })
  return { authority, withdrawn, close: () => (authority.close(), book[Symbol.dispose]()) }
}

test('a revoked identity gets no certificate and no token, and what it has stands on the list, also after a restart', async () => {
  await using folder = await temporaryFolder()
  const clock = new TestClock(Date.now())
  const first = await open(folder.path, clock)
  const csr = makeCsr(await newKey(), web)
  const { serial, chain } = await first.authority.issue(csr, web)
  const other = await first.authority.issue(makeCsr(await newKey(), cart), cart)
  assert.equal(first.authority.lists().isNeeded, false)

  const revoked = [{ by: 'lost', reason: 'KeyCompromise', identity: { type: 'exact', value: web } }] as const
  first.withdrawn.set(revoked)
  await assert.rejects(first.authority.issue(csr, web), RevokedError)
  await assert.rejects(first.authority.issueToken({ identity: web, xds: 'localhost:1' }), RevokedError)
  const presented = chain.slice(0, 2).map(pem => readCertificate(pem).raw)
  assert.match((first.authority.identify(presented) as { refused: string }).refused, /was revoked by Revocation lost \(KeyCompromise\)/)
  const { pem, isNeeded, areWhole } = first.authority.lists()
  assert.deepEqual([isNeeded, areWhole], [true, true])
  const [list] = readCrls(pem[0]!)
  assert.deepEqual([...list!.entries.keys()], [serial])
  assert.equal(list!.entries.get(serial)!.reason, 1)
  assert.equal(list!.isSignedBy(readCertificate(chain[1]!)), true)
  first.close()

  clock.advance(3_600_000)
  const second = await open(folder.path, clock)
  second.withdrawn.set(revoked)
  const [later] = readCrls(second.authority.lists().pem[0]!)
  assert.deepEqual([...later!.entries], [...list!.entries], 'the date of the revocation is that of the first time')
  assert.ok(later!.number! > list!.number!)
  second.withdrawn.set([])
  assert.equal(second.authority.lists().isNeeded, false)
  await second.authority.issue(csr, web)
  second.withdrawn.set([{ by: 'one', reason: 'Superseded', serial: other.serial }])
  assert.deepEqual([...readCrls(second.authority.lists().pem[0]!)[0]!.entries.keys()], [other.serial])
  await second.authority.issue(makeCsr(await newKey(), cart), cart)
  second.close()
})

test('an intermediate that was replaced signs lists as long as what it signed may be good, also after a restart, and no longer', async () => {
  await using folder = await temporaryFolder()
  const clock = new TestClock(Date.now())
  const first = await open(folder.path, clock)
  const before = await first.authority.issue(makeCsr(await newKey(), web), web)
  await first.authority.rotation!.step()
  await first.authority.rotation!.step()
  const issuers = (await readdir(`${folder.path}/ca`)).filter(name => name.startsWith('former-'))
  assert.equal(issuers.length, 1)
  first.withdrawn.set([{ by: 'one', reason: 'Superseded', serial: before.serial }])
  const isListed = (lists: readonly string[]): boolean =>
    lists.flatMap(readCrls).some(list => list.entries.has(before.serial) && list.isSignedBy(readCertificate(before.chain[1]!)))
  assert.equal(isListed(first.authority.lists().pem), true)
  assert.equal(first.authority.lists().pem.length, 4, 'two intermediates and two roots')
  first.close()
  const second = await open(folder.path, clock)
  second.withdrawn.set([{ by: 'one', reason: 'Superseded', serial: before.serial }])
  assert.equal(isListed(second.authority.lists().pem), true)
  second.close()
  clock.advance(2 * day)
  const third = await open(folder.path, clock)
  assert.equal(
    (await readdir(`${folder.path}/ca`)).some(name => name.startsWith('former-')),
    false,
  )
  third.close()
})

test('the intermediate of a root that was retired is not told of any more, although it still signs lists', async () => {
  await using folder = await temporaryFolder()
  const { authority, close } = await open(folder.path, new TestClock(Date.now()))
  const told = (): readonly string[] => authority.certificates().map(({ use }) => use)
  await authority.rotation!.step()
  await authority.rotation!.step()
  assert.deepEqual(told(), ['root', 'root', 'intermediate', 'intermediate', 'control'])
  await authority.rotation!.step()
  assert.deepEqual(told(), ['root', 'intermediate', 'control'])
  close()
})

test('a step of the root that a crash breaks off is gone on with: what was signed before can still be revoked, and no key of a root stays behind', async () => {
  await using folder = await temporaryFolder()
  const clock = new TestClock(Date.now())
  const ca = `${folder.path}/ca`
  const roots = async () => (await readdir(ca)).filter(name => /^root.*pem$/.test(name))
  const first = await open(folder.path, clock)
  const { serial, chain } = await first.authority.issue(makeCsr(await newKey(), web), web)
  const before = readCertificate(chain[1]!)
  await first.authority.rotation!.step()
  first.close()
  assert.equal((await roots()).length, 2)
  for (const name of [...(await roots()), 'intermediate.pem']) await copyFile(`${ca}/${name}`, `${folder.path}/${name}`)

  // The index says that the new root signs, and the intermediate is not made yet.
  const second = await open(folder.path, clock)
  await second.authority.rotation!.step()
  second.close()
  for (const name of await readdir(ca)) if (name.startsWith('former-')) await rm(`${ca}/${name}`)
  await copyFile(`${folder.path}/intermediate.pem`, `${ca}/intermediate.pem`)
  const third = await open(folder.path, clock)
  assert.equal(third.authority.rotation!.state().stage, 'signing')
  third.withdrawn.set([{ by: 'lost', reason: 'KeyCompromise', serial }])
  const list = readCrls(third.authority.lists().pem.join('')).find(crl => crl.isSignedBy(before))
  assert.deepEqual([...(list?.entries.keys() ?? [])], [serial])
  const after = await third.authority.issue(makeCsr(await newKey(), cart), cart)
  assert.deepEqual(
    [serial, after.serial, 'ff'].map(each => third.authority.rotation!.isCurrent(each)),
    [false, true, undefined],
  )
  third.close()
  const restarted = await open(folder.path, clock)
  assert.deepEqual(
    [serial, after.serial, 'ff'].map(each => restarted.authority.rotation!.isCurrent(each)),
    [false, true, undefined],
    'after a restart',
  )
  restarted.close()
  const fourth = await open(folder.path, clock)
  assert.ok('peer' in fourth.authority.identify(after.chain.map(pem => readCertificate(pem).raw)))

  // The old root is trusted no more, and its key is not yet destroyed.
  await fourth.authority.rotation!.step()
  fourth.close()
  const [kept] = await roots()
  await copyFile(`${folder.path}/root.pem`, `${ca}/root.pem`)
  const fifth = await open(folder.path, clock)
  assert.deepEqual([fifth.authority.rotation!.state().stage, await roots()], ['steady', [kept]])
  fifth.close()
})
