/** What every command is given: the edge, the terminal, and the control plane when it is first needed. */

import type { Client, ServedKind } from '#api/client'
import type { Edge } from './edge.ts'
import { findControl, type ControlAddress } from './context.ts'
import { connectionBy, type CredentialPlaces } from './credentials.ts'
import { sayTo, type Say } from './say.ts'

export type Session = {
  readonly edge: Edge
  readonly say: Say
  /** Aborted when the reader of stdout has gone. */
  readonly signal: AbortSignal
  readonly now: () => number
  /** flag: the value of --control. */
  address(flag?: string): Promise<ControlAddress>
  /** Flags of the command that says by what it proves who it is. */
  prove(places: CredentialPlaces): void
  /** Nothing is sent yet. */
  reach(flag?: string): Promise<Reach>
  /** The last address asked for, for the message when it does not answer. */
  readonly used: ControlAddress | undefined
}

type Reach = { readonly client: Client; readonly address: ControlAddress }

export function openSession(edge: Edge, signal: AbortSignal): Session {
  let used: ControlAddress | undefined
  let places: CredentialPlaces = {}
  const address = async (flag?: string): Promise<ControlAddress> =>
    (used = await findControl({ flag, places, env: edge.env, configFolder: edge.configFolder }))
  return {
    edge,
    say: sayTo(edge),
    signal,
    now: Date.now,
    address,
    prove(given) {
      places = given
    },
    async reach(flag) {
      const [{ connect }, found] = await Promise.all([import('#api/client'), address(flag)])
      return { client: connect(found.url, await connectionBy(found.credentials)), address: found }
    },
    get used() {
      return used
    },
  }
}

/** What commands about resources begin with. namespace: the flag, else the context's. */
export type Scope = Reach & { readonly kinds: readonly ServedKind[]; readonly namespace: string }

export async function openScope(
  session: Session,
  flags: { readonly control?: string | undefined; readonly namespace?: string | undefined },
): Promise<Scope> {
  const { client, address } = await session.reach(flags.control)
  return { client, address, kinds: await client.kinds(), namespace: flags.namespace ?? address.namespace }
}

/** Resolves after ms, at once when the session ends. */
export const pause = (ms: number, signal: AbortSignal): Promise<void> =>
  new Promise(done => {
    if (signal.aborted) return done()
    const timer = setTimeout(done, ms)
    signal.addEventListener('abort', () => (clearTimeout(timer), done()), { once: true })
  })
