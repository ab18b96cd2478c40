/**
 * The roots of other trust domains, fetched again and again from their bundle endpoints (SPIFFE Federation §5), the last good ones kept, also on disk.
 *
 *   TrustDomain ──▶ inline bundle, or the one kept on disk ──fetch──▶ new one ──refresh hint──▶ fetch …
 *                                                             └─fails─▶ the last good one stays, told in status ──back-off──▶ fetch …
 */

import { backoffMs } from '#base/backoff'
import type { Clock } from '#base/clock'
import type { Log } from '#base/log'
import type { KnownDomain } from '#compiler'
import { type Bundle, readBundle, tellRoot } from '#identity/bundle'
import { readCertificate } from '#identity/certificate'
import { isSpiffeId, spiffeParts } from '#identity/spiffe'
import { readIdentity } from '#identity/verify'
import type { HttpQuestion, Reply } from '#io/ask-http'
import { makeFolder, readTextIfAny, writeAtomic } from '#io/files'
import type { TrustDomain, TrustDomainSpec } from '#resources/weft'
import type { Store } from './store.ts'

export type FederationOptions = {
  readonly store: Store
  /** The last good bundles are kept here. */
  readonly folder: string
  readonly ask: (question: HttpQuestion) => Promise<Reply>
  readonly clock: Clock
  readonly log: Log
  /** Other roots, or another state, are known. */
  readonly onChange: () => void
}

const kind = { kind: { group: 'weft.dev', kind: 'TrustDomain' } } as const
const askMs = 10_000
/** Without a hint: often enough to hear of a rotation in time (§4.1.1 leaves it to us). */
const usualMs = 300_000
const mostMs = 24 * 3_600_000
const leastMs = 1000
const again = { baseMs: 1000, maxMs: 60_000 }

type Kept = { readonly trustDomain: string; readonly url: string; readonly refreshedAt: string; readonly bundle: string }

/** One TrustDomain, as it is written now. */
type Followed = { readonly spec: TrustDomainSpec; readonly known: KnownDomain; readonly attempt: number; readonly end: () => void }

export class Federation {
  readonly #options: FederationOptions
  readonly #followed = new Map<string, Followed>()
  readonly #stop: () => void
  #isClosed = false

  constructor(options: FederationOptions) {
    this.#options = options
    this.#stop = options.store.onCommit(() => this.#look())
    this.#look()
  }

