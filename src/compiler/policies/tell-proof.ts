/** What calls must bring to prove whose they are, and by whose word: tokens at the called side; tokens, logins and services that are asked at Gateways that lead to it. */

import type { Layer, Mesh, SelectedTokens } from '#model/mesh'
import type { FieldTold, GatewayTold } from '#model/policies-told'
import type { Route, RouteTable } from '#model/route'
import type { TokenPolicy } from '#model/token'
import type { Workload, WorkloadPort } from '#model/workload'
import type { JWTPolicy, LoginPolicy } from '#resources/weft'
import { layerOf } from './layers.ts'
import { sectionOf, securedTables } from '../edge/sections.ts'
import { isHttp } from '../services/protocol.ts'
import { portOf, type ServicePort, selects } from '../services/services.ts'
import type { Placed, Targets } from './targets.ts'

type Told = (layers: readonly Layer[], kind: string) => readonly FieldTold[]

/**
 * By the proxies of the workloads behind a port, whose policies may be for another Service in front of them; while none runs, by what is for this one.
 * Where nothing is asked for, nothing is told.
 */
export function tellTokens(
  mesh: Pick<Mesh, 'tokens'>,
  asking: Targets<JWTPolicy>,
  port: ServicePort,
  behind: readonly Workload[],
  told: Told,
): readonly FieldTold[] {
  if (asking.isEmpty || port.protocol === 'udp') return []
  const here = behind.filter(each => portOf(each, port.target) !== undefined)
  if (here.length === 0) return told([...own(asking.ofPort(port)), ...asking.ofPlace(port.namespace)].map(tokenLayer), 'JWTPolicy')
  const fitting = (mesh.tokens[port.namespace] ?? []).flatMap((each): readonly Layer[] => {
    const some = here.filter(workload => fits(each, workload, portOf(workload, port.target)!))
    const part = some.length < here.length ? ', for some of its workloads' : ''
    return some.length === 0 ? [] : [{ policy: `JWTPolicy ${each.policy.name}${part}`, says: { tokens: saidBy(each.policy) } }]
  })
  return told(fitting, 'JWTPolicy')
}

const own = (placed: readonly Placed<JWTPolicy>[]) => placed.filter(({ level }) => level === 'Service' || level === 'port')

const fits = ({ selector, target }: SelectedTokens, workload: Workload, { port, protocol }: WorkloadPort): boolean =>
  (selector === undefined || selects(selector, workload)) &&
  (target === undefined || portOf(workload, target)?.port === port) &&
  isHttp(protocol)

const saidBy = ({ issuers, isRequired, isBoundToToken }: TokenPolicy) => ({
  issuers: issuers.map(({ issuer }) => issuer),
  require: isRequired ? 'Always' : 'IfPresent',
  whenExpired: isBoundToToken === true ? 'End' : 'Continue',
})

/** The routes of Gateways that lead to the port and ask for something, each once for each Gateway. */
export function tellGateways(
  { gateways }: Pick<Mesh, 'gateways'>,
  asking: Targets<JWTPolicy>,
  loggingIn: Targets<LoginPolicy>,
  { key }: Pick<ServicePort, 'key'>,
  told: Told,
): readonly GatewayTold[] {
  return Object.entries(gateways).flatMap(([gateway, edge]) => {
    const { routes } = edge
    const secured = securedTables(edge)
    const seen = new Set<string>()
    return Object.entries(routes).flatMap(([table, { hosts }]: [string, RouteTable]) =>
      hosts
        .flatMap(host => host.routes)
        .flatMap((route): readonly GatewayTold[] => {
          const { action, name, origin, match } = route
          const leadsHere = action.type === 'forward' && action.backends.some(({ backend, weight }) => backend === key && weight > 0)
          if (!leadsHere || seen.has(name)) return []
          const ofRoute = <P>(targets: Targets<P>) =>
            targets.of(undefined, name).filter(({ level }) => level === 'Route' || level === 'rule')
          const section = secured.has(table) ? sectionOf(table) : undefined
          const all = <P>(targets: Targets<P>) => [...ofRoute(targets), ...targets.ofGateway(gateway, section)]
          const logins = route.login === undefined ? [] : all(loggingIn)
          const tokens = route.tokens === undefined ? [] : all(asking)
          const fields = [...told(logins.map(loginLayer), 'LoginPolicy'), ...told(tokens.map(tokenLayer), 'JWTPolicy'), ...tellAsked(route)]
          if (fields.length === 0) return []
          seen.add(name)
          return [{ gateway, name, origin, match, fields }]
        }),
    )
  })
}

/** Services that are asked, by the names of policies and of rules. */
const tellAsked = ({ authorize }: Route): readonly FieldTold[] =>
  authorize === undefined ? [] : [{ field: 'externalAuthorization', value: authorize, by: 'all of these together', overruled: [] }]

function tokenLayer(placed: Placed<JWTPolicy> & { readonly labels?: Readonly<Record<string, string>> }): Layer {
  const { providers, require, whenExpired } = placed.policy.spec!
  const some = placed.labels === undefined ? '' : ` for workloads with ${JSON.stringify(placed.labels)}`
  return {
    policy: `${layerOf(placed).policy}${some}`,
    says: { tokens: { issuers: providers.map(({ issuer }) => issuer), require, whenExpired } },
  }
}

function loginLayer(placed: Placed<LoginPolicy>): Layer {
  const { provider, redirectPath, passBearer } = placed.policy.spec!
  return {
    policy: layerOf(placed).policy,
    says: { login: { issuer: provider.issuer, client: provider.clientId, redirectPath, passBearer } },
  }
}
