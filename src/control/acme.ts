/**
 * Keeps the Secrets of Gateways filled that CertificateIssuers are to fill: orders, shows challenges at the Gateway, writes, renews.
 *
 *   wanted ──▶ due (at once, or at two thirds of its life) ──▶ the Gateways have proxies ──▶ order ──▶ Secret written ──▶ due …
 *                                                                                              └─fails─▶ told in status ──back-off──▶ due
 *
 * What is served meanwhile is what the Secret holds: nothing is taken away before there is another.
 */

import type { OrderedTold } from '#api/mesh-api'
import { backoffMs } from '#base/backoff'
import { type Clock, longestTimerMs } from '#base/clock'
import type { Log } from '#base/log'
import type { KnownOrder, OrderedCertificate, ShownChallenge } from '#compiler'
import { type Leaf, leafOf } from '#identity/acme'
import { type Key, newKey } from '#identity/key'
import type { CertificateIssuer } from '#resources/weft'
import { fill, heldBy, hmacOf, hostsOf, partsOf, versionOf } from './acme/filled.ts'
import { type Challenge, orderCertificate } from './acme/order.ts'
import { AcmeProblem } from './acme/speak.ts'
import type { CompileLoop } from './compile-loop.ts'
import type { Store } from './store.ts'

export type CertificateOrdersOptions = {
  readonly store: Store
  readonly loop: Pick<CompileLoop, 'current' | 'onCompiled'>
  /** The account's key; issuer: `NAMESPACE/NAME`. */
  readonly accountKey: (issuer: string) => Promise<Key>
  /** ca: PEM roots in place of those of this machine. */
  readonly fetchWith: (ca: string | undefined) => typeof fetch
  /** Of the connected proxies of a Gateway, whether each has all that was compiled for it; undefined: there is none. */
  readonly areSettled: (gateway: string) => boolean | undefined
  readonly clock: Clock
  readonly log: Log
  /** Other challenges are to be shown, or something else is to be told. */
  readonly onChange: () => void
}

/** One Secret, as it is wanted now. floorAt: no renewal before, whatever its certificate says. */
type Followed = {
  readonly issuer: string
  readonly key: string
  readonly stop: AbortController
  attempt: number
  known: KnownOrder
  floorAt: number
  challenges: readonly ShownChallenge[]
}

/** Few enough that a server which allows five failures an hour is not asked oftener for long (Let's Encrypt, "Authorization Failures"). */
const again = { baseMs: 30_000, maxMs: 3_600_000 }
/** How often it is looked for proxies, and whether they have taken the challenge. */
const lookMs = 100
const showMs = 30_000
const leastMs = 5_000

export class CertificateOrders {
  readonly #options: CertificateOrdersOptions
  readonly #followed = new Map<string, Followed>()
  readonly #end: () => void

  constructor(options: CertificateOrdersOptions) {
    this.#options = options
    this.#end = options.loop.onCompiled(({ ordered }) => this.#look(ordered))
    this.#look(options.loop.current?.ordered ?? [])
  }

