/**
 * The compiler: what operators wrote and what runs, to the mesh. Pure; the stages are the files in this order:
 *
 *   gather → services → attach → rules (resolve, filters, regex) → lower (order) → gateways (edge-*) → report
 *
 * and `viewFor` cuts from the mesh what one proxy is told. One file as a whole, for it is the order of the stages.
 */

import { type IdTemplates, otherThanDefault } from '#base/id-template'
import type { Chosen, Mesh, Outbound, SelectedPort, Spoken } from '#model/mesh'
import type { PoliciesTold } from '#model/policies-told'
import { isRevoked } from '#model/revoked'
import type { Inventory } from '#model/workload'
import type { HTTPRoute, TCPRoute, TLSRoute } from '#resources/gateway-api'
import type { Resource } from '#resources/kind'
import { findGuards } from './compiler/access/policies.ts'
import { findAddressed } from './compiler/services/addressed.ts'
import { findModes, judgingModes, keyOfPort, namelessPorts, spokenTo, withSpoken } from './compiler/access/authentication.ts'
import { type Enforced, findEnforced } from './compiler/access/enforced.ts'
import { findEgress } from './compiler/outside/egress.ts'
import { findExternals } from './compiler/outside/external.ts'
import { findBodies, nextReopening, withoutEnded } from './compiler/policies/bodies.ts'
import { authorizedAtGateways, Authorizing, judgingAuthorization, lowerAuthorizers, withAuthorizers } from './compiler/access/authorize.ts'
import type { Attached, Attachment } from './compiler/routes/attach.ts'
import { attach } from './compiler/routes/attach.ts'
import { findConcurrency } from './compiler/policies/concurrency.ts'
import { findRevocations, type Revoking, withoutRevoked } from './compiler/access/revocations.ts'
import { resolveFallbacks } from './compiler/policies/fallbacks.ts'
import type { Note } from './compiler/gather.ts'
import { judgingFaults, nextExpiry } from './compiler/policies/faults.ts'
import { delegate } from './compiler/routes/delegation.ts'
import type { JudgeCertificate } from './compiler/edge/certificates.ts'
import { gather, nameOf, older } from './compiler/gather.ts'
import {
  findOrders,
  type KnownOrder,
  type OrderedCertificate,
  type ShownChallenge,
  withChallenges,
} from './compiler/edge/certificate-orders.ts'
import { findBackendTls } from './compiler/edge/backend-tls.ts'
import { findGateways } from './compiler/edge/gateways.ts'
import { type Client, isMeant } from './compiler/clients.ts'
import { keep } from './compiler/keep.ts'
import type { ByPort, PortRoutes, RequestRoute } from './compiler/lower.ts'
import { type Audience, audienceKey, holding, lowerBackends, lowerPorts } from './compiler/lower.ts'
import { claimsChoosing, judgingLogins, Logins, loginsAtGateways } from './compiler/access/logins.ts'
import { findNames } from './compiler/services/names.ts'
import { isOurs, type Verdict } from './compiler/routes/parents.ts'
import { findPolicies, judgingBackends } from './compiler/policies/backend.ts'
import type { Outcome } from './compiler/report.ts'
import { findLimitService } from './compiler/policies/limit-service.ts'
import { judgingLimits, limitAtGateways, Limiting, lowerPlaceLimits, lowerRateLimits, spendersOf } from './compiler/policies/rate-limits.ts'
import { reportRoute } from './compiler/report.ts'
import { findRouteFilters } from './compiler/routes/extras.ts'
import { findTelemetry, judgingTelemetry } from './compiler/policies/telemetry.ts'
import { judgingRoutes } from './compiler/policies/route.ts'
import { Settling } from './compiler/policies/settle.ts'
import { type LoweredRoute, lowerRules } from './compiler/routes/rules.ts'
import type { ServicePort, Services } from './compiler/services/services.ts'
import { findServices, withOutside } from './compiler/services/services.ts'
import { readSlices, reportSlices } from './compiler/services/slices.ts'
import type { ResourceStatus } from './compiler/status.ts'
import { portsOfSubsets, reportSubsets } from './compiler/services/subsets.ts'
import { findTargets } from './compiler/policies/targets.ts'
import { type PolicyQuestion, type Sources, tellPolicies as tell } from './compiler/policies/tell.ts'
import { type Federating, findTrustDomains, type KnownDomain } from './compiler/access/trust-domains.ts'
import { judgingTokens, lowerTokens, Tokens, tokensAtGateways } from './compiler/access/tokens.ts'
import { lowerTCP, namesOf } from './compiler/routes/tcp.ts'

