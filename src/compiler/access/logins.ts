/** LoginPolicies: what is said of each, and at which routes of Gateways callers must have logged in. */

import { matchedClaims } from '#model/claim-routes'
import type { LoginPolicy as Login } from '#model/login'
import type { Mesh, Outbound } from '#model/mesh'
import type { Route, RouteTable, VirtualHost } from '#model/route'
import type { TokenPolicy } from '#model/token'
import { durationMs } from '#resources/duration'
import type { ParentRef } from '#resources/gateway-api'
import type { Resource } from '#resources/kind'
import type { LoginPolicy } from '#resources/weft'
import { isMisdirected, sectionOf, securedTables } from '../edge/sections.ts'
import type { Gathered } from '../gather.ts'
import { nameOf, namespaceOf } from '../gather.ts'
import type { ResourceStatus } from '../status.ts'
import { state } from '../status.ts'
import type { Judging, Objection, Targets } from '../policies/targets.ts'

function whyNot(path: string, route: Resource | undefined): Objection | undefined {
  const { parentRefs = [] } = (route?.spec ?? {}) as { readonly parentRefs?: readonly ParentRef[] | undefined }
  if (!parentRefs.some(parent => parent.kind === 'Service')) return undefined
  return {
    reason: 'Invalid',
    says: `${path}: the route has a Service as its parent, and inside the mesh nobody logs in: give that another route`,
  }
}

export const judgingLogins: Judging<LoginPolicy> = {
  unable: (_, __, { carriers, edge }) =>
    carriers.includes('requests') && edge?.isPlain !== true ? undefined : 'who logs in must come by HTTPS',
  objection: (_, __, path, route) => whyNot(path, route),
}

/** As short as may be to be as good as a key of AES-256. */
const leastKeyBytes = 32

/** What a policy comes to, made once. */
export class Logins {
  readonly #secrets: Gathered['secrets']
  readonly #configMaps: Gathered['configMaps']
  readonly #made = new Map<LoginPolicy, Login>()
  /** By policy: what is wrong with it beside others. */
  readonly clashes = new Map<string, string>()

  constructor({ secrets, configMaps }: Pick<Gathered, 'secrets' | 'configMaps'>) {
    this.#secrets = secrets
    this.#configMaps = configMaps
  }

  of(policy: LoginPolicy): Login {
    let made = this.#made.get(policy)
    if (made === undefined) this.#made.set(policy, (made = this.#lower(policy)))
    return made
  }

  told(policies: readonly LoginPolicy[], statuses: readonly ResourceStatus[]): readonly ResourceStatus[] {
    return statuses.map((status, at) => {
      const policy = policies[at]!
      const wrong = [this.of(policy).wrong, this.clashes.get(nameOf(policy))].filter(each => each !== undefined)
      if (wrong.length === 0 || status.ancestors === undefined) return status
      const condition = state(policy, 'ResolvedRefs', false, 'Invalid', `${wrong.join('; ')}: nobody can log in, and nothing is served`)
      return { ...status, ancestors: status.ancestors.map(each => ({ ...each, conditions: [...each.conditions, condition] })) }
    })
  }

