/** /weft/v1: what the mesh does now. The shapes are those of api/mesh-api.ts. */

import type { CallsSeen, ControlStatus, Detection, OrderedTold, Resilience, TrustTold } from '#api/mesh-api'
import type { Mesh } from '#model/mesh'
import type { PoliciesTold } from '#model/policies-told'
import type { TopologyService } from '#model/topology'
import type { Traffic } from '#observe/traffic'
import type { Platform } from '#platforms/platform'
import { type ExtraRoute, json, Refusal } from './api.ts'
import type { Authority } from './authority.ts'
import type { CompileLoop } from './compile-loop.ts'
import type { Discovery } from './discovery.ts'
import { reportMtls, standingOf } from './mtls-report.ts'
import type { Store } from './store.ts'

export type MeshParts = {
  readonly version: string
  readonly startedAt: number
  readonly store: Store
  readonly authority: Authority
  readonly loop: CompileLoop
  readonly discovery: Discovery
  readonly platform: Platform
  readonly traffic: Traffic
  /** Where proxies connect. */
  readonly xds: () => { readonly host: string; readonly port: number }
  readonly now: () => number
  readonly trust: () => TrustTold
  readonly ordered: () => readonly OrderedTold[]
  /** Why an identity is not believed any more; undefined: it is. */
  readonly revoked: (identity: string, serial?: string) => string | undefined
  /** Since when that is told of the workload of a proxy; RFC 3339. */
  readonly revokedAt: (id: string) => string | undefined
}

export function meshRoutes(parts: MeshParts): ExtraRoute[] {
  const { authority, discovery, traffic, now } = parts
  const known = (): TopologyService[] => servicesOf(parts.platform)
  return [
    { method: 'GET', path: '/weft/v1/status', handle: () => json(200, statusOf(parts)) },
    { method: 'GET', path: '/weft/v1/proxies', handle: () => json(200, proxiesOf(parts)) },
    {
      method: 'GET',
      path: '/weft/v1/proxies/:id/config',
      handle: (_request, { id = '' }) => {
        const config = discovery.configOf(id)
        if (config !== undefined) return json(200, config)
        const identity = discovery.proxies.find(each => each.id === id)?.identity
        const revoked = identity && parts.revoked(identity)
        throw new Refusal(
          404,
          'NotFound',
          `no proxy "${id}" is connected; ${revoked === undefined || revoked === '' ? 'GET /weft/v1/proxies lists them' : revoked}`,
        )
      },
    },
    {
      method: 'GET',
      path: '/weft/v1/proxies/:id/detections',
      handle: (_request, { id = '' }) =>
        json(
          200,
          traffic.detections(id).map(
            ({ lastAt, ...found }): Detection => ({
              ...found,
              ...(lastAt === undefined ? {} : { lastAt: new Date(lastAt).toISOString() }),
            }),
          ),
        ),
    },
    {
      method: 'GET',
      path: '/weft/v1/resilience',
      handle: ({ query }) => {
        const { leftOut, limits, concurrency } = traffic.spared(query.get('service') ?? undefined, now())
        return json(200, {
          leftOut: leftOut.map(each => ({ ...each, until: new Date(each.until).toISOString() })),
          limits: limits.map(each => ({ ...each, isOpen: each.used >= each.most })),
          concurrency,
        } satisfies Resilience)
      },
    },
    {
      method: 'GET',
      path: '/weft/v1/convergence',
      handle: ({ query }) => json(200, discovery.convergence(number(query, 'revision', parts.loop.current?.revision ?? 0))),
    },
    {
      method: 'GET',
      path: '/weft/v1/calls',
      handle: ({ query }) =>
        json(200, {
          ...traffic.calls(query.has('seconds') ? now() - 1000 * number(query, 'seconds', 0) : 0, now()),
          idTemplate: authority.idTemplate,
        } satisfies CallsSeen),
    },
    {
      method: 'GET',
      path: '/weft/v1/topology',
      handle: ({ query }) => json(200, traffic.topology(number(query, 'seconds', 60), now(), known())),
    },
    {
      method: 'GET',
      path: '/weft/v1/series',
      handle: ({ query }) => {
        const service = query.get('service')
        if (service === null) throw new Refusal(400, 'BadRequest', 'say which service: ?service=NAME.NAMESPACE')
        const side = query.get('side') === 'outbound' ? 'outbound' : 'inbound'
        return json(200, traffic.series(service, number(query, 'seconds', 600), side, now()))
      },
    },
    {
      method: 'GET',
      path: '/weft/v1/mtls',
      handle: ({ query }) => {
        const [namespace, service, port] = ['namespace', 'service', 'port'].map(key => query.get(key) ?? undefined)
        const asked = {
          ...(namespace === undefined ? {} : { namespace }),
          ...(service === undefined ? {} : { service }),
          ...(port === undefined ? {} : { port }),
          withinMs: number(query, 'within', 600) * 1000,
        }
        return json(200, reportMtls(parts.platform.inventory, meshOf(parts), traffic, asked, now()))
      },
    },
    { method: 'GET', path: '/weft/v1/policies', handle: ({ query }) => json(200, policiesOf(parts.loop, query)) },
    {
      method: 'GET',
      path: '/weft/v1/trust-bundle',
      handle: () => ({ status: 200, headers: { 'content-type': 'application/x-pem-file' }, body: authority.roots().join('') }),
    },
  ]
}