  /** For the compiler, by name of the TrustDomain. */
  known(): Readonly<Record<string, KnownDomain>> {
    return Object.fromEntries([...this.#followed].map(([name, { known }]) => [name, known]))
  }

  close(): void {
    this.#isClosed = true
    this.#stop()
    for (const { end } of this.#followed.values()) end()
  }

  #look(): void {
    const all = new Map(this.#options.store.list(kind).items.map(each => [each.metadata.name, (each as TrustDomain).spec!]))
    for (const [name, { end }] of this.#followed)
      if (!all.has(name)) {
        end()
        this.#followed.delete(name)
      }
    for (const [name, spec] of all) {
      const before = this.#followed.get(name)
      if (before !== undefined && JSON.stringify(before.spec) === JSON.stringify(spec)) continue
      before?.end()
      // Of the same place, what was fetched counts on until it answers again.
      const isSame = before?.spec.trustDomain === spec.trustDomain && before.spec.bundleEndpoint?.url === spec.bundleEndpoint?.url
      this.#followed.set(name, {
        spec,
        attempt: 0,
        known: isSame && spec.bundleEndpoint !== undefined ? before.known : inlineOf(spec),
        end: () => {},
      })
      if (spec.bundleEndpoint !== undefined) void this.#begin(name, spec)
      this.#options.onChange()
    }
  }

  async #begin(name: string, spec: TrustDomainSpec): Promise<void> {
    const kept = await this.#recall(name, spec)
    if (!this.#isCurrent(name, spec)) return
    if (kept !== undefined && this.#followed.get(name)!.known.refreshedAt === undefined) this.#set(name, spec, kept)
    await this.#fetch(name, spec)
  }

  async #fetch(name: string, spec: TrustDomainSpec): Promise<void> {
    const { ask, clock, log } = this.#options
    try {
      const text = await this.#text(spec, ask)
      if (!this.#isCurrent(name, spec)) return
      const bundle = read(text)
      if (bundle.roots.length === 0) throw new Error(`${spec.bundleEndpoint!.url} tells no root: its bundle has no key of use x509-svid`)
      const refreshedAt = new Date(clock.now()).toISOString().replace(/\.\d+Z$/, 'Z')
      const known = knownOf(bundle, refreshedAt)
      if (known.roots.join() !== this.#followed.get(name)!.known.roots.join())
        log.info('the roots of a trust domain are others now', {
          trustDomain: spec.trustDomain,
          roots: known.told.map(({ sha256 }) => sha256),
        })
      this.#set(name, spec, known)
      await this.#keep(name, { trustDomain: spec.trustDomain, url: spec.bundleEndpoint!.url, refreshedAt, bundle: text })
      this.#later(name, spec, Math.min(Math.max((bundle.refreshHintS ?? usualMs / 1000) * 1000, leastMs), mostMs), 0)
    } catch (thrown) {
      if (!this.#isCurrent(name, spec)) return
      const failing = thrown instanceof Error ? thrown.message : String(thrown)
      const { known, attempt } = this.#followed.get(name)!
      if (known.failing !== failing) {
        log.warn('the bundle of a trust domain could not be fetched', { trustDomain: spec.trustDomain, reason: failing })
        this.#set(name, spec, { ...known, failing })
      }
      this.#later(name, spec, backoffMs(again, attempt, Math.random()), attempt + 1)
    }
  }

  async #text({ bundleEndpoint, ...spec }: TrustDomainSpec, ask: FederationOptions['ask']): Promise<string> {
    const { url, profile, spiffeID, certificateAuthorities } = bundleEndpoint!
    const reply = await ask({
      url,
      timeoutMs: askMs,
      headers: { accept: 'application/json' },
      ...(profile === 'HTTPSSPIFFE'
        ? this.#bySpiffe(spiffeID ?? '', spec)
        : certificateAuthorities === undefined
          ? {}
          : { ca: certificateAuthorities }),
    })
    if (reply.status !== 200) throw new Error(`${url} answers ${reply.status}`)
    return reply.body
  }

  /** §5.2.2: the server proves a SPIFFE id, by the newest bundle of that id's trust domain. */
  #bySpiffe(id: string, { trustDomain, bundle }: Omit<TrustDomainSpec, 'bundleEndpoint'>): Pick<HttpQuestion, 'ca' | 'expectedServer'> {
    if (!isSpiffeId(id)) throw new Error(`spec.bundleEndpoint.spiffeID: ${id} is not a SPIFFE id`)
    const domain = spiffeParts(id).trustDomain
    const found = [...this.#followed.values()].find(({ spec }) => spec.trustDomain === domain)?.known.roots ?? []
    const roots = found.length > 0 ? found : domain === trustDomain && bundle !== undefined ? read(bundle).roots : []
    if (roots.length === 0)
      throw new Error(
        `the server is to prove ${id}, and no bundle of the trust domain ${domain} is known to verify that: give the first one as spec.bundle`,
      )
    return {
      ca: roots.join('\n'),
      expectedServer: leaf => {
        const judged = readIdentity(readCertificate(leaf), { trustDomain: domain, ids: [id], role: 'server' })
        return 'refused' in judged ? judged.refused : undefined
      },
    }
  }

  #isCurrent(name: string, spec: TrustDomainSpec): boolean {
    return !this.#isClosed && this.#followed.get(name)?.spec === spec
  }

  #set(name: string, spec: TrustDomainSpec, known: KnownDomain): void {
    const before = this.#followed.get(name)!
    this.#followed.set(name, { ...before, spec, known })
    this.#options.onChange()
  }

  #later(name: string, spec: TrustDomainSpec, ms: number, attempt: number): void {
    if (!this.#isCurrent(name, spec)) return
    const end = this.#options.clock.after(ms, () => void this.#fetch(name, spec))
    this.#followed.set(name, { ...this.#followed.get(name)!, attempt, end })
  }

  async #recall(name: string, { trustDomain, bundleEndpoint }: TrustDomainSpec): Promise<KnownDomain | undefined> {
    try {
      const text = await readTextIfAny(this.#fileOf(name))
      if (text === undefined) return undefined
      const kept = JSON.parse(text) as Kept
      // Of another place or another domain it says nothing.
      if (kept.trustDomain !== trustDomain || kept.url !== bundleEndpoint?.url) return undefined
      return knownOf(readBundle(kept.bundle), kept.refreshedAt)
    } catch (thrown) {
      this.#options.log.warn('the kept bundle of a trust domain cannot be used', { path: this.#fileOf(name), error: thrown })
      return undefined
    }
  }

  async #keep(name: string, kept: Kept): Promise<void> {
    try {
      await makeFolder(this.#options.folder, 0o700)
      await writeAtomic(this.#fileOf(name), `${JSON.stringify(kept, undefined, 2)}\n`, { mode: 0o600 })
    } catch (thrown) {
      this.#options.log.warn('the bundle of a trust domain cannot be kept on disk', { path: this.#fileOf(name), error: thrown })
    }
  }

  #fileOf(name: string): string {
    return `${this.#options.folder}/${encodeURIComponent(name)}.json`
  }
}

function inlineOf({ bundle }: TrustDomainSpec): KnownDomain {
  if (bundle === undefined) return { roots: [], told: [] }
  try {
    const found = readBundle(bundle)
    if (found.roots.length === 0) throw new RangeError('it has no key of use x509-svid')
    return knownOf(found)
  } catch (thrown) {
    return { roots: [], told: [], invalid: (thrown as Error).message }
  }
}

const knownOf = ({ roots, sequence }: Bundle, refreshedAt?: string): KnownDomain => ({
  roots,
  told: roots.map(tellRoot),
  ...(sequence === undefined ? {} : { sequence }),
  ...(refreshedAt === undefined ? {} : { refreshedAt }),
})

function read(text: string): Bundle {
  try {
    return readBundle(text)
  } catch (thrown) {
    throw new Error(`the bundle cannot be read: ${(thrown as Error).message}`, { cause: thrown })
  }
}
