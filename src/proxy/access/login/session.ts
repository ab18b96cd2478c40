/** What a browser keeps for this proxy, sealed: who logged in, and the logins that are under way. */

import { Sealer } from '#identity/sealed'
import type { Claims } from '#model/claims'
import type { LoginPolicy } from '#model/login'

/**
 * until: what it was given for holds so long, ms since the epoch; endsAt: no renewal goes beyond. Tokens only where the workload or a renewal needs them;
 * the ID token for the logout too.
 */
export type Session = {
  readonly id: string
  readonly claims: Claims
  readonly until: number
  readonly endsAt: number
  readonly accessToken?: string
  readonly idToken?: string
  readonly refreshToken?: string
}

/** host: as the browser calls it. back: path and query to which it goes in the end. */
export type Pending = {
  readonly state: string
  readonly nonce: string
  readonly verifier: string
  readonly host: string
  readonly back: string
  readonly endsAt: number
}

export type Seals = { readonly session: Sealer; readonly pending: Sealer }

const made = new WeakMap<LoginPolicy, Seals>()

/** Bound to the provider and the client: a cookie of another one cannot be opened. */
export function sealsOf(policy: LoginPolicy): Seals {
  let found = made.get(policy)
  if (found === undefined) {
    const keys = policy.keys.map(each => Uint8Array.fromBase64(each))
    const sealer = (what: string) => new Sealer(keys, JSON.stringify(['weft login', what, policy.issuer, policy.clientId]))
    made.set(policy, (found = { session: sealer('session'), pending: sealer('pending') }))
  }
  return found
}

/** Undefined: it is none of this client, or was changed. */
export const openSession = (policy: LoginPolicy, text: string): Session | undefined => read<Session>(sealsOf(policy).session, text)
export const openPending = (policy: LoginPolicy, text: string): Pending | undefined => read<Pending>(sealsOf(policy).pending, text)
export const sealSession = (policy: LoginPolicy, session: Session): string => sealsOf(policy).session.seal(JSON.stringify(session))
export const sealPending = (policy: LoginPolicy, pending: Pending): string => sealsOf(policy).pending.seal(JSON.stringify(pending))

/** What could be opened was written here. */
function read<T>(sealer: Sealer, text: string): T | undefined {
  const opened = sealer.open(text)
  return opened === undefined ? undefined : (JSON.parse(opened) as T)
}