export type { Note } from './compiler/gather.ts'
export type { KnownDomain } from './compiler/access/trust-domains.ts'
export type { KnownOrder, OrderedCertificate, ShownChallenge } from './compiler/edge/certificate-orders.ts'
export type { AncestorStatus, ParentStatus, ResourceStatus, Stated } from './compiler/status.ts'
export { toldProtocol } from './compiler/services/protocol.ts'
export type { Enforced } from './compiler/access/enforced.ts'
export { joinStatus } from './compiler/status.ts'
export type { PolicyQuestion } from './compiler/policies/tell.ts'
export { modeAt } from './compiler/access/authentication.ts'
export { endpointsFor, lackingIn, viewFor } from './compiler/view.ts'

/**
 * roots: PEM certificates of the accepted roots. now: ms since the epoch; absent: before anything ends. judgeCertificate: what is wrong with a
 * certificate and its key; absent: only whether they look like some. moving: ports of workloads, `WORKLOAD.NAMESPACE:PORT`, on their way between mutual TLS
 * and plaintext, and what callers speak to them meanwhile.
 */
export type CompileOptions = {
  readonly trustDomain: string
  /** Of the ids of its workloads; absent: the default. */
  readonly idTemplate?: string
  readonly roots: readonly string[]
  readonly now?: number
  readonly judgeCertificate?: JudgeCertificate
  readonly moving?: Readonly<Record<string, Spoken>>
  /** PEM: revocation lists of whoever signs the certificates of the mesh. */
  readonly crls?: readonly string[]
  /** As `Withdrawn` has it. */
  readonly areWhole?: true
  /** What is known of TrustDomains, by their name. */
  readonly domains?: Readonly<Record<string, KnownDomain>>
  /** What became of the certificates that are ordered, by Secret, and which challenges are open. */
  readonly orders?: Readonly<Record<string, KnownOrder>>
  readonly challenges?: readonly ShownChallenge[]
  /** Ids of proxies that are Envoys, in order. */
  readonly envoys?: readonly string[]
  /** There will never be revocation lists of all authorities: those that sign are not the mesh's own. */
  readonly isListless?: true
}

/** plaintext: ports of workloads to which callers are to speak plaintext, as in `moving`. notes: what belongs to no condition. statuses: what to write on each resource; `joinStatus` makes the status of it. */
export type Compiled = {
  readonly mesh: Mesh
  readonly plaintext: readonly string[]
  readonly notes: readonly Note[]
  readonly statuses: readonly ResourceStatus[]
  /** Policies about who may call, and whose proxies keep them. */
  readonly enforced: readonly Enforced[]
  /** Certificates of listeners that are to be got. */
  readonly ordered: readonly OrderedCertificate[]
  /** When something ends by itself, so that the same resources compile to something else; ms since the epoch. */
  readonly endsAt?: number
}

