/** The roots that the mesh made itself, in its folder: which one signs, which other one is trusted, and the step from one to the next. */

import type { Clock } from '#base/clock'
import { lifeOf } from '#identity/certificate'
import { createRoot, crossSign, openSigner, type Signer } from '#identity/issue'
import { newKey } from '#identity/key'
import { trustDomainId } from '#identity/spiffe'
import { fileMode, listFolder, readTextIfAny, removeFile, writeAtomic } from '#io/files'
import { broken, type Keeping, readPair, within, writePair } from './kept.ts'
import type { Stage } from './rotation.ts'

export type RootsPlace = Keeping & { readonly trustDomain: string; readonly clock: Clock }

/** other: see RotationState. cross: in `signing`, the certificate of `root` that the other one signed, PEM. */
export type Roots = {
  readonly stage: Stage
  readonly since: number
  readonly isAutomatic: boolean
  readonly file: string
  readonly root: Signer
  readonly other?: Signer & { readonly file: string }
  readonly cross?: string
}

/** What of it is kept beside the roots; `roots.json` is written last, so that it is true at any moment. */
type Kept = { stage: Stage; since: string; automatic: boolean; root: string; other?: string; cross?: string }

const firstFile = 'root.pem'
const index = 'roots.json'

/** Makes the first root at the first start. Throws an Error that says what to do. */
export async function openRoots(place: RootsPlace): Promise<Roots> {
  const { folder, clock, log, trustDomain } = place
  const kept = await readIndex(place)
  if (kept === undefined) {
    const root = (await openRoot(place, firstFile)) ?? (await firstRoot(place))
    await removeOthers(place, { root: firstFile })
    return { stage: 'steady', since: lifeOf(root.certificate).notBefore, isAutomatic: false, file: firstFile, root }
  }
  const root = await openRoot(place, kept.root)
  const other = kept.other === undefined ? undefined : await openRoot(place, kept.other)
  if (root === undefined || (kept.other !== undefined && other === undefined))
    throw broken(`${folder}/${index}`, `it names ${root === undefined ? kept.root : kept.other}, which does not exist`)
  await removeOthers(place, kept)
  if (kept.stage !== 'steady') log.info('the root certificate is being replaced', { stage: kept.stage, since: kept.since, trustDomain })
  return {
    stage: kept.stage,
    since: Date.parse(kept.since) || clock.now(),
    isAutomatic: kept.automatic,
    file: kept.root,
    root,
    ...(other === undefined || kept.other === undefined ? {} : { other: { ...other, file: kept.other } }),
    ...(kept.cross === undefined ? {} : { cross: kept.cross }),
  }
}

/** The roots after the next step, on disk too. */
export async function nextRoots(place: RootsPlace, roots: Roots): Promise<Roots> {
  const since = place.clock.now()
  switch (roots.stage) {
    case 'steady': {
      const root = createRoot(place.trustDomain, await newKey(), since)
      const file = `root-${root.certificate.fingerprint256.replaceAll(':', '').slice(0, 12).toLowerCase()}.pem`
      await writePair(place, file, { key: root.key, certificate: root.root })
      return kept(place, { ...roots, stage: 'introduced', since, other: { ...root, file } })
    }
    case 'introduced': {
      const { file, ...root } = roots.other!
      const cross = crossSign(roots.root, root, since)
      return kept(place, { ...roots, stage: 'signing', since, file, root, other: { ...roots.root, file: roots.file }, cross })
    }
    case 'signing': {
      const { other, cross: _over, ...rest } = roots
      const after = await kept(place, { ...rest, stage: 'steady', since, isAutomatic: false })
      await removeFile(`${place.folder}/${other!.file}`)
      return after
    }
  }
}

export async function kept(place: RootsPlace, roots: Roots): Promise<Roots> {
  const { stage, since, isAutomatic, file, other, cross } = roots
  const said: Kept = {
    stage,
    since: new Date(since).toISOString(),
    automatic: isAutomatic,
    root: file,
    ...(other === undefined ? {} : { other: other.file }),
    ...(cross === undefined ? {} : { cross }),
  }
  await writeAtomic(`${place.folder}/${index}`, `${JSON.stringify(said, undefined, 2)}\n`, { mode: 0o600 })
  return roots
}

async function readIndex({ folder }: RootsPlace): Promise<Kept | undefined> {
  const path = `${folder}/${index}`
  const text = await readTextIfAny(path)
  if (text === undefined) return undefined
  return within(path, () => {
    const said = JSON.parse(text) as Partial<Kept>
    const isWhole = said.stage !== undefined && ['steady', 'introduced', 'signing'].includes(said.stage) && typeof said.root === 'string'
    if (!isWhole || (said.stage !== 'steady' && typeof said.other !== 'string'))
      throw new RangeError('it does not say which root signs, or at which stage its replacement is')
    return said as Kept
  })
}

/** Roots that a step was broken off beside: one that was retired, or that nobody was told of. Their keys are to be nowhere. */
async function removeOthers({ folder, log }: RootsPlace, { root, other }: Pick<Kept, 'root' | 'other'>): Promise<void> {
  for (const { name } of (await listFolder(folder)) ?? []) {
    if (name === root || name === other || !/^root(?:-[0-9a-f]{12})?\.pem$/.test(name)) continue
    await removeFile(`${folder}/${name}`)
    log.warn('a root that is neither used nor trusted is removed: the control plane ended in the middle of a step', {
      path: `${folder}/${name}`,
    })
  }
}

async function firstRoot(place: RootsPlace): Promise<Signer> {
  await refuseOrphans(place.folder)
  const root = createRoot(place.trustDomain, await newKey(), place.clock.now())
  await writePair(place, firstFile, { key: root.key, certificate: root.root })
  place.log.info('made a new root certificate', { trustDomain: place.trustDomain, path: `${place.folder}/${firstFile}` })
  return root
}

async function openRoot(place: RootsPlace, file: string): Promise<Signer | undefined> {
  const { folder, trustDomain, clock } = place
  const path = `${folder}/${file}`
  const pair = await readPair(place, file)
  if (pair === undefined) return undefined
  const signer = within(path, () => openSigner(trustDomain, pair.key, pair.certificate, pair.certificate))
  const own = signer.certificate.subjectAltName ?? ''
  if (own !== `URI:${trustDomainId(trustDomain)}`)
    throw new Error(
      `${path} is the root of ${own.replace('URI:', '')}, not of the trust domain ${trustDomain}; start with that trust domain, or with another folder`,
    )
  const { notAfter } = lifeOf(signer.certificate)
  if (clock.now() > notAfter)
    throw new Error(
      `the root certificate in ${path} expired at ${new Date(notAfter).toISOString()}; move ${folder} away to begin anew (every workload must then join again)`,
    )
  return signer
}

/** An intermediate without its root means that the root was lost, not that this is a first start. */
async function refuseOrphans(folder: string): Promise<void> {
  if ((await fileMode(`${folder}/intermediate.pem`)) === undefined) return
  throw new Error(
    `${folder} has intermediate.pem but no ${firstFile}; restore it from a backup, or move ${folder} away to begin anew (every workload must then join again)`,
  )
}