  /** For the compiler, by Secret. */
  known(): Readonly<Record<string, KnownOrder>> {
    return Object.fromEntries([...this.#followed].map(([secret, { known }]) => [secret, known]))
  }

  /** For people. */
  told(): readonly OrderedTold[] {
    return [...this.#followed].map(([secret, { known, issuer }]) => ({ secret, issuer, ...known }))
  }

  challenges(): readonly ShownChallenge[] {
    return [...this.#followed.values()].flatMap(each => each.challenges)
  }

  close(): void {
    this.#end()
    for (const { stop } of this.#followed.values()) stop.abort()
    this.#followed.clear()
  }

  #look(all: readonly OrderedCertificate[]): void {
    const wanted = new Set(all.map(({ secret }) => secret))
    for (const [secret, { stop }] of this.#followed)
      if (!wanted.has(secret)) {
        stop.abort()
        this.#followed.delete(secret)
      }
    for (const ordered of all) {
      const issuer = this.#issuerOf(ordered)
      if (issuer === undefined) continue
      const { version, leaf } = heldBy(this.#options.store, ordered)
      const bound = issuer.spec?.externalAccount?.keyRef.name
      const [namespace] = partsOf(ordered.issuer)
      const ofAccount = bound === undefined ? '' : versionOf(this.#options.store, namespace, bound)
      const key = JSON.stringify([ordered, issuer.spec, version, ofAccount])
      const before = this.#followed.get(ordered.secret)
      if (before?.key === key) continue
      before?.stop.abort()
      const followed: Followed = {
        issuer: ordered.issuer,
        key,
        stop: new AbortController(),
        attempt: 0,
        known: leaf === undefined ? {} : told(leaf),
        floorAt: before?.floorAt ?? 0,
        challenges: [],
      }
      this.#followed.set(ordered.secret, followed)
      if (JSON.stringify(before?.known) !== JSON.stringify(followed.known)) this.#options.onChange()
      void this.#follow(ordered, issuer, followed, leaf)
    }
  }

  /** Until it is written, which makes it another Secret; or is wanted no longer. */
  async #follow(ordered: OrderedCertificate, issuer: CertificateIssuer, followed: Followed, leaf: Leaf | undefined): Promise<void> {
    const { clock, log } = this.#options
    const { signal } = followed.stop
    try {
      if (leaf !== undefined) await this.#until(Math.max(renewalOf(leaf), followed.floorAt), signal)
      for (;;) {
        try {
          await this.#awaitProxies(ordered, followed)
          await this.#order(ordered, issuer, followed)
          return
        } catch (thrown) {
          if (signal.aborted) return
          const problem = (thrown instanceof Error ? thrown.message : String(thrown)).slice(0, 4096)
          const asked = thrown instanceof AcmeProblem ? (thrown.retryMs ?? 0) : 0
          const at = clock.now() + Math.max(asked, backoffMs(again, followed.attempt++, Math.random()))
          log.warn('a certificate could not be had', {
            secret: ordered.secret,
            issuer: ordered.issuer,
            reason: problem,
            triesAt: timeOf(at),
          })
          this.#tell(followed, { ...(leaf === undefined ? {} : told(leaf)), problem, triesAt: timeOf(at) })
          await this.#until(at, signal)
        }
      }
    } catch (thrown) {
      if (!signal.aborted) log.error('an order of a certificate ended by a fault of the control plane', { error: thrown })
    }
  }

  async #order(ordered: OrderedCertificate, { spec }: CertificateIssuer, followed: Followed): Promise<void> {
    const { store, clock, log, accountKey, fetchWith } = this.#options
    const { signal } = followed.stop
    const { server, certificateAuthorities, email, agreesToTerms, externalAccount } = spec!
    const [namespace] = partsOf(ordered.issuer)
    const external = externalAccount && { keyId: externalAccount.keyId, hmac: hmacOf(store, namespace, externalAccount.keyRef) }
    const key = await newKey()
    try {
      const chain = await orderCertificate({
        server,
        fetch: fetchWith(certificateAuthorities),
        key: await accountKey(ordered.issuer),
        account: { email, agreesToTerms, external },
        names: hostsOf(ordered),
        certificateKey: key,
        show: challenges => this.#show(ordered, followed, challenges),
        wait: ms => this.#until(clock.now() + ms, signal),
        now: () => clock.now(),
        signal,
      })
      signal.throwIfAborted()
      const { notAfter } = leafOf(chain)
      // A certificate that is old when it comes is not followed by another at once.
      followed.floorAt = clock.now() + Math.max(leastMs, ((notAfter - clock.now()) * 2) / 3)
      fill(store, ordered, { chain, key })
      log.info('a certificate was had', {
        secret: ordered.secret,
        issuer: ordered.issuer,
        names: hostsOf(ordered),
        notAfter: timeOf(notAfter),
      })
    } finally {
      if (followed.challenges.length > 0) {
        followed.challenges = []
        this.#options.onChange()
      }
    }
  }

  /** Nobody is asked before somebody could answer. */
  async #awaitProxies({ hosts }: OrderedCertificate, followed: Followed): Promise<void> {
    for (;;) {
      const missing = hosts.find(({ gateway }) => this.#options.areSettled(gateway) === undefined)?.gateway
      if (missing === undefined) return
      const [namespace, name] = partsOf(missing)
      const problem = `no proxy carries out Gateway ${missing}, which is to answer the challenge: weft gateway --name ${name} --namespace ${namespace}`
      this.#tell(followed, { ...followed.known, problem })
      await this.#until(this.#options.clock.now() + 10 * lookMs, followed.stop.signal)
    }
  }

  /** Until all proxies of the Gateways have acknowledged them. */
  async #show({ hosts }: OrderedCertificate, followed: Followed, challenges: readonly Challenge[]): Promise<void> {
    const { clock, loop, areSettled, onChange } = this.#options
    const shown = challenges.flatMap(({ host, token, answer }) =>
      hosts.filter(each => each.host === host).map(({ gateway }): ShownChallenge => ({ gateway, host, token, answer })),
    )
    const compiled = new Promise<void>(resolve => {
      const end = loop.onCompiled(({ mesh }) => {
        if (
          !followed.stop.signal.aborted &&
          !shown.every(({ gateway, token }) => JSON.stringify(mesh.gateways[gateway]?.routes).includes(token))
        )
          return
        end()
        resolve()
      })
    })
    followed.challenges = shown
    onChange()
    await compiled
    const late = clock.now() + showMs
    for (;;) {
      await this.#until(clock.now() + lookMs, followed.stop.signal)
      const waiting = hosts.find(({ gateway }) => areSettled(gateway) !== true)
      if (waiting === undefined) return
      if (clock.now() > late)
        throw new Error(
          `the proxies of Gateway ${waiting.gateway} have not taken the challenge within ${showMs / 1000} s: see weft proxies`,
        )
    }
  }

  #tell(followed: Followed, known: KnownOrder): void {
    if (JSON.stringify(followed.known) === JSON.stringify(known)) return
    followed.known = known
    this.#options.onChange()
  }

  /** Rejects when it is wanted no longer. */
  async #until(at: number, signal: AbortSignal): Promise<void> {
    const { clock } = this.#options
    for (let left = Math.max(at - clock.now(), 0); ; left = at - clock.now()) {
      signal.throwIfAborted()
      await new Promise<void>(resolve => {
        const cancel = clock.after(Math.min(left, longestTimerMs), () => {
          signal.removeEventListener('abort', stopped)
          resolve()
        })
        const stopped = (): void => {
          cancel()
          resolve()
        }
        signal.addEventListener('abort', stopped, { once: true })
      })
      signal.throwIfAborted()
      if (at <= clock.now()) return
    }
  }

  #issuerOf({ issuer }: OrderedCertificate): CertificateIssuer | undefined {
    const [namespace, name] = partsOf(issuer)
    return this.#options.store.get({ group: 'weft.dev', kind: 'CertificateIssuer', namespace, name }) as CertificateIssuer | undefined
  }
}

const renewalOf = ({ notBefore, notAfter }: Leaf): number => notBefore + ((notAfter - notBefore) * 2) / 3
const timeOf = (ms: number): string => new Date(ms).toISOString().replace(/\.\d+Z$/, 'Z')
/** Half of the time for renewal is over, or a week is left: what was tried every hour until then will not do by itself. */
const dangerOf = (leaf: Leaf): number => leaf.notAfter - Math.min(7 * 86_400_000, (leaf.notAfter - renewalOf(leaf)) / 2)
const told = (leaf: Leaf): KnownOrder => ({
  notAfter: timeOf(leaf.notAfter),
  renewsAt: timeOf(renewalOf(leaf)),
  dangerFrom: timeOf(dangerOf(leaf)),
})