/** Without what there is none of, so that a mesh without it has nothing more to tell. */
const trustOf = (
  { trustDomain, roots, crls = [], areWhole }: CompileOptions,
  { federated }: Federating,
  { revoked }: Revoking,
  idTemplates: IdTemplates,
): Mesh['trust'] => {
  const believed = Object.fromEntries(
    Object.entries(federated).filter(([domain]) => isRevoked(revoked, `spiffe://${domain}/`) === undefined),
  )
  return {
    domain: trustDomain,
    roots,
    ...(Object.keys(believed).length === 0 ? {} : { federated: believed }),
    ...(Object.keys(idTemplates).length === 0 ? {} : { idTemplates }),
    ...(crls.length === 0 ? {} : { crls, ...(areWhole === undefined ? {} : { areWhole }) }),
    ...(revoked.length === 0 ? {} : { revoked }),
  }
}

/** Envoys tell certificates apart by revocation lists only. */
function serialsUnseen({ isListless, envoys = [] }: CompileOptions): string | undefined {
  if (isListless !== true || envoys.length === 0) return undefined
  return `the authority of this mesh signs no revocation list of them, and Envoy knows no other way: ${envoys.slice(0, 8).join(', ')} takes the certificate until it ends. Revoke the identity, or revoke it at the authority`
}

/**
 * resources: as admitted (`admit`: valid, defaults filled in), in any order; the same set gives the same bytes.
 * previous: the last result; what did not change is the same object in the new one.
 */
