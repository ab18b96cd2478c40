import assert from 'node:assert/strict'
import { test } from 'node:test'
import { TestClock } from '#base/clock'
import { silent } from '#base/log'
import { writeBundle } from '#identity/bundle'
import { createRoot, issueLeaf } from '#identity/issue'
import { newKey } from '#identity/key'
import { workloadId } from '#identity/spiffe'
import { readCertificate } from '#identity/certificate'
import type { HttpQuestion, Reply } from '#io/ask-http'
import { temporaryFolder } from '#io/files'
import { admit } from '#resources/validate'
import { Federation } from './federation.ts'
import { openStore, type Store } from './store.ts'

const begin = Date.parse('2026-06-01T00:00:00Z')
const roots = await Promise.all([1, 2].map(async () => createRoot('one.test', await newKey(), begin)))
const bundle = (sequence: number, ...those: readonly number[]): string =>
  writeBundle({ roots: those.map(at => roots[at]!.root), sequence, refreshHintS: 60 })

/** Tells whether something waits for a time to come. */
class WaitedClock extends TestClock {
  pending = 0
  override after(ms: number, run: () => void): () => void {
    this.pending++
    let isOver = false
    const over = (): void => {
      if (!isOver) this.pending--
      isOver = true
    }
    const cancel = super.after(ms, () => (over(), run()))
    return () => (over(), cancel())
  }
}

/** A mesh with one TrustDomain; what its endpoint answers may be set at any time. */
async function meet(folder: string, spec: object, answer: (question: HttpQuestion) => string | Error, from = begin) {
  const clock = new WaitedClock(from)
  const store: Store = openStore({ path: ':memory:' })
  const asked: HttpQuestion[] = []
  let changes = 0
  const put = (what: object): void => {
    const resource = admit({
      apiVersion: 'weft.dev/v1alpha1',
      kind: 'TrustDomain',
      metadata: { name: 'one' },
      spec: { trustDomain: 'one.test', ...what },
    })
    const before = store.get({ group: 'weft.dev', kind: 'TrustDomain', namespace: '', name: 'one' })
    store.transact([before === undefined ? { type: 'create', resource } : { type: 'update', resource: { ...before, spec: resource.spec } }])
  }
  put(spec)
  const federation = new Federation({
    store,
    folder,
    clock,
    log: silent,
    onChange: () => changes++,
    ask: async (question): Promise<Reply> => {
      asked.push(question)
      const body = answer(question)
      if (body instanceof Error) throw body
      return { status: 200, body, bytes: Buffer.from(body), type: 'application/json' }
    },
  })
  const known = () => federation.known()['one']
  const settled = async (holds: () => boolean): Promise<void> => {
    for (let nth = 0; !holds(); nth++) {
      assert.ok(nth < 500, JSON.stringify({ known: known(), asked: asked.length }))
      await new Promise(resolve => setTimeout(resolve, 10))
    }
  }
  return { clock, store, put, asked, known, settled, changes: () => changes, close: () => (federation.close(), store.close()) }
}
const endpoint = { bundleEndpoint: { url: 'https://one.test/' } }

test('a bundle is asked for again as often as it says, a failure keeps the last good one, and a restart too', async () => {
  await using folder = await temporaryFolder()
  let answer: string | Error = bundle(1, 0)
  const mesh = await meet(folder.path, endpoint, () => answer)
  await mesh.settled(() => mesh.known()?.sequence === 1)
  assert.deepEqual(mesh.known()!.roots, [roots[0]!.root])
  assert.equal(mesh.known()!.refreshedAt, '2026-06-01T00:00:00Z')

  answer = bundle(2, 0, 1)
  await mesh.settled(() => mesh.clock.pending > 0)
  mesh.clock.advance(59_000)
  assert.equal(mesh.asked.length, 1)
  mesh.clock.advance(2000)
  await mesh.settled(() => mesh.known()?.sequence === 2)
  assert.equal(mesh.known()!.roots.length, 2)

  answer = new Error('https://one.test does not answer')
  await mesh.settled(() => mesh.clock.pending > 0)
  mesh.clock.advance(61_000)
  await mesh.settled(() => mesh.known()?.failing !== undefined)
  assert.equal(mesh.known()!.roots.length, 2)
  const changes = mesh.changes()
  await mesh.settled(() => mesh.clock.pending > 0)
  const times = mesh.asked.length
  mesh.clock.advance(5000)
  await mesh.settled(() => mesh.asked.length > times)
  assert.equal(mesh.changes(), changes, 'the same failure is told once')
  mesh.close()

  const later = await meet(folder.path, endpoint, () => answer, begin + 86_400_000)
  await later.settled(() => later.known()?.failing !== undefined)
  assert.deepEqual([later.known()!.roots.length, later.known()!.refreshedAt], [2, '2026-06-01T00:01:01Z'])
  later.put({ bundleEndpoint: { url: 'https://elsewhere.test/' } })
  await later.settled(() => later.known()?.failing !== undefined && later.asked.at(-1)!.url.includes('elsewhere'))
  assert.equal(later.known()!.roots.length, 0, 'of another place nothing is known')
  later.close()
})

test('what is no bundle, and one without a root, is a failure with its reason', async () => {
  for (const [answer, says] of [
    ['<html>', /the bundle cannot be read: it is neither JSON nor PEM/],
    ['{"keys":[]}', /tells no root/],
  ] as const) {
    await using folder = await temporaryFolder()
    const mesh = await meet(folder.path, endpoint, () => answer)
    await mesh.settled(() => mesh.known()?.failing !== undefined)
    assert.match(mesh.known()!.failing!, says)
    mesh.close()
  }
})

test('by SPIFFE the server is judged by the bundle that is known, the first one and then the newest', async () => {
  await using folder = await temporaryFolder()
  const id = 'spiffe://one.test/ns/weft-system/sa/control'
  const spiffe = { bundleEndpoint: { url: 'https://one.test/', profile: 'HTTPSSPIFFE', spiffeID: id }, bundle: roots[0]!.root }
  const mesh = await meet(folder.path, spiffe, () => bundle(1, 1))
  await mesh.settled(() => mesh.known()?.sequence === 1)
  assert.equal(mesh.asked[0]!.ca, roots[0]!.root)
  const shown = async (serviceAccount: string): Promise<Uint8Array> => {
    const { chain } = issueLeaf(
      roots[0]!,
      (await newKey()).public,
      workloadId('one.test', { namespace: 'weft-system', serviceAccount }),
      begin,
    )
    return readCertificate(chain[0]!).raw
  }
  assert.equal(mesh.asked[0]!.expectedServer!(await shown('control')), undefined)
  assert.match(mesh.asked[0]!.expectedServer!(await shown('other'))!, /the peer is \S+other, expected \S+control/)
  await mesh.settled(() => mesh.clock.pending > 0)
  mesh.clock.advance(61_000)
  await mesh.settled(() => mesh.asked.length > 1)
  assert.equal(mesh.asked[1]!.ca, roots[1]!.root)
  mesh.close()
})

test('an inline bundle that cannot be read is said to be so', async () => {
  await using folder = await temporaryFolder()
  const mesh = await meet(folder.path, { bundle: 'hello' }, () => new Error('nobody is asked'))
  assert.match(mesh.known()!.invalid!, /neither JSON nor PEM/)
  mesh.put({ bundle: roots[0]!.root })
  assert.deepEqual(mesh.known()!.roots, [roots[0]!.root])
  assert.equal(mesh.asked.length, 0)
  mesh.close()
})
