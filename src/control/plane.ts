/** The control plane in one construction: store, authority, platform, compile loop, discovery, operator API. Closed in the opposite order. */

import { systemClock } from '#base/clock'
import type { Log } from '#base/log'
import { judgeServerCertificate } from '#identity/server-certificate'
import { makeFolder } from '#io/files'
import { serveGrpc } from '#io/grpc'
import { serveHttp } from '#io/http-server'
import { Traffic } from '#observe/traffic'
import { Universal } from '#platforms/universal'
import { createOperatorApi } from './api.ts'
import { certificateService, openAuthority } from './authority.ts'
import { CompileLoop } from './compile-loop.ts'
import { Discovery } from './discovery.ts'
import { healthService } from './health.ts'
import { meshRoutes } from './mesh-routes.ts'
import { metricsService } from './metrics.ts'
import { staticFiles } from './static-files.ts'
import { openStore } from './store.ts'

export type PlaneOptions = {
  /** Everything that must survive: `weft.db`, and the authority's keys in `authority/`. */
  readonly folder: string
  readonly trustDomain: string
  /** How long certificates of workloads are good for; absent: 24 h. */
  readonly leafLifeMs?: number
  readonly api: { readonly host: string; readonly port: number }
  readonly xds: { readonly host: string; readonly port: number }
  /** Where the built dashboard is. */
  readonly dashboard: string
  readonly version: string
  readonly log: Log
}

export type Plane = AsyncDisposable & {
  readonly api: { readonly host: string; readonly port: number }
  readonly xds: { readonly host: string; readonly port: number }
}

/** Rejects with one sentence that says what to do: a port in use, a folder that cannot be written, a store that cannot be read. */
export async function openPlane(options: PlaneOptions): Promise<Plane> {
  const { folder, trustDomain, version, log } = options
  const clock = systemClock
  const startedAt = clock.now()
  await using owned = new AsyncDisposableStack()
  await makeFolder(folder, 0o700)
  const store = owned.use(openStore({ path: `${folder}/weft.db` }))
  let renewServer = () => {}
  const authority = await openAuthority({
    folder: `${folder}/authority`,
    trustDomain,
    clock,
    log,
    onServerCertificate: () => renewServer(),
    ...namesOf(options.xds.host),
    ...(options.leafLifeMs === undefined ? {} : { leafLifeMs: options.leafLifeMs }),
  })
  owned.defer(() => authority.close())
  const platform = new Universal({ store, clock, log })
  owned.defer(() => platform.close())
  const trust = () => ({ trustDomain, roots: authority.roots(), judgeCertificate: judgeServerCertificate })
  const loop = new CompileLoop({ store, platform, trust, clock, log })
  owned.defer(() => loop.close())
  const discovery = new Discovery({ loop, platform, clock, log })
  const traffic = new Traffic({ since: startedAt })

  const grpc = await serveGrpc({
    ...options.xds,
    certificate: () => authority.serverCertificate(),
    clientRoots: () => authority.roots(),
    identify: certificates => authority.identify(certificates),
    services: [...discovery.services, healthService({ platform, log }), metricsService(traffic, clock), certificateService(authority, log)],
    log,
  })
  renewServer = () => grpc.setCertificate()
  owned.defer(() => grpc.close(200))
  owned.defer(() => discovery.close())

  const xds = { host: reachable(options.xds.host), port: grpc.port }
  const parts = { version, startedAt, store, authority, loop, discovery, platform, traffic, xds: () => xds, now: () => clock.now() }
  const operator = createOperatorApi({
    store,
    version,
    complete: (resource, old) => platform.complete(resource, old),
    admit: resource => platform.admit(resource),
    extra: meshRoutes(parts),
    staticFiles: staticFiles(options.dashboard),
    log,
  })
  const http = await serveHttp({ ...options.api, handler: operator.handler, refuse: operator.refuse })
  owned.defer(() => http.close())
  const kept = owned.move()
  return { api: { host: reachable(options.api.host), port: http.port }, xds, [Symbol.asyncDispose]: () => kept.disposeAsync() }
}

/** An address that means "all of them" is none that a proxy could call. */
const reachable = (host: string): string => (host === '0.0.0.0' || host === '::' ? '127.0.0.1' : host)

const namesOf = (host: string): { dns?: string[]; ips?: string[] } =>
  host === '0.0.0.0' || host === '::' || host === 'localhost' ? {} : /^[\d.]+$|:/.test(host) ? { ips: [host] } : { dns: [host] }