export function compile(resources: readonly Resource[], running: Inventory, options: CompileOptions, previous?: Compiled): Compiled {
  const gathered = gather(resources)
  const federating = findTrustDomains(gathered.trustDomains, options.domains ?? {}, options.trustDomain)
  const idTemplates = { ...federating.idTemplates, ...otherThanDefault(options.trustDomain, options.idTemplate) }
  const revoking = findRevocations(gathered.revocations, options.trustDomain, options.now ?? 0, serialsUnseen(options))
  const inventory = withoutRevoked(running, revoking.revoked)
  const { grants } = gathered
  const judge = options.judgeCertificate ?? (() => undefined)
  const slices = readSlices(gathered, inventory)
  const found = findServices(gathered.services, inventory, gathered.subsets, slices.of)
  const externals = findExternals(gathered, judge, found.ports)
  const backendTls = findBackendTls(gathered, found)
  const services: Services = { ...found, by: new Map([...found.by, ...externals.by]), inTls: new Set(backendTls.holding.keys()) }
  const addressed = findAddressed(inventory, found, gathered.meshes)
  const ports = [...found.ports, ...externals.ports, ...addressed]

  const http = attach(gathered.httpRoutes, gathered, services)
  const tls = attach(gathered.tlsRoutes, gathered, services)
  const tcp = attach(gathered.tcpRoutes, gathered, services)
  const udp = attach(gathered.udpRoutes, gathered, services)
  const grpc = attach(gathered.grpcRoutes, gathered, services)
  const requests: readonly RequestRoute[] = [...gathered.grpcRoutes, ...gathered.httpRoutes]
  const filters = findRouteFilters(gathered.routeFilters)
  const plain = <R extends RequestRoute>(list: readonly R[]) =>
    new Map(list.map(route => [route, lowerRules(route, services, grants, filters)]))
  const delegation = delegate(plain(gathered.httpRoutes), grants)
  const httpLowered = new Map<RequestRoute, LoweredRoute>([...plain(gathered.grpcRoutes), ...delegation.lowered])
  const streams = [...gathered.tlsRoutes, ...gathered.tcpRoutes, ...gathered.udpRoutes]
  const tcpLowered = new Map(streams.map(route => [route, lowerTCP(route, services, grants)]))
  const lowered = { http: httpLowered, tcp: new Map([...tcpLowered].map(([route, { backends }]) => [route, backends])) }

  const attached = { http: [...grpc.attachments, ...http.attachments], tls: tls.attachments, tcp: [...tcp.attachments, ...udp.attachments] }
  const audiences = new Map<string, Audience>([[audienceKey({ scope: undefined }), { scope: undefined }]])
  for (const { scope, from } of Object.values(attached).flat()) audiences.set(audienceKey({ scope, from }), { scope, from })
  const byAudience = new Map([...audiences].map(([key, audience]) => [key, { audience, byPort: holding(attached, audience) }]))
  const everyone = byAudience.get(audienceKey({ scope: undefined }))!.byPort
  const fallbacks = resolveFallbacks(gathered.backendPolicies, services, grants)
  const backing = findTargets(fallbacks.policies, { services, routes: [], isHeld: () => false }, judgingBackends)
  const policies = findPolicies(gathered.meshes, backing, options.trustDomain)
  const authentication = findTargets(gathered.authenticationPolicies, { services, routes: [], isHeld: () => false }, judgingModes(services))
  const isStrict = (port: ServicePort): boolean => spokenTo(authentication, port, policies.mtls) === 'strict'
  const called = [...withOutside(ports, isStrict), ...portsOfSubsets(services)]
  const { lowered: backends, hashes, perClient } = lowerBackends(called, policies)
  const gateways = findGateways(gathered, backendTls, httpLowered, tcpLowered, inventory, judge, hashes)
  const orders = findOrders(gateways.edges, gathered, options.orders ?? {})
  const egress = findEgress(gathered.egressPolicies, externals.ports)
  const mtls = findModes(policies.mtls, authentication, services, inventory.workloads, options.moving ?? {})
  const nameless = namelessPorts(mtls, inventory.workloads)
  const guarding = findGuards(
    gathered.accessPolicies,
    gathered.meshes,
    services,
    options.trustDomain,
    nameless,
    inventory.workloads,
    idTemplates,
  )
  const { faultPolicies, rateLimitPolicies } = gathered
  const { now = 0 } = options
  const held = new Set<Resource>(Object.values(attached).flatMap(list => list.map(each => each.route)))
  const isHeld = (route: Resource): boolean =>
    held.has(route) ||
    (gateways.verdicts.get(route) ?? []).some(verdict => verdict.reason === undefined) ||
    (delegation.parents.get(route as HTTPRoute) ?? []).some(isHeld)
  const ground = { services, routes: [...requests, ...streams], isHeld }
  const routing = findTargets(withoutEnded(gathered.routePolicies, now), ground, judgingRoutes)
  const faults = findTargets(faultPolicies, ground, judgingFaults(now))
  const limitService = findLimitService(gathered.meshes, services)
  const limits = findTargets(rateLimitPolicies, ground, judgingLimits(limitService))
  const ourGateways = gathered.gateways.filter(each => isOurs(each, gathered.gatewayClasses))
  const asking = findTargets(gathered.jwtPolicies, { ...ground, gateways: ourGateways }, judgingTokens)
  const tokens = new Tokens(gathered)
  const { externalAuthorizationPolicies } = gathered
  const deciding = findTargets(externalAuthorizationPolicies, { ...ground, gateways: ourGateways }, judgingAuthorization)
  const authorizing = new Authorizing(services, grants, deciding)
  const authorizers = new Map(
    [
      ...externalAuthorizationPolicies.map(each => authorizing.of(each).authorizer),
      ...[...httpLowered.values()].flatMap(each => each.authorizers),
    ].map(each => [each.name, each] as const),
  )
  const loggingIn = findTargets(gathered.loginPolicies, { ...ground, gateways: ourGateways }, judgingLogins)
  const logins = new Logins(gathered)
  const telling = findTargets(gathered.telemetryPolicies, ground, judgingTelemetry)
  const limiting = new Limiting(limitService, options)
  const byKey = new Map(ports.map(port => [port.key, port]))
  const own = new Map([...httpLowered.values()].flatMap(each => [...each.own]))
  const speaking = { routes: routing, faults, own }
  const settling = new Settling(speaking, byKey)
  const loweredFor = (byPort: ByPort, isAll = false): Outbound => {
    const own = isAll ? ports : ports.filter(port => byPort.has(port.key))
    return withAuthorizers(
      settling.settle(lowerPorts(own, byPort, lowered, hashes), key => routeOfBytes(byPort.get(key)?.tcp)),
      authorizers,
    )
  }
  const outbound = loweredFor(everyone, true)
  const others = [...byAudience.values()].filter(({ byPort }) => byPort !== everyone)
  const consumed = Object.fromEntries(
    others
      .flatMap(({ audience: { scope, from }, byPort }) =>
        scope === undefined || from !== undefined ? [] : [[scope, loweredFor(byPort)] as const],
      )
      .sort(([one], [other]) => (one < other ? -1 : 1)),
  )
  const some = byAge(others.filter(({ audience }) => audience.from !== undefined))
  const chosen = some.map(
    ({ audience: { scope, from }, byPort }): Chosen => ({ ...loweredFor(byPort), from: from!, ...(scope === undefined ? {} : { scope }) }),
  )
  const tablesOf = (part: Outbound) => Object.values(part.routes)
  const edges = Object.fromEntries(
    Object.entries(gateways.lowered).map(([name, { listeners, routes }]) => [
      name,
      { listeners, routes: settling.settle({ listeners: {}, routes }, () => '').routes },
    ]),
  )

  const populated = [...new Set(inventory.workloads.map(each => each.namespace))].sort()
  const guardedEdges = authorizedAtGateways(edges, deciding, authorizing)
  const limited = {
    gateways: claimsChoosing(
      loginsAtGateways(
        tokensAtGateways(limitAtGateways(guardedEdges, limits, limiting, limitService.service), asking, tokens),
        loggingIn,
        logins,
      ),
    ),
    rateLimits: lowerRateLimits(tablesOf(outbound), services.ports, limits, limiting),
    placeLimits: lowerPlaceLimits(populated, limits, limiting),
  }

  const mesh: Mesh = {
    trust: trustOf(options, federating, revoking, idTemplates),
    blocked: revoking.rules,
    mtls,
    ...(policies.profile === 'modern' ? {} : { profile: policies.profile }),
    outbound,
    consumers: consumed,
    ...backends,
    backends: { ...backends.backends, ...limitService.outside.backends },
    endpoints: { ...withSpoken(backends.endpoints, mtls, nameless, inventory.workloads), ...limitService.outside.endpoints },
    dns: findNames(ports, found.headless),
    declared: declaredBy(services.ports),
    inside: gateways.inside,
    gateways: withChallenges(
      Object.fromEntries(Object.entries(limited.gateways).map(([name, gateway]) => [name, withAuthorizers(gateway, authorizers)])),
      options.challenges ?? [],
    ),
    chosen,
    perClient: {
      ...settling.perClient,
      backends: perClient,
      hashes: Object.keys(perClient).length === 0 ? {} : Object.fromEntries(hashes),
    },
    bodies: findBodies(services.ports, routing),
    concurrency: findConcurrency(services.ports, policies),
    rateLimits: limited.rateLimits,
    placeLimits: limited.placeLimits,
    sharedLimits: limiting.shared(rateLimitPolicies, spendersOf(limited, inventory.workloads, options)),
    tokens: lowerTokens(populated, services.ports, asking, tokens),
    authorizers: lowerAuthorizers(populated, services.ports, deciding, authorizing),
    telemetry: findTelemetry(gathered.telemetryPolicies, telling),
    limitService: limitService.service,
    guards: guarding.guards,
    access: guarding.access,
    accessIn: guarding.accessIn,
    tellsWhy: guarding.tellsWhy,
    egress: egress.guards,
    external: Object.fromEntries(externals.ports.map(({ key, external }) => [`outbound/${key}`, external!.host])),
    owned: ownedBy(externals.ports),
  }

  const placesOf = Map.groupBy<AnyRoute, Attachment<AnyRoute>>(
    [http, tls, tcp, udp, grpc].flatMap(({ attachments }) => attachments as readonly Attachment<AnyRoute>[]),
    each => each.route,
  )
  const reported = <R extends AnyRoute>(route: R, { verdicts }: Attached<R>, outcome: Omit<Outcome, 'ruleCount'>) => {
    const lost = (placesOf.get(route) ?? []).filter(each => !holds(route, byAudience.get(audienceKey(each))!.byPort.get(each.port.key)))
    const said = [
      ...conflicted(verdicts.get(route)!, lost),
      ...(gateways.verdicts.get(route) ?? []),
      ...(delegation.verdicts.get(route as HTTPRoute) ?? []),
    ]
    return reportRoute(route, said, { ...outcome, ruleCount: route.spec?.rules?.length ?? 0 })
  }
  const statuses: ResourceStatus[] = [
    ...gathered.httpRoutes.map(route => reported(route, http, httpLowered.get(route)!)),
    ...gathered.grpcRoutes.map(route => reported(route, grpc, httpLowered.get(route)!)),
    ...streams.map(route =>
      reported<TLSRoute | TCPRoute>(route, route.kind === 'TLSRoute' ? tls : route.kind === 'UDPRoute' ? udp : tcp, tcpLowered.get(route)!),
    ),
    ...policies.statuses,
    ...fallbacks.told(backing.statuses),
    ...routing.statuses,
    ...filters.statuses,
    ...faults.statuses,
    ...limits.statuses,
    ...tokens.told(gathered.jwtPolicies, asking.statuses),
    ...authorizing.told(externalAuthorizationPolicies, deciding.statuses),
    ...logins.told(gathered.loginPolicies, loggingIn.statuses),
    ...guarding.statuses,
    ...authentication.statuses,
    ...telling.statuses,
    ...gateways.statuses,
    ...externals.statuses,
    ...egress.statuses,
    ...revoking.statuses,
    ...federating.statuses,
    ...orders.statuses,
    ...reportSubsets(gathered.subsets, services),
    ...reportSlices(slices, (service, name) => (found.by.get(service) ?? []).some(port => (port.name ?? '') === name && isStrict(port))),
  ].filter(status => (status.parents ?? status.ancestors ?? status.conditions ?? []).length > 0)

  const hostnames = requests.flatMap((route): readonly Note[] =>
    (route.spec?.hostnames ?? []).length > 0 && placesOf.has(route)
      ? [
          {
            about: `${route.kind} ${nameOf(route)}`,
            path: 'spec.hostnames',
            says: 'says nothing for Services (GEP-1294): match the header Host instead',
          },
        ]
      : [],
  )
  const notes = [...services.notes, ...http.notes, ...tls.notes, ...tcp.notes, ...udp.notes, ...grpc.notes, ...hostnames]
  const ends = [nextExpiry(faultPolicies, now), nextReopening(gathered.routePolicies, now), revoking.endsAt].filter(
    each => each !== undefined,
  )
  const endsAt = ends.length === 0 ? undefined : Math.min(...ends)
  const inOrderOfWeight = [
    byAudience.get(audienceKey({ scope: undefined }))!,
    ...some.filter(({ audience }) => audience.scope === undefined),
    ...others.filter(({ audience }) => audience.scope !== undefined && audience.from === undefined),
    ...some.filter(({ audience }) => audience.scope !== undefined),
  ]
  /** As `outboundFor` has it: consumer routes before producer routes, of each those that name the client first. */
  const heldFor = (key: string, client: Client): PortRoutes | undefined =>
    inOrderOfWeight
      .filter(({ audience: { scope, from } }) => (scope === undefined || scope === client.namespace) && isMeant(from, client))
      .findLast(({ byPort }) => byPort.has(key))
      ?.byPort.get(key)
  const compiled = keep<Compiled>(previous, {
    mesh,
    plaintext: nameless.map(keyOfPort),
    notes,
    statuses,
    ordered: orders.ordered,
    enforced: findEnforced(
      [
        ...gathered.accessPolicies,
        ...gathered.jwtPolicies,
        ...gathered.loginPolicies,
        ...externalAuthorizationPolicies,
        ...gathered.authenticationPolicies,
      ],
      requests,
      services,
      inventory.workloads,
    ),
    ...(endsAt === undefined ? {} : { endsAt }),
  })
  sources.set(compiled, {
    speaking,
    backing: policies,
    limits,
    authorizing: deciding,
    asking,
    loggingIn,
    authentication,
    meshes: gathered.meshes,
    accessPolicies: gathered.accessPolicies,
    ports: ports.filter(each => each.workload === undefined),
    backends: called,
    workloads: inventory.workloads,
    bytesBy: (port, client) => routeOfBytes(heldFor(port.key, client)?.tcp),
  })
  return compiled
}

