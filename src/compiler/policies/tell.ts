/** What holds for the calls to a Service and by whose word: the same layers that the mesh is made of, merged by the same rule. */

import type { Listener } from '#model/listener'
import { chooseRoute, type RequestFacts } from '#model/match'
import type { Layer, Mesh, MtlsMode } from '#model/mesh'
import type { ClientTold, FieldTold, PoliciesTold, PortTold, RouteTold } from '#model/policies-told'
import type { Route } from '#model/route'
import type { Workload, WorkloadPort } from '#model/workload'
import type {
  AccessPolicy,
  AuthenticationPolicy,
  ExternalAuthorizationPolicy,
  JWTPolicy,
  LoginPolicy,
  MeshResource,
  RateLimitPolicy,
} from '#resources/weft'
import { guardsAt } from '../access/policies.ts'
import { defaultIn } from '../access/at.ts'
import { lowered, modeAt } from '../access/authentication.ts'
import type { Client } from '../clients.ts'
import { nameOf } from '../gather.ts'
import { layerOf, layersFor } from './layers.ts'
import { settle } from './merge.ts'
import { outboundFor } from './per-client.ts'
import type { Policies } from './backend.ts'
import { isOpaque } from '../services/protocol.ts'
import { settled } from './route.ts'
import { portOf, type ServicePort, selects } from '../services/services.ts'
import { layersOfBytes, layersOfRoute, type Speaking } from './settle.ts'
import type { Targets } from './targets.ts'
import { tellGateways, tellTokens } from './tell-proof.ts'

/** What a compile knew of who said what; kept beside its outcome. bytesBy: the route that takes the connections of a port for a client. */
export type Sources = {
  readonly speaking: Speaking
  readonly backing: Policies
  readonly limits: Targets<RateLimitPolicy>
  readonly asking: Targets<JWTPolicy>
  readonly loggingIn: Targets<LoginPolicy>
  readonly authorizing: Targets<ExternalAuthorizationPolicy>
  readonly authentication: Targets<AuthenticationPolicy>
  readonly meshes: readonly MeshResource[]
  readonly accessPolicies: readonly AccessPolicy[]
  readonly ports: readonly ServicePort[]
  /** Those, and subsets of Services. */
  readonly backends: readonly ServicePort[]
  readonly workloads: readonly Workload[]
  readonly bytesBy: (port: ServicePort, client: Client) => string
}

/** from: a workload, else a service of which one runs or might; labels beside those that it has; absent: a client that nothing names. port: absent: all. request: only the route that it takes; route: only those of this name, `NAME` or `KIND/NAMESPACE/NAME`. */
export type PolicyQuestion = {
  readonly namespace: string
  readonly service: string
  readonly port?: number
  readonly from?: { readonly name: string; readonly namespace: string; readonly labels?: Readonly<Record<string, string>> }
  readonly request?: RequestFacts
  readonly route?: string
}

const nobody: Client = { namespace: '', service: '', labels: {} }

/** undefined: there is no such Service or port. */
export function tellPolicies(mesh: Mesh, sources: Sources, question: PolicyQuestion): PoliciesTold | undefined {
  const { namespace, service, port, from } = question
  const client = from && clientOf(sources.workloads, from)
  const found = sources.ports.filter(
    each => each.namespace === namespace && each.service === service && (port === undefined || each.port === port),
  )
  if (found.length === 0) return undefined
  return {
    service: `${service}.${namespace}`,
    ...(client === undefined ? {} : { client }),
    ports: found.map(each => tellPort(mesh, sources, each, question, client)),
  }
}

function clientOf(workloads: readonly Workload[], { name, namespace, labels }: NonNullable<PolicyQuestion['from']>): ClientTold {
  const here = workloads.filter(each => each.namespace === namespace)
  const found = here.find(each => each.name === name) ?? here.find(each => each.service === name)
  return { namespace, service: found?.service ?? name, labels: { ...found?.labels, ...labels } }
}

function tellPort(mesh: Mesh, sources: Sources, port: ServicePort, { request, route }: PolicyQuestion, client: Client = nobody): PortTold {
  const { listeners, routes } = outboundFor(mesh, client)
  const listener = listeners[`outbound/${port.key}`]
  const table = routes[port.key]
  const all = table?.hosts.flatMap(host => host.routes) ?? []
  const taken = request === undefined || table === undefined ? undefined : chooseRoute(table, request)
  const wanted = all
    .filter(each => request === undefined || each === taken)
    .filter(each => route === undefined || each.name.startsWith(`${route}/`) || each.name.split('/')[2] === route)
  const backends = [
    ...wanted.flatMap(({ action }) => (action.type === 'forward' ? action.backends : [])),
    ...(listener?.backends ?? []),
    ...(listener?.serverNames ?? []).flatMap(each => each.backends),
  ]
  const named = new Set(backends.flatMap(({ backend, weight }) => (backend === undefined || weight === 0 ? [] : [backend])))
  const gateways = tellGateways(mesh, sources.asking, sources.loggingIn, port, told)
  const leads = sources.backends.filter(({ key }) => named.has(key))
  return {
    port: port.port,
    ...(port.name === undefined ? {} : { name: port.name }),
    protocol: listener?.protocol ?? port.protocol,
    routes: wanted.map(each => tellRoute(sources, port, each, client)),
    ...(listener === undefined || !isOpaque(listener.protocol) ? {} : { bytes: tellBytes(sources, port, listener, client) }),
    ...(gateways.length === 0 ? {} : { gateways }),
    backends: (leads.length > 0 ? leads : [port]).map(each => ({
      backend: each.key,
      calls: told([...layersFor(sources.backing.layersOf(each), client), builtInCalls], 'BackendPolicy'),
      taken: tellTaken(mesh, sources, each),
    })),
  }
}

