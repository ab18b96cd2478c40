/**
 * The compiler: what operators wrote and what runs, to the mesh. Pure; the stages are the files in this order:
 *
 *   gather → services → routes (attach, rules, audiences) → policies → lower → gateways (edge) → settle → report
 *
 * and `viewFor` cuts from the mesh what one proxy is told.
 */

import { otherThanDefault } from '#base/id-template'
import type { Chosen, Mesh, Outbound } from '#model/mesh'
import type { PoliciesTold } from '#model/policies-told'
import type { Inventory } from '#model/workload'
import type { HTTPRoute } from '#resources/gateway-api'
import type { Resource } from '#resources/kind'
import { findGuards } from './compiler/access/policies.ts'
import { findAddressed } from './compiler/services/addressed.ts'
import { findModes, judgingModes, keyOfPort, namelessPorts, spokenTo, withSpoken } from './compiler/access/authentication.ts'
import { findEnforced } from './compiler/access/enforced.ts'
import { findEgress } from './compiler/outside/egress.ts'
import { findExternals, ownedBy } from './compiler/outside/external.ts'
import { findBodies, nextReopening, withoutEnded } from './compiler/policies/bodies.ts'
import { authorizedAtGateways, Authorizing, judgingAuthorization, lowerAuthorizers, withAuthorizers } from './compiler/access/authorize.ts'
import { findConcurrency } from './compiler/policies/concurrency.ts'
import { findRevocations, withoutRevoked } from './compiler/access/revocations.ts'
import { resolveFallbacks } from './compiler/policies/fallbacks.ts'
import { judgingFaults, nextExpiry } from './compiler/policies/faults.ts'
import { gather, nameOf } from './compiler/gather.ts'
import { findOrders, withChallenges } from './compiler/edge/certificate-orders.ts'
import { findBackendTls } from './compiler/edge/backend-tls.ts'
import type { Compiled, CompileOptions } from './compiler/compiled.ts'
import { findGateways } from './compiler/edge/gateways.ts'
import { keep } from './compiler/keep.ts'
import { lowerBackends, lowerPorts } from './compiler/lower.ts'
import { claimsChoosing, judgingLogins, Logins, loginsAtGateways } from './compiler/access/logins.ts'
import { findNames } from './compiler/services/names.ts'
import { type ByPort, findAudiences } from './compiler/routes/audiences.ts'
import { isOurs } from './compiler/routes/parents.ts'
import { findRoutes } from './compiler/routes/routes.ts'
import { reportRoutes } from './compiler/routes/statuses.ts'
import { findPolicies, judgingBackends } from './compiler/policies/backend.ts'
import { findLimitService } from './compiler/policies/limit-service.ts'
import { judgingLimits, limitAtGateways, Limiting, lowerPlaceLimits, lowerRateLimits, spendersOf } from './compiler/policies/rate-limits.ts'
import { findTelemetry, judgingTelemetry, toldOf } from './compiler/policies/telemetry.ts'
import { judgingRoutes } from './compiler/policies/route.ts'
import { Settling } from './compiler/policies/settle.ts'
import { declaredBy } from './compiler/services/declared.ts'
import type { ServicePort, Services } from './compiler/services/services.ts'
import { findServices, withOutside } from './compiler/services/services.ts'
import { readSlices, reportSlices } from './compiler/services/slices.ts'
import type { ResourceStatus } from './compiler/status.ts'
import { portsOfSubsets, reportSubsets } from './compiler/services/subsets.ts'
import { findTargets } from './compiler/policies/targets.ts'
import { type PolicyQuestion, type Sources, tellPolicies as tell } from './compiler/policies/tell.ts'
import { serialsUnseen, trustOf } from './compiler/access/trust.ts'
import { findTrustDomains } from './compiler/access/trust-domains.ts'
import { judgingTokens, lowerTokens, Tokens, tokensAtGateways } from './compiler/access/tokens.ts'