/** Who said what, for as long as the outcome is there; what it came to is in the mesh. */
const sources = new WeakMap<Compiled, Sources>()

/** What holds for the calls to a Service, and by whose word; undefined: there is no such Service or port. */
export function tellPolicies(compiled: Compiled, question: PolicyQuestion): PoliciesTold | undefined {
  const known = sources.get(compiled)
  return known && tell(compiled.mesh, known, question)
}

type AnyRoute = RequestRoute | TLSRoute | TCPRoute

/** Whether anything goes by it. */
function holds(route: AnyRoute, there: PortRoutes | undefined): boolean {
  if (there === undefined) return false
  const { names, unnamed } = namesOf(there.tls)
  const taken: readonly AnyRoute[] = [...there.http, ...names.keys()]
  return there.tcp === route || unnamed === route || taken.includes(route)
}

const routeOfBytes = (route: Resource | undefined): string => (route === undefined ? '' : `${route.kind}/${nameOf(route)}/0`)

/** Of routes that name their clients those last that count most: consumer routes, and of one scope the oldest. */
function byAge<T extends { readonly audience: Audience; readonly byPort: ByPort }>(list: readonly T[]): readonly T[] {
  const oldest = ({ byPort }: T): Resource =>
    [...byPort.values()].flatMap(({ http, tls, tcp }): Resource[] => [...http, ...tls, ...(tcp === undefined ? [] : [tcp])]).sort(older)[0]!
  return list
    .filter(({ byPort }) => byPort.size > 0)
    .toSorted(
      (one, other) =>
        Number(one.audience.scope !== undefined) - Number(other.audience.scope !== undefined) || older(oldest(other), oldest(one)),
    )
}