  #lower(policy: LoginPolicy): Login {
    const { provider, session, forward, ...spec } = policy.spec!
    const wrong: string[] = []
    const secret = provider.clientSecretRef && this.#entry(policy, provider.clientSecretRef, 'spec.provider.clientSecretRef', wrong)
    const key = this.#entry(policy, session.keyRef, 'spec.session.keyRef', wrong)
    if (key !== undefined && lengthOf(key) < leastKeyBytes)
      wrong.push(`spec.session.keyRef: the key has ${lengthOf(key)} bytes: ${leastKeyBytes} are needed at least (openssl rand 32)`)
    const ca = this.#caOf(policy, provider.caCertificateRef, wrong)
    const previous = this.#dataOf(policy, session.keyRef.name)?.[`previous-${session.keyRef.key}`]
    const text = textOf(secret)
    if (provider.clientSecretRef !== undefined && secret !== undefined && text === '')
      wrong.push('spec.provider.clientSecretRef: the entry is empty')
    return {
      name: nameOf(policy),
      issuer: provider.issuer,
      clientId: provider.clientId,
      secret: text,
      secretIn: provider.clientAuthentication === 'Post' ? 'body' : 'header',
      keys: [key, previous].flatMap(each => (each === undefined || lengthOf(each) < leastKeyBytes ? [] : [plain(each)])),
      scopes: provider.scopes,
      parameters: Object.entries(provider.parameters ?? {})
        .sort(([one], [other]) => (one < other ? -1 : 1))
        .map(([name, value]) => ({ name, value })),
      timeoutMs: durationMs(provider.timeout),
      ...(ca === undefined ? {} : { ca }),
      redirectPath: spec.redirectPath,
      logoutPath: spec.logoutPath,
      afterLogout: spec.afterLogout,
      cookie: {
        name: session.cookieName ?? `weft-login-${policy.metadata.name.replaceAll('.', '_')}`,
        ...(session.domain === undefined ? {} : { domain: session.domain }),
        sameSite: session.sameSite,
      },
      lifetimeMs: durationMs(session.lifetime),
      refreshes: session.refresh,
      ...(forward?.accessToken === undefined ? {} : { accessToken: lower(forward.accessToken) }),
      ...(forward?.idToken === undefined ? {} : { idToken: lower(forward.idToken) }),
      claimsToHeaders: (spec.claimsToHeaders ?? []).map(({ claim, header }) => ({ claim, header: header.toLowerCase() })),
      passesBearer: spec.passBearer,
      apiPaths: spec.apiPaths ?? [],
      ...(wrong.length === 0 ? {} : { wrong: `LoginPolicy ${nameOf(policy)}: ${wrong.join('; ')}` }),
    }
  }

  #caOf(policy: LoginPolicy, ref: { readonly name: string; readonly key: string } | undefined, wrong: string[]): string | undefined {
    if (ref === undefined) return undefined
    const name = `${namespaceOf(policy)}/${ref.name}`
    const found = this.#configMaps.find(each => nameOf(each) === name)
    const text = found?.data?.[ref.key]
    const says =
      found === undefined
        ? `ConfigMap ${name} does not exist`
        : text === undefined
          ? `ConfigMap ${name} has no entry ${ref.key}`
          : `ConfigMap ${name} holds no certificate in PEM`
    if (text === undefined || !/-----BEGIN CERTIFICATE-----[\s\S]+-----END CERTIFICATE-----/.test(text))
      wrong.push(`spec.provider.caCertificateRef: ${says}`)
    return text
  }

  #dataOf(policy: LoginPolicy, name: string): Readonly<Record<string, string>> | undefined {
    const secret = this.#secrets.find(each => nameOf(each) === `${namespaceOf(policy)}/${name}`)
    return secret && (secret.data ?? {})
  }

  /** In base64. */
  #entry(policy: LoginPolicy, ref: { readonly name: string; readonly key: string }, path: string, wrong: string[]): string | undefined {
    const data = this.#dataOf(policy, ref.name)
    const found = data?.[ref.key]
    if (found === undefined)
      wrong.push(`${path}: Secret ${namespaceOf(policy)}/${ref.name} ${data === undefined ? 'does not exist' : `has no entry ${ref.key}`}`)
    return found
  }
}

const lower = ({ header, prefix }: { readonly header: string; readonly prefix: string }) => ({ header: header.toLowerCase(), prefix })
const plain = (base64: string): string => base64.replaceAll(/\s/g, '')
const bytesOf = (base64: string): string => {
  try {
    return atob(plain(base64))
  } catch {
    return ''
  }
}
const lengthOf = (base64: string): number => bytesOf(base64).length
/** Editors end files with a line break that is no part of a secret. */
const textOf = (base64 = ''): string =>
  new TextDecoder().decode(Uint8Array.from(bytesOf(base64), each => each.charCodeAt(0))).replace(/\r?\n$/, '')

/** At routes that a policy holds for; the paths of the login itself go before all routes of a host. */
export function loginsAtGateways(gateways: Mesh['gateways'], targets: Targets<LoginPolicy>, logins: Logins): Mesh['gateways'] {
  if (targets.isEmpty) return gateways
  return Object.fromEntries(Object.entries(gateways).map(([name, gateway]) => [name, atGateway(name, gateway, targets, logins)]))
}

