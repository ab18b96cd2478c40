/** The way from the mesh to one port of a workload: its listener, its routes and the backend behind them. */

import type { Access } from '#model/access-rule'
import type { Authorizer } from '#model/authorizer'
import type { Backend } from '#model/backend'
import type { Listener, Protocol } from '#model/listener'
import type { Limits, Mesh } from '#model/mesh'
import { portName } from '#model/port'
import type { Route, RouteTable, WeightedBackend } from '#model/route'
import type { ProxyNode, WorkloadPort } from '#model/workload'
import { accessAt } from './access/at.ts'
import { modeAt, takenAt } from './access/authentication.ts'
import { authorizerAt, bodiesAt, concurrencyAt, headerFor, limitedAt, limitsAt, spokenAt, tokensAt } from './at-port.ts'
import { inOrder, rankOfRequest } from './routes/order.ts'
import { backendProtocol, isHttp, isOpaque } from './services/protocol.ts'

type TakenIn = { readonly listener: Listener; readonly table: RouteTable | undefined; readonly backend: Backend }

/** The way from the mesh to one port of the workload: `inbound/PORT` leads to `local/PORT`, with `/udp` behind both for UDP. */
export function takeIn(mesh: Mesh, node: ProxyNode, port: WorkloadPort, bind: { readonly host: string; readonly port: number }): TakenIn {
  const protocol = spokenAt(mesh, node, port)
  const place = portName(port.port, protocol)
  const name = `inbound/${place}`
  const backends = [{ backend: `local/${place}`, weight: 1 }]
  const service = `${node.service}.${node.namespace}`
  // Datagrams come by other proxies only.
  const mode = protocol === 'udp' ? 'strict' : takenAt(mesh, node, port)
  const access = accessAt(mesh, node, port, protocol === 'udp', protocol !== 'udp' && modeAt(mesh, node, port) === 'disabled')
  const tokens = isHttp(protocol) ? tokensAt(mesh, node, port) : undefined
  const authorizer = protocol === 'udp' ? undefined : authorizerAt(mesh, node, port)
  const asked: Pick<Route, 'tokens' | 'access' | 'authorize'> = {
    ...(tokens === undefined ? {} : { tokens: tokens.name }),
    ...(access === undefined ? {} : { access: access.http }),
    ...(authorizer === undefined ? {} : { authorize: [authorizer.name] }),
  }
  const routes = isHttp(protocol) ? routesTo(mesh, node, port, backends, asked) : []
  return {
    listener: {
      name,
      direction: 'inbound',
      ...bind,
      protocol,
      ...(mode === 'disabled' ? {} : { tls: { mode, ...(mesh.profile === undefined ? {} : { profile: mesh.profile }) } }),
      ...(isHttp(protocol) ? { routes: name } : {}),
      ...(isOpaque(protocol) ? { backends } : {}),
      service,
      ...(isHttp(protocol) ? concurrencyAt(mesh, node, port) : {}),
      ...limitsOfListener(mesh, node, port, protocol, routes),
      ...(tokens === undefined ? {} : { tokens: [tokens] }),
      ...(authorizer === undefined || !isHttp(protocol) ? {} : { authorizers: [authorizer] }),
      ...(isOpaque(protocol) && authorizer?.ask.type === 'grpc' ? { connectionAuthorizer: ofConnections(authorizer) } : {}),
      ...(isOpaque(protocol) ? opaqueAccess(access?.opaque, tokens?.isRequired === true || isBlind(protocol, authorizer)) : {}),
      ...(access === undefined || !isHttp(protocol) || mesh.tellsWhy.length === 0 ? {} : { tellsWhy: mesh.tellsWhy }),
    },
    table: isHttp(protocol)
      ? {
          name,
          hosts: [
            {
              name: '*',
              domains: ['*'],
              routes,
            },
          ],
        }
      : undefined,
    backend: {
      name: `local/${place}`,
      service,
      type: 'local',
      port: port.port,
      protocol: backendProtocol(protocol),
      balance: 'round-robin',
      connectTimeoutMs: 5000,
      identities: [],
      ...headerFor(mesh, node, port),
    },
  }
}

/** Where requests are judged by more than rules, bytes that are not taken for requests are not: else to look like something else would be a way past it. */
const opaqueAccess = (access: Access | undefined, isShut: boolean): Pick<Listener, 'access'> =>
  isShut ? { access: { deny: access?.deny ?? [], allow: [] } } : access === undefined ? {} : { access }

/** Of requests somebody is asked who cannot be asked of connections. */
const isBlind = (protocol: Protocol, authorizer: Authorizer | undefined): boolean => isHttp(protocol) && authorizer?.ask.type === 'http'

/** All of them are asked about, and nothing is shown but who calls whom. */
const ofConnections = ({ name, backend, timeoutMs, failsOpen }: Authorizer): Authorizer => ({
  name,
  backend,
  timeoutMs,
  failsOpen,
  ask: { type: 'grpc' },
})

const ofRequests = ({ rateLimit, quota }: Limits = {}): Pick<Route, 'rateLimit' | 'quota'> => ({
  ...(rateLimit === undefined ? {} : { rateLimit }),
  ...(quota === undefined ? {} : { quota }),
})

/** What the listener itself must know of limits: of opaque connections, and whom to ask. */
function limitsOfListener(
  mesh: Mesh,
  node: ProxyNode,
  port: WorkloadPort,
  protocol: Protocol,
  routes: readonly Route[],
): Pick<Listener, 'connectionLimit' | 'limitService'> {
  const connectionLimit = isOpaque(protocol) && protocol !== 'udp' ? limitsAt(mesh, node, port)?.connectionLimit : undefined
  return {
    ...(connectionLimit === undefined ? {} : { connectionLimit }),
    ...(routes.some(route => route.quota !== undefined) ? { limitService: mesh.limitService } : {}),
  }
}

/** One for all requests; where limits are kept by route, those routes before it. Of two Services before one port, the limit of the first counts. */
function routesTo(
  mesh: Mesh,
  node: ProxyNode,
  port: WorkloadPort,
  backends: readonly WeightedBackend[],
  asked: Pick<Route, 'tokens' | 'access' | 'authorize'>,
): readonly Route[] {
  const action = { type: 'forward', backends } as const
  const limited = limitedAt(mesh, node, port)
  const whole = limitsAt(mesh, node, port)
  const limit = {
    ...bodiesAt(mesh, node, port),
    ...ofRequests(whole),
    ...asked,
  }
  const routes = limited
    .flatMap(each => each.routes)
    .map(
      ({ limits, ...route }): Route => ({
        ...ofRequests(limits ?? whole),
        ...asked,
        ...route,
        filters: [],
        action,
      }),
    )
  return [
    ...(limited.length > 1 ? inOrder(routes.map(route => ({ route, rank: rankOfRequest(route.match) }))) : routes),
    {
      name: `Workload/${node.namespace}/${node.workload}/${port.port}`,
      origin: `Workload ${node.namespace}/${node.workload} port ${port.port}`,
      match: {},
      filters: [],
      action,
      ...limit,
    },
  ]
}
