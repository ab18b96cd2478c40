/** What calls must bring to prove whose they are, and by whose word: tokens at the called side; tokens and logins at Gateways that lead to it. */

import type { Layer, Mesh } from '#model/mesh'
import type { FieldTold, GatewayTold } from '#model/policies-told'
import type { RouteTable } from '#model/view'
import type { Workload } from '#model/workload'
import type { JWTPolicy, LoginPolicy } from '#resources/weft'
import { layerOf } from './layers.ts'
import { sectionOf } from './logins.ts'
import { type ServicePort, selects } from './services.ts'
import type { Placed, Targets } from './targets.ts'

type Told = (layers: readonly Layer[], kind: string) => readonly FieldTold[]

/** By the proxies of the workloads behind a port. Where nothing is asked for, nothing is told. */
export function tellTokens(asking: Targets<JWTPolicy>, port: ServicePort, behind: readonly Workload[], told: Told): readonly FieldTold[] {
  if (asking.isEmpty || port.protocol === 'udp') return []
  return told(
    [
      ...asking.ofPort(port).filter(({ level }) => level === 'Service' || level === 'port'),
      ...asking.ofPlace(port.namespace).filter(({ labels }) => labels === undefined || behind.some(each => selects(labels, each))),
    ].map(tokenLayer),
    'JWTPolicy',
  )
}

/** The routes of Gateways that lead to the port and ask for something, each once for each Gateway. */
export function tellGateways(
  { gateways }: Pick<Mesh, 'gateways'>,
  asking: Targets<JWTPolicy>,
  loggingIn: Targets<LoginPolicy>,
  { key }: Pick<ServicePort, 'key'>,
  told: Told,
): readonly GatewayTold[] {
  if (asking.isEmpty && loggingIn.isEmpty) return []
  return Object.entries(gateways).flatMap(([gateway, { routes }]) => {
    const seen = new Set<string>()
    return Object.entries(routes).flatMap(([table, { hosts }]: [string, RouteTable]) =>
      hosts
        .flatMap(host => host.routes)
        .flatMap((route): readonly GatewayTold[] => {
          const { action, name, origin, match } = route
          const leadsHere = action.type === 'forward' && action.backends.some(({ backend, weight }) => backend === key && weight > 0)
          if (!leadsHere || seen.has(name)) return []
          const own = <P>(targets: Targets<P>) => targets.of(undefined, name).filter(({ level }) => level === 'Route' || level === 'rule')
          const logins = route.login === undefined ? [] : [...own(loggingIn), ...loggingIn.ofGateway(gateway, sectionOf(table))]
          const fields = [...told(logins.map(loginLayer), 'LoginPolicy'), ...told(own(asking).map(tokenLayer), 'JWTPolicy')]
          if (fields.length === 0) return []
          seen.add(name)
          return [{ gateway, name, origin, match, fields }]
        }),
    )
  })
}

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