export type { Compiled, CompileOptions } from './compiler/compiled.ts'
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
  const backendTls = findBackendTls(gathered, found, judge)
  const services: Services = { ...found, by: new Map([...found.by, ...externals.by]), inTls: new Set(backendTls.holding.keys()) }
  const addressed = findAddressed(inventory, found, gathered.meshes)
  const ports = [...found.ports, ...externals.ports, ...addressed]

  const routes = findRoutes(gathered, services)
  const audiences = findAudiences(routes.attached)
  const lowered = { http: routes.lowered.http, tcp: new Map([...routes.lowered.tcp].map(([route, { backends }]) => [route, backends])) }

  const fallbacks = resolveFallbacks(gathered.backendPolicies, services, grants)
  const backing = findTargets(fallbacks.policies, { services, routes: [], isHeld: () => false }, judgingBackends)
  const limitService = findLimitService(gathered.meshes, services)
  const policies = findPolicies(gathered.meshes, backing, options.trustDomain, limitService.why)
  const authentication = findTargets(gathered.authenticationPolicies, { services, routes: [], isHeld: () => false }, judgingModes(services))
  const isStrict = (port: ServicePort): boolean => spokenTo(authentication, port, policies.mtls) === 'strict'
  const called = [...withOutside(ports, isStrict), ...portsOfSubsets(services)]
  const { lowered: backends, hashes, perClient } = lowerBackends(called, policies)
  const gateways = findGateways(gathered, backendTls, routes.lowered.http, routes.lowered.tcp, inventory, judge, hashes)
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
  const held = new Set<Resource>(Object.values(routes.attached).flatMap(list => list.map(each => each.route)))
  const isHeld = (route: Resource): boolean =>
    held.has(route) ||
    (gateways.verdicts.get(route) ?? []).some(verdict => verdict.reason === undefined) ||
    (routes.delegation.parents.get(route as HTTPRoute) ?? []).some(isHeld)
  const ground = { services, routes: [...routes.requests, ...routes.streams], isHeld }
  const routing = findTargets(withoutEnded(gathered.routePolicies, now), ground, judgingRoutes)
  const faults = findTargets(faultPolicies, ground, judgingFaults(now))
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
      ...[...lowered.http.values()].flatMap(each => each.authorizers),
    ].map(each => [each.name, each] as const),
  )
  const loggingIn = findTargets(gathered.loginPolicies, { ...ground, gateways: ourGateways }, judgingLogins)
  const logins = new Logins(gathered)
  const telling = findTargets(gathered.telemetryPolicies, ground, judgingTelemetry)
  const limiting = new Limiting(limitService, options)
  const byKey = new Map(ports.map(port => [port.key, port]))
  const own = new Map([...lowered.http.values()].flatMap(each => [...each.own]))
  const speaking = { routes: routing, faults, own }
  const settling = new Settling(speaking, byKey)
  const loweredFor = (byPort: ByPort, isAll = false): Outbound => {
    const own = isAll ? ports : ports.filter(port => byPort.has(port.key))
    return withAuthorizers(
      settling.settle(lowerPorts(own, byPort, lowered, hashes), key => routeOfBytes(byPort.get(key)?.tcp)),
      authorizers,
    )
  }
  const outbound = loweredFor(audiences.everyone, true)
  const consumers = Object.fromEntries(audiences.consumers.map(({ scope, byPort }) => [scope, loweredFor(byPort)]))
  const chosen = audiences.some.map(
    ({ scope, from, byPort }): Chosen => ({ ...loweredFor(byPort), from, ...(scope === undefined ? {} : { scope }) }),
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
    consumers,
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

  const statuses: ResourceStatus[] = [
    ...reportRoutes(routes, audiences, gateways.verdicts),
    ...policies.statuses,
    ...fallbacks.told(backing.statuses),
    ...routing.statuses,
    ...routes.filters.statuses,
    ...faults.statuses,
    ...limits.statuses,
    ...tokens.told(gathered.jwtPolicies, asking.statuses),
    ...authorizing.told(externalAuthorizationPolicies, deciding.statuses),
    ...logins.told(gathered.loginPolicies, loggingIn.statuses),
    ...guarding.statuses,
    ...authentication.statuses,
    ...toldOf(gathered.telemetryPolicies, telling, mesh.telemetry),
    ...gateways.statuses,
    ...externals.statuses,
    ...egress.statuses,
    ...revoking.statuses,
    ...federating.statuses,
    ...orders.statuses,
    ...reportSubsets(gathered.subsets, services),
    ...reportSlices(slices, (service, name) => (found.by.get(service) ?? []).some(port => (port.name ?? '') === name && isStrict(port))),
  ].filter(status => (status.parents ?? status.ancestors ?? status.conditions ?? []).length > 0)

  const ends = [nextExpiry(faultPolicies, now), nextReopening(gathered.routePolicies, now), revoking.endsAt].filter(
    each => each !== undefined,
  )
  const endsAt = ends.length === 0 ? undefined : Math.min(...ends)
  const compiled = keep<Compiled>(previous, {
    mesh,
    plaintext: nameless.map(keyOfPort),
    notes: [...services.notes, ...routes.notes],
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
      routes.requests,
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
    bytesBy: (port, client) => routeOfBytes(audiences.heldFor(port.key, client)?.tcp),
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

const routeOfBytes = (route: Resource | undefined): string => (route === undefined ? '' : `${route.kind}/${nameOf(route)}/0`)