const tellRoute = ({ speaking, limits }: Sources, port: ServicePort, route: Route, client: Client): RouteTold => ({
  name: route.name,
  origin: route.origin,
  match: route.match,
  fields: [
    ...told([...layersFor(layersOfRoute(speaking, port, route.name, layerOf), client), builtInRoute], 'RoutePolicy'),
    ...told(
      limits
        .of(port, route.name)
        .filter(({ level }) => level === 'Route' || level === 'rule')
        .map(layerOf),
      'RateLimitPolicy',
    ),
    ...written(route),
  ],
})

/** What a rule itself says, of which no policy says anything. */
function written(route: Route): readonly FieldTold[] {
  const { action, origin } = route
  const leads =
    action.type === 'forward'
      ? { backends: action.backends.map(tellBackend), ...(action.session && { session: action.session }) }
      : { [action.type]: action }
  const rest = Object.entries(route).filter(([key]) => !isToldElsewhere.has(key))
  return [...Object.entries(leads), ...rest]
    .filter(([, value]) => !(Array.isArray(value) && value.length === 0))
    .map(([field, value]) => ({ field, value: value as unknown, by: origin, overruled: [] }))
}
const isToldElsewhere: ReadonlySet<string> = new Set([
  'name',
  'origin',
  'match',
  'action',
  'rateLimit',
  'quota',
  'access',
  'tokens',
  'login',
  ...settled,
])
const tellBackend = ({ backend, weight }: { readonly backend: string | undefined; readonly weight: number }): string =>
  `${backend ?? 'nothing'} ${weight}`

function tellBytes({ speaking, bytesBy }: Sources, port: ServicePort, listener: Listener, client: Client): readonly FieldTold[] {
  const route = bytesBy(port, client)
  const [kind, namespace, name] = route.split('/')
  const by = route === '' ? `Service ${port.namespace}/${port.service}` : `${kind} ${namespace}/${name}`
  return [
    ...told(
      [...layersFor(layersOfBytes(speaking, port, route, layerOf), client), listener.protocol === 'udp' ? builtInDatagrams : builtInBytes],
      'RoutePolicy',
    ),
    ...(listener.backends === undefined ? [] : [{ field: 'backends', value: listener.backends.map(tellBackend), by, overruled: [] }]),
    ...(listener.serverNames === undefined
      ? []
      : [{ field: 'serverNames', value: listener.serverNames.flatMap(each => each.names), by: 'its TLSRoutes', overruled: [] }]),
  ]
}

/** By the called side: limits of the port; of its workloads where they have labels of their own; who may call; mutual TLS. */
function tellTaken(
  mesh: Mesh,
  { limits, asking, authorizing, authentication, meshes, accessPolicies, workloads }: Sources,
  port: ServicePort,
): readonly FieldTold[] {
  const own = meshes.find(each => each.metadata.name === 'default')
  const behind = workloads.filter(each => each.namespace === port.namespace && selects(port.selector, each))
  const wide = limits.ofPlace(port.namespace)
  const ofPort = limits.ofPort(port).filter(({ level }) => level === 'Service' || level === 'port')
  const limited = wide.filter(({ labels }) => labels === undefined || behind.some(each => selects(labels, each)))
  const layers = [...ofPort, ...limited].map(
    (each): Layer => ({
      ...layerOf(each),
      policy: `${layerOf(each).policy}${'labels' in each && each.labels !== undefined ? ` for workloads with ${JSON.stringify(each.labels)}` : ''}`,
    }),
  )
  const guards = guardsAt(accessPolicies, port, behind).map(policy => `AccessPolicy ${nameOf(policy)}`)
  const access = own?.spec?.access?.default
  return [
    ...(port.protocol === 'udp' ? [] : told([...layers, { policy: builtIn, says: { limit: 'none' } }], 'RateLimitPolicy')),
    {
      field: 'access',
      value: defaultIn(mesh, port.namespace) === 'deny' ? 'Deny' : 'Allow',
      by: access === undefined && !Object.hasOwn(mesh.accessIn, port.namespace) ? builtIn : 'Mesh default',
      overruled: [],
    },
    ...(guards.length === 0 ? [] : [{ field: 'access.rules', value: guards, by: 'all of these together', overruled: [] }]),
    ...tellTokens(mesh, asking, port, behind, told),
    ...tellAuthorization(authorizing, port, behind),
    ...tellMtls(mesh, authentication, port, behind, own),
  ]
}

