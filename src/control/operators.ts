/**
 * Who may use the operator API: users with tokens, client certificates, an OpenID provider; roles; limits. See operators/gate.ts, which stands in front of
 * everything, and operators/rights.ts, the table of what needs which right.
 */

import type { Clock } from '#base/clock'
import type { Log } from '#base/log'
import { SignIn } from '#identity/sign-in'
import { askHttp } from '#io/ask-http'
import { readText } from '#io/files'
import { watchFiles } from '#io/watch'
import { noOperators, type OperatorsSettings, readOperatorsFile } from '#resources/operators-file'
import type { ExtraRoute } from './api/extra.ts'
import { Identify } from './operators/identify.ts'
import { CallerLimits } from './operators/limits.ts'
import { loginRoutes } from './operators/login-routes.ts'
import type { Principal } from './operators/principal.ts'
import type { Refused } from './operators/gate.ts'
import { recordRefusals } from './operators/refused.ts'
import { Sessions } from './operators/sessions.ts'
import { userRoutes } from './operators/user-routes.ts'
import { openUsers } from './operators/users.ts'
import type { Store } from './store.ts'

export type OperatorsOptions = {
  readonly store: Store
  /** Where users and sessions are kept, or `:memory:`. */
  readonly path: { readonly users: string; readonly sessions: string }
  /** Of settings; absent: users with tokens alone. */
  readonly file?: string
  readonly isRequired: boolean
  readonly identifyMember: (chain: readonly Uint8Array[]) => { readonly peer: string } | { readonly refused: string }
  readonly clock: Clock
  readonly log: Log
}

export type Operators = AsyncDisposable & {
  readonly identify: Identify
  readonly limits: CallerLimits
  readonly routes: readonly ExtraRoute[]
  readonly refused: (what: Refused) => void
  readonly settings: () => OperatorsSettings
  /** PEM roots of client certificates: those of the settings, or those of the mesh; undefined: no certificate is asked for. */
  readonly clientRoots: (ofMesh: () => readonly string[]) => readonly string[] | undefined
  /** Told when the settings are others. */
  readonly onChange: (told: () => void) => void
  readonly isRequired: boolean
  /** A token of the first admin where no user may administer yet; undefined: there is one. */
  firstAdmin(): string | undefined
}

const lookEveryMs = 2000
/** With the provider. */
const patienceMs = 10_000

type Held = {
  readonly settings: OperatorsSettings
  readonly signIn: SignIn | undefined
  readonly clientRoots: string | undefined
  readonly ended: AbortController
}

/** Rejects with an Error that says what is wrong in which file. */
export async function openOperators(options: OperatorsOptions): Promise<Operators> {
  const { store, file, isRequired, clock, log } = options
  let held = await read(file, clock)
  const listeners: (() => void)[] = []
  const users = openUsers({ path: options.path.users, clock })
  const again = async (): Promise<void> => {
    try {
      const before = held
      held = await read(file, clock)
      before.ended.abort()
      for (const told of listeners) told()
      log.info('the settings of operators were read again', { file })
    } catch (thrown) {
      log.error('the settings of operators have changed and cannot be used; what they said before holds on', { error: thrown })
    }
  }
  const end = file === undefined ? () => {} : watchFiles([file, ...filesOf(held.settings)], lookEveryMs, () => void again())
  const limits = new CallerLimits(
    () => held.settings.limits,
    () => performance.now(),
  )
  const now = () => clock.now()
  const sessions: Sessions<Principal> = new Sessions({ path: options.path.sessions, whoIs: proof => identify.remembered(proof), now })
  const identify: Identify = new Identify({
    isRequired,
    users,
    sessions,
    settings: () => held.settings,
    settled: () => held.ended.signal,
    signIn: () => held.signIn,
    identifyMember: options.identifyMember,
    now,
  })
  const login = loginRoutes({
    identify,
    sessions,
    limits,
    store,
    signIn: () => held.signIn,
    providerName: () => held.settings.oidc?.name ?? '',
    isRequired,
    now,
  })
  return {
    identify,
    limits,
    routes: [...login, ...userRoutes(users, store)],
    refused: recordRefusals(store, now),
    settings: () => held.settings,
    clientRoots: ofMesh =>
      held.settings.certificates === undefined ? undefined : held.clientRoots === undefined ? ofMesh() : [held.clientRoots],
    onChange: told => void listeners.push(told),
    isRequired,
    firstAdmin() {
      const isAdmin = users.list().some(({ roles, expiresAt }) => roles.includes('admin') && !(Date.parse(expiresAt ?? '') <= now()))
      const byOthers = held.settings.grants.some(({ role, namespaces }) => role === 'admin' && namespaces === undefined)
      if (isAdmin || byOthers) return undefined
      return users.create({ name: 'admin', grants: [{ role: 'admin' }], madeBy: 'the control plane, at its start' }).token
    },
    async [Symbol.asyncDispose]() {
      end()
      held.ended.abort()
      sessions[Symbol.dispose]()
      users[Symbol.dispose]()
    },
  }
}

const filesOf = ({ oidc, certificates }: OperatorsSettings): readonly string[] =>
  [oidc?.caFile, certificates?.caFile].filter(path => path !== undefined)

async function read(file: string | undefined, clock: Clock): Promise<Held> {
  const settings = file === undefined ? noOperators : readOperatorsFile(await readText(file), file)
  const { oidc, certificates } = settings
  const roots = certificates?.caFile === undefined ? undefined : await readText(certificates.caFile)
  return { settings, signIn: oidc && (await signInOf(oidc, clock)), clientRoots: roots, ended: new AbortController() }
}

async function signInOf(oidc: NonNullable<OperatorsSettings['oidc']>, clock: Clock): Promise<SignIn> {
  const { issuer, clientId, clientSecretFile, audiences = [clientId], scopes, caFile } = oidc
  const ca = caFile === undefined ? undefined : await readText(caFile)
  return new SignIn({
    issuer,
    clientId,
    secret: async () => (clientSecretFile === undefined ? '' : (await readText(clientSecretFile)).trim()),
    audiences,
    scopes,
    ask: question => askHttp({ ...question, ca, timeoutMs: patienceMs }),
    now: () => clock.now(),
  })
}
