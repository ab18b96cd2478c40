/** The mesh's own authority: a root and an intermediate in a folder, made at the first start, the intermediate renewed in time, the root replaced in stages. */

import type { Clock } from '#base/clock'
import { makeCrl } from '#identity/crl'
import { type Certificate, lifeOf, readCertificate } from '#identity/certificate'
import { createIntermediate, issueLeaf, openSigner, type Signer } from '#identity/issue'
import { newKey } from '#identity/key'
import { renewAt } from '#identity/rotation'
import { listFolder, makeFolder, removeFile } from '#io/files'
import { type Issuer, IssuerDown } from './issuer.ts'
import { readPair, within, writePair } from './kept.ts'
import { kept, nextRoots, openRoots, type Roots, type RootsPlace } from './own-roots.ts'
import type { RotationState } from './rotation.ts'

/** So many serial numbers are remembered: more proxies than one control plane serves. */
const mostSerials = 100_000
const file = 'intermediate.pem'
/** What was signed before an intermediate was replaced is good for at most so long; until then it must be able to sign revocation lists. */
const afterwardsMs = 25 * 3_600_000

/** onChange: roots() says something else from now on. */
export async function openOwn(place: RootsPlace & { readonly onChange?: (() => void) | undefined }): Promise<Issuer> {
  const { clock, log } = place
  await makeFolder(place.folder, 0o700)
  let roots = await openRoots(place)
  let signer = await openIntermediate(place, roots)
  let former = await openFormer(place, signer)
  let known: readonly Certificate[] = [signer.certificate, ...former.map(each => each.certificate)]
  const makeNext = async (after: Roots): Promise<void> => {
    const before = signer
    signer = await makeIntermediate(place, after)
    known = [...known, signer.certificate]
    former = [...former, before]
    await keepFormer(place, before)
  }
  let serials = new Set<string>()
  let earlier = new Set<string>()
  let renewing: Promise<Signer> | undefined

  const renew = async (): Promise<Signer> => {
    try {
      await makeNext(roots)
    } catch (thrown) {
      if (clock.now() > lifeOf(signer.certificate).notAfter) throw thrown
      log.error('the intermediate certificate could not be renewed; the old one signs on', { error: thrown })
    } finally {
      renewing = undefined
    }
    return signer
  }

  const state = (): RotationState => ({
    stage: roots.stage,
    since: roots.since,
    isAutomatic: roots.isAutomatic,
    root: roots.root.certificate,
    ...(roots.other === undefined ? {} : { other: roots.other.certificate }),
  })

  /** One at a time: two callers who ask for the next step mean the same one. */
  let stepping: Promise<RotationState> | undefined
  const step = async (): Promise<RotationState> => {
    try {
      const before = roots.file
      const after = await nextRoots(place, roots)
      // From here on it is on disk; an intermediate of the old root that a crash leaves there is replaced at the next start.
      if (after.file !== before) {
        await makeNext(after)
        earlier = serials
        serials = new Set()
      }
      roots = after
      log.info('the root certificate is being replaced', { stage: roots.stage })
      place.onChange?.()
      return state()
    } finally {
      stepping = undefined
    }
  }

  return {
    type: 'BuiltIn',
    roots: () => [roots.root.certificate, ...(roots.other === undefined ? [] : [roots.other.certificate])],
    anchor: () => (roots.stage === 'signing' ? roots.other! : roots.root).certificate,
    intermediates: () => known,
    async sign({ publicKey, identity, lifeMs, dns = [], ips = [] }) {
      const { notAfter } = lifeOf(roots.root.certificate)
      if (clock.now() >= notAfter)
        throw new IssuerDown(
          `the root certificate expired at ${new Date(notAfter).toISOString()}: nothing can be signed; weft cert doctor says how to mend it`,
        )
      const by = isDue(signer, roots, clock) ? await (renewing ??= renew()) : signer
      const issued = issueLeaf(by, publicKey, identity, clock.now(), { lifeMs, dns, ips })
      if (serials.size < mostSerials) serials.add(issued.serial)
      const chain = issued.chain.filter(pem => pem !== by.root)
      return { ...issued, chain: roots.cross === undefined ? chain : [...chain, roots.cross] }
    },
    signLists: wanted => {
      const authorities = [roots.root, ...(roots.other === undefined ? [] : [roots.other])].map(by =>
        makeCrl(by, { ...wanted, entries: [] }),
      )
      return [...[signer, ...former].map(by => makeCrl(by, wanted)), ...authorities]
    },
    rotation: {
      state,
      step: () => (stepping ??= step()),
      async setAutomatic(isAutomatic) {
        roots = await kept(place, { ...roots, isAutomatic })
      },
      isCurrent: serial => (serials.has(serial) ? true : earlier.has(serial) ? false : undefined),
    },
    close() {},
  }
}

/** One that lasts as long as the root would be replaced by nothing better. */
const isDue = ({ certificate }: Signer, { root }: Roots, clock: Clock): boolean =>
  lifeOf(certificate).notAfter < lifeOf(root.certificate).notAfter && clock.now() >= renewAt(lifeOf(certificate), 0.5)

async function openIntermediate(place: RootsPlace, roots: Roots): Promise<Signer> {
  const pair = await readPair(place, file)
  if (pair === undefined) return makeIntermediate(place, roots)
  /** What it signed may have to be revoked still. */
  const replace = async (before: Signer): Promise<Signer> => {
    await keepFormer(place, before)
    return makeIntermediate(place, roots)
  }
  const path = `${place.folder}/${file}`
  const open = (root: Signer): Signer => within(path, () => openSigner(place.trustDomain, pair.key, pair.certificate, root.root))
  let signer: Signer
  try {
    signer = open(roots.root)
  } catch (thrown) {
    if (roots.other === undefined && roots.file === 'root.pem') throw thrown
    // Of the root that signed before the step that was taken last.
    return roots.other === undefined ? makeIntermediate(place, roots) : replace(open(roots.other))
  }
  return isDue(signer, roots, place.clock) ? replace(signer) : signer
}

async function makeIntermediate(place: RootsPlace, { root }: Roots): Promise<Signer> {
  const signer = createIntermediate(root, await newKey(), place.clock.now())
  await writePair(place, file, { key: signer.key, certificate: signer.chain[0]! })
  place.log.info('made a new intermediate certificate', { path: `${place.folder}/${file}` })
  return signer
}

/** Until when it is needed stands in its name. */
const keepFormer = async (place: RootsPlace, signer: Signer): Promise<void> =>
  writePair(place, `former-${Math.ceil((place.clock.now() + afterwardsMs) / 1000)}.pem`, {
    key: signer.key,
    certificate: signer.certificate.toString(),
  })

/** Intermediates that sign no certificates any more. current: in what shape. */
async function openFormer(place: RootsPlace, current: Signer): Promise<readonly Signer[]> {
  const found: Signer[] = []
  for (const { name } of (await listFolder(place.folder)) ?? []) {
    const [, until] = /^former-(\d+)\.pem$/.exec(name) ?? []
    if (until === undefined) continue
    const pair = Number(until) * 1000 > place.clock.now() ? await readPair(place, name) : undefined
    if (pair === undefined) await removeFile(`${place.folder}/${name}`)
    else found.push({ ...current, key: pair.key, certificate: readCertificate(pair.certificate), chain: [pair.certificate] })
  }
  return found
}