function atGateway(name: string, gateway: Outbound, targets: Targets<LoginPolicy>, logins: Logins): Outbound {
  const byTable = new Map<string, Map<string, Login>>()
  const secured = securedTables(gateway)
  const asking = (key: string, table: RouteTable): RouteTable => {
    const isSecure = secured.has(key)
    const ofPlace = targets.ofGateway(name, isSecure ? sectionOf(key) : undefined)
    const inTable = new Map<string, Login>()
    byTable.set(key, inTable)
    const hosts = table.hosts.map((host): VirtualHost => {
      const used = new Map<string, Login>()
      const routes = host.routes.map((route): Route => {
        // In plaintext nobody logs in: what leads to HTTPS is let be, and nothing else.
        if (isMisdirected(route) || (!isSecure && route.action.type === 'redirect')) return route
        const own = targets.of(undefined, route.name).find(({ level }) => level === 'Route' || level === 'rule')
        const policy = (own ?? ofPlace[0])?.policy
        if (policy === undefined) return route
        const lowered = logins.of(policy)
        used.set(lowered.name, lowered)
        return { ...route, login: lowered.name }
      })
      for (const [each, lowered] of used) inTable.set(each, lowered)
      const own = [...used.values()].sort((one, other) => (one.name < other.name ? -1 : 1))
      own.forEach((each, at) => {
        const other = own.slice(0, at).find(one => pathsOf(one).some(path => pathsOf(each).includes(path)))
        if (other !== undefined)
          logins.clashes.set(each.name, `its redirectPath or logoutPath is that of LoginPolicy ${other.name} at host ${host.name} too`)
      })
      const isSame = routes.every((route, at) => route === host.routes[at])
      return isSame ? host : { ...host, routes: [...own.flatMap(ownRoutes), ...routes] }
    })
    return { ...table, hosts }
  }
  const routes = Object.fromEntries(Object.entries(gateway.routes).map(([key, table]) => [key, asking(key, table)] as const))
  const listeners = Object.fromEntries(
    Object.entries(gateway.listeners).map(([key, listener]) => {
      const tables = [listener.routes, ...(listener.terminates ?? []).map(each => each.routes)]
      const used = new Map(tables.flatMap(each => [...(byTable.get(each ?? '') ?? [])]))
      if (used.size === 0) return [key, listener] as const
      const list = [...used.values()].sort((one, other) => (one.name < other.name ? -1 : 1))
      const clashing = list.map((each): Login => {
        const clash = logins.clashes.get(each.name)
        return clash === undefined || each.wrong !== undefined ? each : { ...each, wrong: `LoginPolicy ${each.name}: ${clash}` }
      })
      return [key, { ...listener, logins: clashing }] as const
    }),
  )
  return { ...gateway, listeners, routes }
}

const pathsOf = ({ redirectPath, logoutPath }: Login): readonly string[] => [redirectPath, logoutPath]

const ownRoutes = (login: Login): readonly Route[] =>
  pathsOf(login).map((path, at) => ({
    name: `LoginPolicy/${login.name}/${at === 0 ? 'redirect' : 'logout'}`,
    origin: `LoginPolicy ${login.name} ${at === 0 ? 'redirectPath' : 'logoutPath'}`,
    match: { path: { type: 'exact', value: path } },
    filters: [],
    // The login answers first, always.
    action: { type: 'respond', status: 404, detail: '' },
    login: login.name,
  }))

/** Policies whose claims stand in headers by which routes of Gateways are told apart are marked. */
export function claimsChoosing(gateways: Mesh['gateways']): Mesh['gateways'] {
  if (
    !Object.values(gateways).some(each => Object.values(each.listeners).some(one => one.tokens !== undefined || one.logins !== undefined))
  )
    return gateways
  return Object.fromEntries(
    Object.entries(gateways).map(([name, gateway]) => {
      const listeners = Object.entries(gateway.listeners).map(([key, listener]) => {
        const { tokens, logins } = listener
        if (tokens === undefined && logins === undefined) return [key, listener] as const
        const tables = [listener.routes, ...(listener.terminates ?? []).map(each => each.routes)]
        const hosts = tables.flatMap(each => gateway.routes[each ?? '']?.hosts ?? [])
        const names = new Set(hosts.flatMap(host => matchedClaims(host, listener)))
        if (names.size === 0) return [key, listener] as const
        const isToken = ({ issuers }: TokenPolicy): boolean => issuers.some(isTelling)
        const isTelling = ({ claimsToHeaders }: Pick<Login, 'claimsToHeaders'>): boolean =>
          claimsToHeaders.some(({ header }) => names.has(header))
        return [
          key,
          {
            ...listener,
            ...(tokens === undefined
              ? {}
              : { tokens: tokens.map(each => (isToken(each) ? { ...each, choosesRoutes: true as const } : each)) }),
            ...(logins === undefined
              ? {}
              : { logins: logins.map(each => (isTelling(each) ? { ...each, choosesRoutes: true as const } : each)) }),
          },
        ] as const
      })
      return [name, { ...gateway, listeners: Object.fromEntries(listeners) }]
    }),
  )
}
