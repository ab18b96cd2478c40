/**
 * The replacement of the mesh's root, watched over: what the next step waits for, told before it is taken, and taken by itself where that was asked for.
 *
 * The stages themselves are authority/rotation.ts; here is whether the proxies are ready for the next.
 */

import type { RootPlan, RootStep } from '#api/mesh-api'
import type { Clock } from '#base/clock'
import type { Log } from '#base/log'
import { lifeOf } from '#identity/certificate'
import type { RootRotation, RotationState } from './authority.ts'
import { stages } from './authority.ts'

/** certificate: of the newest that it was heard to have. */
export type KnownProxy = {
  readonly id: string
  readonly state: 'synced' | 'pending' | 'rejected' | 'disconnected'
  readonly certificate?: { readonly notAfter: string; readonly serial: string }
  /** Why nobody believes it any more: it need not be waited for. */
  readonly revoked?: string
}

export type WatchOptions = {
  readonly rotation: RootRotation
  readonly proxies: () => readonly KnownProxy[]
  /** How long a certificate may be good for. */
  readonly leafLifeMs: number
  /** Within what time other meshes that believe this one hear of a new root; absent: there are none that ask. */
  readonly othersHearMs?: number
  readonly clock: Clock
  readonly log: Log
}

/** New roots are compiled and sent within this time: only then "in sync" means that a proxy has them. */
const settleMs = 2000
const lookEveryMs = 1000

export class RotationWatch {
  readonly #options: WatchOptions
  #cancel: (() => void) | undefined

  constructor(options: WatchOptions) {
    this.#options = options
    this.#look()
  }

  plan(): RootPlan {
    const { rotation } = this.#options
    const state = rotation.state()
    return {
      stage: state.stage,
      since: new Date(state.since).toISOString(),
      automatic: state.isAutomatic,
      root: told(state.root),
      ...(state.other === undefined ? {} : { other: told(state.other) }),
      next: stages[state.stage],
      steps: stepsFrom(state),
      waitsFor: this.#waitsFor(state),
    }
  }

  /** isForced: although somebody has not heard of the last step. Undefined: the step waits, see `plan`. */
  async step(isForced: boolean): Promise<RootPlan | undefined> {
    if (!isForced && this.#waitsFor(this.#options.rotation.state()).length > 0) return undefined
    await this.#options.rotation.step()
    this.#look()
    return this.plan()
  }

  /** Takes the first step, and each further one when nothing waits for it any more; also after a restart. */
  async automate(isAutomatic: boolean): Promise<RootPlan> {
    const { rotation } = this.#options
    if (isAutomatic && rotation.state().stage === 'steady') await rotation.step()
    await rotation.setAutomatic(isAutomatic)
    this.#look()
    return this.plan()
  }

  close(): void {
    this.#cancel?.()
  }

  #look(): void {
    const { rotation, clock, log } = this.#options
    this.#cancel?.()
    this.#cancel = undefined
    const state = rotation.state()
    if (!state.isAutomatic || state.stage === 'steady') return
    this.#cancel = clock.after(lookEveryMs, () => {
      if (this.#waitsFor(rotation.state()).length > 0) return this.#look()
      rotation.step().then(
        () => this.#look(),
        (thrown: unknown) => {
          log.error('a step of the replacement of the root could not be taken; it is tried again', { error: thrown })
          this.#look()
        },
      )
    })
  }

  /** One sentence for each thing; empty: the next step breaks nothing. */
  #waitsFor({ stage, since }: RotationState): string[] {
    const { proxies, clock, rotation, leafLifeMs, othersHearMs = 0 } = this.#options
    const now = clock.now()
    if (stage === 'steady') return []
    const believed = proxies().filter(({ revoked }) => revoked === undefined)
    const found: string[] = []
    if (now - since < settleMs) found.push('the last step was taken a moment ago')
    if (stage === 'introduced') {
      if (now - since < othersHearMs)
        found.push(
          `other meshes ask for the bundle of this one every ${Math.round(othersHearMs / 1000)} s: some may not have the new root yet`,
        )
      for (const { id, state } of believed)
        if (state !== 'synced') found.push(`proxy ${id} has not taken the new root yet (it is ${state})`)
      return found
    }
    const oldEndsAt = since + leafLifeMs
    if (now > oldEndsAt) return found
    for (const { id, state, certificate } of believed) {
      if (state === 'disconnected') found.push(`proxy ${id} is disconnected: its certificate may be one of the old root`)
      else if (certificate === undefined) found.push(`proxy ${id} has not told which certificate it has`)
      else {
        const isCurrent = rotation.isCurrent(certificate.serial)
        const which = isCurrent === undefined ? 'that may be of the old root' : 'of the old root'
        if (isCurrent !== true) found.push(`proxy ${id} has a certificate ${which}, until ${certificate.notAfter}`)
      }
    }
    return found.length === 0
      ? found
      : [...found, `after ${new Date(oldEndsAt).toISOString()} no certificate of the old root is good any more`]
  }
}

const what: Record<RootStep['step'], string> = {
  introduce: 'a new root is made and all proxies are told to trust it beside the old one, which still signs',
  sign: 'the new root signs, and proxies get certificates of it within seconds; both roots are trusted',
  retire: 'the old root is trusted no more, and its key is destroyed',
}

const order = ['introduce', 'sign', 'retire'] as const

const stepsFrom = ({ stage }: RotationState): RootStep[] =>
  order.map((step, at) => ({ step, does: what[step], done: stage !== 'steady' && at < order.indexOf(stages[stage]) }))

const told = (certificate: RotationState['root']): RootPlan['root'] => ({
  sha256: certificate.fingerprint256.replaceAll(':', '').toLowerCase(),
  notAfter: new Date(lifeOf(certificate).notAfter).toISOString(),
})