/** A parent on which another route took the place says so; one port lost of several is enough, for half a split is no split. */
function conflicted(verdicts: readonly Verdict[], lost: readonly Attachment<unknown>[]): readonly Verdict[] {
  return verdicts.map(verdict => {
    const ports = lost.filter(each => each.parentRef === verdict.parentRef).map(each => each.port.key)
    return verdict.reason !== undefined || ports.length === 0
      ? verdict
      : { ...verdict, reason: 'Conflicted', says: `another route holds on ${ports.join(', ')}: of a more specific kind, or an older one` }
  })
}

/** Keys of certificates are for the proxies of one namespace. */
const ownedBy = (ports: readonly ServicePort[]): Mesh['owned'] =>
  Object.fromEntries(ports.flatMap(({ key, namespace, external }) => (external?.tls?.certificate === undefined ? [] : [[key, namespace]])))

function declaredBy(ports: readonly ServicePort[]): Mesh['declared'] {
  const found: Record<string, SelectedPort[]> = {}
  for (const { namespace, selector, target, protocol, proxyProtocol } of ports) {
    if (protocol === 'udp' || (protocol === 'detect' && proxyProtocol === undefined)) continue
    const header = proxyProtocol === undefined ? {} : { proxyProtocol }
    ;(found[namespace] ??= []).push({ selector, target, protocol, ...header })
  }
  return found
}