function policiesOf(loop: CompileLoop, query: URLSearchParams): PoliciesTold {
  const service = query.get('service')
  if (service === null) throw new Refusal(400, 'BadRequest', 'say which service: ?service=NAME.NAMESPACE')
  const [name, namespace] = named(service)
  const [port, from, route, path] = ['port', 'from', 'route', 'path'].map(key => query.get(key))
  const labels = Object.fromEntries(query.getAll('label').map(text => text.split(/=(.*)/s) as [string, string]))
  const headers = new Map(query.getAll('header').map(text => text.split(/:\s*(.*)/s) as [string, string]))
  const [pathname = '/', search = ''] = (path ?? '/').split(/\?(.*)/s)
  const told = loop.tellPolicies({
    service: name,
    namespace,
    ...(port == null ? {} : { port: number(query, 'port', 0) }),
    ...(from == null ? {} : { from: { name: named(from)[0], namespace: named(from)[1], labels } }),
    ...(route == null ? {} : { route }),
    ...(path == null
      ? {}
      : {
          request: {
            method: query.get('method') ?? 'GET',
            host: headers.get('host') ?? name,
            path: pathname,
            search,
            header: (key: string) => headers.get(key),
          },
        }),
  })
  if (told === undefined) throw new Refusal(404, 'NotFound', `no Service ${service}${port == null ? '' : ` with port ${port}`}`)
  return told
}

/** `NAME.NAMESPACE`. */
function named(text: string): readonly [name: string, namespace: string] {
  const dot = text.lastIndexOf('.')
  return dot < 0 ? [text, 'default'] : [text.slice(0, dot), text.slice(dot + 1)]
}

const meshOf = ({ loop }: MeshParts): Pick<Mesh, 'mtls'> => loop.current?.mesh ?? { mtls: 'permissive' }

function statusOf(parts: MeshParts): ControlStatus {
  const { version, startedAt, store, authority, xds, platform, traffic, now } = parts
  return {
    version,
    startedAt: new Date(startedAt).toISOString(),
    trustDomain: authority.trustDomain,
    idTemplate: authority.idTemplate,
    xds: xds(),
    store: { path: store.path, revision: store.revision },
    authority: { type: authority.issuer, leafLifeSeconds: authority.leafLifeMs / 1000 },
    certificates: authority.certificates(),
    mtls: standingOf(reportMtls(platform.inventory, meshOf(parts), traffic, { withinMs: 600_000 }, now())),
    proxies: proxiesOf(parts),
    trust: parts.trust(),
    ordered: parts.ordered(),
  }
}

/** A proxy that only counts is heard of too, and what it counts tells its certificate. */
export const proxiesOf = ({
  discovery,
  traffic,
  revoked,
  revokedAt,
}: Pick<MeshParts, 'discovery' | 'traffic' | 'revoked' | 'revokedAt'>): ControlStatus['proxies'] =>
  discovery.proxies.map(known => {
    const vitals = traffic.vitals(known.id)
    const why = known.identity === '' ? undefined : revoked(known.identity, vitals?.certificate?.serial)
    const since = why === undefined ? undefined : revokedAt(known.id)
    const proxy = why === undefined ? known : { ...known, revoked: why, ...(since === undefined ? {} : { revokedAt: since }) }
    if (vitals === undefined) return proxy
    const { lastAt, certificate } = vitals
    const heardAt = new Date(lastAt).toISOString()
    return {
      ...proxy,
      lastSeen: heardAt > proxy.lastSeen ? heardAt : proxy.lastSeen,
      ...(certificate === undefined
        ? {}
        : {
            certificate: { notAfter: new Date(Math.round(certificate.notAfter / 1000) * 1000).toISOString(), serial: certificate.serial },
          }),
    }
  })

function servicesOf({ inventory }: Platform): TopologyService[] {
  const services = new Map<string, TopologyService>()
  for (const { name, namespace, service, labels, health } of inventory.workloads) {
    const key = `${service}.${namespace}`
    const version = labels['version']
    const workload = { name, health, ...(version === undefined ? {} : { version }) }
    services.set(key, { name: service, namespace, workloads: [...(services.get(key)?.workloads ?? []), workload] })
  }
  return [...services.values()]
}

function number(query: URLSearchParams, name: string, otherwise: number): number {
  const text = query.get(name)
  if (text === null) return otherwise
  const value = Number(text)
  if (!Number.isInteger(value) || value < 0) throw new Refusal(400, 'BadRequest', `?${name}=${text} must be a whole number`)
  return value
}