/** Who is asked, where anybody is. */
function tellAuthorization(
  authorizing: Targets<ExternalAuthorizationPolicy>,
  port: ServicePort,
  behind: readonly Workload[],
): readonly FieldTold[] {
  if (authorizing.isEmpty || port.protocol === 'udp') return []
  const placed = [
    ...authorizing.ofPort(port).filter(({ level }) => level === 'Service' || level === 'port'),
    ...authorizing.ofPlace(port.namespace).filter(({ labels }) => labels === undefined || behind.some(each => selects(labels, each))),
  ]
  const layers = placed.map((each): Layer => {
    const { protocol, backendRef, failOpen } = each.policy.spec!.provider
    const { kind, namespace, name } = backendRef
    const asked = `asks ${protocol} ${kind} ${namespace === undefined ? '' : `${namespace}/`}${name}:${backendRef.port}`
    const some = 'labels' in each && each.labels !== undefined ? ` for workloads with ${JSON.stringify(each.labels)}` : ''
    const about = each.policy.spec!.when === undefined ? '' : ', about some requests'
    const says = { externalAuthorization: `${asked}${about}${failOpen ? ', goes on without an answer' : ''}` }
    return { policy: `${layerOf(each).policy}${some}`, says }
  })
  return layers.length === 0 ? [] : told(layers, 'ExternalAuthorizationPolicy')
}

function tellMtls(
  mesh: Mesh,
  authentication: Targets<AuthenticationPolicy>,
  port: ServicePort,
  behind: readonly Workload[],
  own: MeshResource | undefined,
): readonly FieldTold[] {
  const layers = [
    ...authentication.ofPort(port).filter(({ level }) => level === 'Service' || level === 'port'),
    ...authentication.ofPlace(port.namespace).filter(({ labels }) => labels === undefined || behind.some(each => selects(labels, each))),
  ].map((each): Layer => {
    const { mode } = (each.says as NonNullable<AuthenticationPolicy['spec']>).mtls
    const some = 'labels' in each && each.labels !== undefined ? ` for workloads with ${JSON.stringify(each.labels)}` : ''
    return { policy: `${layerOf(each).policy}${some}`, says: { mtls: lowered(mode) } }
  })
  const of = own?.spec?.mtls
  const widest: Layer =
    of === undefined ? { policy: builtIn, says: { mtls: 'permissive' } } : { policy: 'Mesh default', says: { mtls: of.mode } }
  if (port.protocol === 'udp') return [{ field: 'mtls', value: 'strict', by: `${builtIn}, for datagrams`, overruled: [] }]
  const fields = told([...layers, widest], 'AuthenticationPolicy')
  const modes = new Set(behind.flatMap(each => portsAt(each, port).map(at => modeAt(mesh, each, at))))
  // Another Service in front of the same port, or what plaintext would lose there, may have the last word.
  return modes.size === 0 || (modes.size === 1 && modes.has(fields[0]!.value as MtlsMode))
    ? fields
    : fields.map(each => ({ ...each, value: [...modes].sort().join(', '), by: `${each.by}, and what else holds for these workloads` }))
}

const portsAt = (workload: Workload, { target }: ServicePort): readonly WorkloadPort[] => {
  const found = portOf(workload, target)
  return found === undefined ? [] : [found]
}

/** The fields of all layers in the order of the last, which is what is built in; those it does not know behind them. */
function told(layers: readonly Layer[], kind: string): readonly FieldTold[] {
  const order = Object.keys(layers.at(-1)?.says ?? {})
  const place = (field: string): number => (order.includes(field) ? order.indexOf(field) : order.length)
  return [...settle(layers)]
    .map(
      ([field, { value, by, overruled }]): FieldTold => ({
        field,
        value: shown(kind, field, value),
        by: by.policy,
        overruled: overruled.map(each => ({ by: each.policy, value: shown(kind, field, each.says[field]) })),
      }),
    )
    .sort((one, other) => place(one.field) - place(other.field) || (one.field < other.field ? -1 : 1))
}

/** A group of which only the leading field is set is that field. */
function shown(kind: string, field: string, value: unknown): unknown {
  if (value === null || typeof value !== 'object' || Array.isArray(value)) return value
  const keys = Object.keys(value)
  return keys.length === 1 && keys[0] === field ? (value as Record<string, unknown>)[field] : value
}

const builtIn = 'built in'
const none = 'none'
const builtInRoute: Layer = {
  policy: builtIn,
  says: {
    'timeouts.request': none,
    'timeouts.try': none,
    'timeouts.idle': none,
    retry: 'once, where a request never reached an endpoint or may be repeated',
    fault: none,
  },
}
const builtInBytes: Layer = { policy: builtIn, says: { 'timeouts.idle': '1h', fault: none } }
const builtInDatagrams: Layer = { policy: builtIn, says: { 'timeouts.idle': '1m' } }
const builtInCalls: Layer = {
  policy: builtIn,
  says: {
    balance: 'LeastRequest',
    connectTimeout: '5s',
    locality: none,
    panicThreshold: 0,
    retryConstraint: 'a fifth of the requests of ten seconds, or ten a second',
    limits: none,
    outlierDetection: none,
    healthCheck: none,
  },
}
