/**
 * Revocation lists of an authority that is not the mesh's own: from a file or an address, looked at again and again. One that it did not sign, or that is older
 * than the one in use, is not taken. One whose time is over stays in use: what it names was taken back, and nobody else is refused for it.
 */

import type { Clock } from '#base/clock'
import type { Log } from '#base/log'
import { type Crl, readCrls } from '#identity/crl'
import { askHttp } from '#io/ask-http'
import { readBytes } from '#io/files'
import type { Issuer } from './issuer.ts'

export type ForeignLists = { readonly lists: () => readonly string[]; readonly close: () => void }

/** source: path or address. ca: PEM, by which the server of an https address is known; absent: whom this machine trusts. */
export type ListSource = { readonly source: string; readonly ca?: string | undefined }
type Place = { readonly clock: Clock; readonly log: Log; readonly onChange: () => void }

const lookEveryMs = { file: 2000, address: 60_000, inVain: 10_000 } as const
const patienceMs = 10_000

/** Rejects with one sentence when a file cannot be read or used; an address may answer later. */
export async function openForeignLists({ source, ca }: ListSource, issuer: Issuer, { clock, log, onChange }: Place): Promise<ForeignLists> {
  const isAddress = /^https?:\/\//.test(source)
  let held: readonly Crl[] = []
  /** The same array as long as nothing changes: what was worked out of it is kept by it. */
  let pem: readonly string[] = []
  let told = ''
  const load = async (): Promise<readonly Crl[]> => {
    const bytes = isAddress ? await fetched(source, ca) : await readBytes(source)
    const found = readCrls(bytes)
    const known = [...issuer.intermediates(), ...issuer.roots()]
    const stranger = found.find(crl => !known.some(crl.isSignedBy))
    if (stranger !== undefined) throw new Error('a list in it is not signed by an authority of this mesh')
    return found.map(crl => held.find(each => each.issuer === crl.issuer && isNewer(each, crl)) ?? crl)
  }
  const take = (next: readonly Crl[]): void => {
    const isSame = next.map(each => each.pem).join() === pem.join()
    held = next
    for (const { nextUpdate } of next)
      if (nextUpdate !== undefined && nextUpdate < clock.now())
        tell(
          `the revocation list of ${source} ended at ${new Date(nextUpdate).toISOString()}; whom it names stays revoked, and nobody else`,
        )
    if (isSame) return
    pem = next.map(each => each.pem)
    log.info('the revocation list of the authority is another now', {
      source,
      revoked: next.reduce((sum, { entries }) => sum + entries.size, 0),
    })
    onChange()
  }
  /** Once, as long as it is the same. */
  const tell = (says: string): void => {
    if (says !== told) log.warn(says)
    told = says
  }
  let cancel = (): void => {}
  let isClosed = false
  const look = async (): Promise<void> => {
    let next: number = isAddress ? lookEveryMs.address : lookEveryMs.file
    try {
      take(await load())
    } catch (thrown) {
      tell(`the revocation list of ${source} cannot be had, what was there before holds on: ${(thrown as Error).message}`)
      next = isAddress ? lookEveryMs.inVain : lookEveryMs.file
    }
    if (!isClosed) cancel = clock.after(next, () => void look())
  }
  if (isAddress) void look()
  else {
    try {
      take(await load())
    } catch (thrown) {
      throw new Error(`${source} cannot be used as a revocation list: ${(thrown as Error).message}`, { cause: thrown })
    }
    cancel = clock.after(lookEveryMs.file, () => void look())
  }
  return {
    lists: () => pem,
    close: () => {
      isClosed = true
      cancel()
    },
  }
}

/** By number, else by time: somebody may put an old one back to be believed again. */
const isNewer = (one: Crl, other: Crl): boolean =>
  one.number !== undefined && other.number !== undefined ? one.number > other.number : one.thisUpdate > other.thisUpdate

async function fetched(url: string, ca: string | undefined): Promise<Uint8Array> {
  const { status, bytes } = await askHttp({ url, timeoutMs: patienceMs, ...(ca === undefined ? {} : { ca }) })
  if (status !== 200) throw new Error(`${url} answers ${status}`)
  return bytes
}
