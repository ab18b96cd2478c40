/** The control plane in one construction: store, authority, platform, compile loop, discovery, operator API. Closed in the opposite order. */

import { systemClock } from '#base/clock'
import type { Log } from '#base/log'
import { judgeServerCertificate } from '#identity/server-certificate'
import { makeFolder, readText } from '#io/files'
import { serveGrpc } from '#io/grpc'
import { serveHttp } from '#io/http-server'
import { openRedis } from '#io/redis'
import { Traffic } from '#observe/traffic'
import { Universal } from '#platforms/universal'
import { readAuthorityFile } from '#resources/authority-file'
import { createOperatorApi } from './api.ts'
import { certificateService, openAuthority, openIssuer } from './authority.ts'
import { auditRoutes } from './audit.ts'
import { CompileLoop } from './compile-loop.ts'
import { Discovery } from './discovery.ts'
import { healthService } from './health.ts'
import { meshRoutes, proxiesOf } from './mesh-routes.ts'
import { metricsService } from './metrics.ts'
import { tellRootEnd } from './root-end.ts'
import { rootRoutes } from './root-routes.ts'
import { RotationWatch } from './root-rotation.ts'
import { countersInMemory, countersInRedis, sharedLimits } from './shared-limits.ts'
import { staticFiles } from './static-files.ts'
import { openStore } from './store.ts'

export type PlaneOptions = {
  /** Everything that must survive: `weft.db`, and the authority's keys in `authority/`. */
  readonly folder: string
  readonly trustDomain: string
  /** How long certificates of workloads are good for; absent: 24 h. */
  readonly leafLifeMs?: number
  /** For how long after its end a certificate still brings its workload back; absent: 30 days. */
  readonly rejoinMs?: number
  /** By which the authority's keys are encrypted. */
  readonly passphrase?: string
  /** File that says what signs certificates instead of the mesh's own authority. */
  readonly authority?: string
  /** Of the environment, for what the settings of the authority name. */
  readonly variables?: Readonly<Record<string, string | undefined>>
  /** Where global rate limits are counted; absent: in this process. */
  readonly redis?: { readonly url: string; readonly password?: string }
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
  let compileAgain = () => {}
  const foreign = (file: string) => async (onChange: () => void) =>
    openIssuer(readAuthorityFile(await readText(file), file), {
      trustDomain,
      clock,
      log,
      onChange,
      passphrase: options.passphrase,
      variables: options.variables ?? {},
    })
  const authority = await openAuthority({
    folder: `${folder}/authority`,
    trustDomain,
    clock,
    log,
    onServerCertificate: () => renewServer(),
    onRoots: () => compileAgain(),
    ...(options.passphrase === undefined ? {} : { passphrase: options.passphrase }),
    ...(options.rejoinMs === undefined ? {} : { rejoinMs: options.rejoinMs }),
    ...(options.authority === undefined ? {} : { issuer: foreign(options.authority) }),
    ...namesOf(options.xds.host),
    ...(options.leafLifeMs === undefined ? {} : { leafLifeMs: options.leafLifeMs }),
  })
  owned.defer(() => authority.close())
  const platform = new Universal({ store, clock, log })
  owned.defer(() => platform.close())
  const trust = () => ({ trustDomain, roots: authority.roots(), judgeCertificate: judgeServerCertificate })
  const loop = new CompileLoop({ store, platform, trust, clock, log })
  owned.defer(() => loop.close())
  compileAgain = () => loop.refresh()
  const discovery = new Discovery({ loop, platform, clock, log })
  loop.hears(proxy => discovery.isSettled(proxy))
  const traffic = new Traffic({ since: startedAt })
  const redis = options.redis && owned.use(await openRedis({ ...options.redis, timeoutMs: 1000, log }))
  const counters = redis === undefined ? countersInMemory(() => performance.now()) : countersInRedis(redis, `weft:${trustDomain}:limit:`)
  const limits = sharedLimits({ loop, counters, log })
  owned.defer(() => limits.close())

  const grpc = await serveGrpc({
    ...options.xds,
    certificate: () => authority.serverCertificate(),
    clientRoots: () => authority.roots(),
    identify: certificates => authority.identify(certificates),
    services: [
      ...discovery.services,
      healthService({ platform, log }),
      metricsService(traffic, clock),
      certificateService(authority, log),
      limits.service,
    ],
    log,
  })
  renewServer = () => grpc.setCertificate()
  owned.defer(() => grpc.close(200))
  owned.defer(() => discovery.close())

  const rootEndsAt = () => Date.parse(authority.certificates().find(({ use }) => use === 'root')?.notAfter ?? '')
  owned.defer(tellRootEnd({ endsAt: rootEndsAt, isOwn: authority.issuer === 'BuiltIn', clock, log }))

  const { rotation } = authority
  const watch =
    rotation &&
    new RotationWatch({
      rotation,
      proxies: () => proxiesOf({ discovery, traffic }),
      leafLifeMs: authority.leafLifeMs,
      clock,
      log,
    })
  owned.defer(() => watch?.close())

  const xds = { host: reachable(options.xds.host), port: grpc.port }
  const parts = { version, startedAt, store, authority, loop, discovery, platform, traffic, xds: () => xds, now: () => clock.now() }
  const operator = createOperatorApi({
    store,
    version,
    complete: (resource, old) => platform.complete(resource, old),
    admit: resource => platform.admit(resource),
    extra: [...meshRoutes(parts), ...rootRoutes(authority, watch, store), ...auditRoutes(store)],
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
