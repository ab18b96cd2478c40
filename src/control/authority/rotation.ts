/** How one root takes the place of another without a moment in which somebody trusts too little: the stages, and what is known of them. */

import type { Certificate } from '#identity/certificate'

/**
 *   steady ──introduce──▶ introduced ──sign──▶ signing ──retire──▶ steady
 *
 * introduced: all trust both roots, the old one signs. signing: all trust both, the new one signs, and its certificate signed by the old one is
 * shown too, so that who slept through the first stage believes it. After `retire` only the new one is trusted, and the old one's key is gone.
 */
export const stages = { steady: 'introduce', introduced: 'sign', signing: 'retire' } as const
export type Stage = keyof typeof stages
export type Step = (typeof stages)[Stage]

/** since: ms since the epoch. other: in `introduced` the root to come, in `signing` the one that goes. isAutomatic: it goes on by itself. */
export type RotationState = {
  readonly stage: Stage
  readonly since: number
  readonly isAutomatic: boolean
  readonly root: Certificate
  readonly other?: Certificate
}

export type RootRotation = {
  state(): RotationState
  /** Takes the next step, whatever anybody has heard of the last one: who calls it has looked. Survives a crash at any moment. */
  step(): Promise<RotationState>
  setAutomatic(isAutomatic: boolean): Promise<void>
  /** Of a leaf that this process has signed: by the root that signs now? undefined: it was signed before, or by another process. */
  isCurrent(serial: string): boolean | undefined
}
