/** The control plane in one construction: store, authority, platform, compile loop, discovery, operator API. Closed in the opposite order. */

import { systemClock } from '#base/clock'
import type { Log } from '#base/log'
import { judgeServerCertificate } from '#identity/server-certificate'
import { makeFolder, readText, writeAtomic } from '#io/files'
import { askHttp } from '#io/ask-http'
import { fetchWith } from '#io/fetch'
import { serveEach, serveGrpc } from '#io/grpc'
import { isLoopback, serveHttp } from '#io/http-server'
import { allowLinearRegex } from '#io/linear-regex'
import { openRedis } from '#io/redis'
import { Traffic } from '#observe/traffic'
import { Universal } from '#platforms/universal'
import { readAuthorityFile } from '#resources/authority-file'
import { CertificateOrders } from './acme.ts'
import { keysOfAccounts } from './acme/accounts.ts'
import { createOperatorApi } from './api.ts'
import { type ApiPlace, apiNames, certificateFromFiles, servingOf } from './api-tls.ts'
import { type BundlePlace, openOwnBundle, serveBundle } from './bundle-endpoint.ts'
import { type AuthorityOptions, openAuthority, openIssuedBook, openIssuer } from './authority.ts'
import { certificateService } from './certificate-service.ts'
import { openAttestedCertificates } from './attested-certificates.ts'
import { openJwtKeys } from './authority/jwt-keys.ts'
import { auditRoutes } from './audit.ts'
import { CompileLoop } from './compile-loop.ts'
import { Discovery } from './discovery.ts'
import { Federation } from './federation.ts'
import { foreignIdentity } from './foreign-identity.ts'
import { healthService } from './health.ts'
import { openJoinTokens } from './join-tokens.ts'
import { meshRoutes, proxiesOf } from './mesh-routes.ts'
import { metricsService } from './metrics.ts'
import { tellRootEnd } from './root-end.ts'
import { rootRoutes } from './root-routes.ts'
import type { Mesh } from '#model/mesh'
import type { Workload } from '#model/workload'
import { tellTrust } from './trust-told.ts'
import { trustRoutes } from './trust-routes.ts'
import { Withdrawn } from './withdrawn.ts'
import { RotationWatch } from './root-rotation.ts'
import { countersInMemory, countersInRedis, sharedLimits } from './shared-limits.ts'
import { staticFiles } from './static-files.ts'
import { openOperators } from './operators.ts'
import { keepFirstAdmin } from './operators/first-admin.ts'
import { namesOf, reachable, togetherOf } from './own-names.ts'
import { openStore } from './store.ts'
import { joinToken, tokenMaker, tokenRoutes } from './token-routes.ts'
import { tellRegistrations } from './registration-status.ts'
import { tellWorkloadTrust } from './workload-trust.ts'
import { registrationsIn } from './registrations.ts'
import { AttestedApi } from './workload-api.ts'

export type PlaneOptions = Pick<AuthorityOptions, 'idTemplate' | 'leafLifeMs' | 'rejoinMs'> & {
  /** Everything that must survive: `weft.db`, and the authority's keys in `authority/`. */
  readonly folder: string
  readonly trustDomain: string
  /** By which the authority's keys are encrypted. */
  readonly passphrase?: string
  /** File that says what signs certificates instead of the mesh's own authority. */
  readonly authority?: string
  /** Of the environment, for what the settings of the authority name. */
  readonly variables?: Readonly<Record<string, string | undefined>>
  /** Where global rate limits are counted; absent: in this process. */
  readonly redis?: { readonly url: string; readonly password?: string }
  readonly api: ApiPlace
  /** File that says who may use the operator API beside users with tokens. */
  readonly operators?: string
  /** On loopback too. Elsewhere it always is. */
  readonly requireLogin?: boolean
  readonly xds: { readonly host: string; readonly port: number }
  /** Where others fetch the roots of this mesh; absent: nowhere but by the operator API. */
  readonly bundle?: BundlePlace
  /** After how many seconds they are to ask again; absent: 300. */
  readonly bundleRefreshS?: number
  /** Path of a socket where processes of this machine prove who they are; absent: there is none. */
  readonly attestSocket?: string
  /** File with roots, PEM, of certificates that are taken as attestation; absent: none are. */
  readonly attestRoots?: string
  /** Where the built dashboard is. */
  readonly dashboard: string
  readonly version: string
  readonly log: Log
}

export type Plane = AsyncDisposable & {
  readonly api: { readonly host: string; readonly port: number; readonly url: string }
  readonly xds: { readonly host: string; readonly port: number }
  /** Where its bundle is, if it is served. */
  readonly bundle?: { readonly host: string; readonly port: number }
  /** File with the token of the first admin, made just now; absent: none was needed. */
  readonly firstAdmin?: string
  /** File with the roots by which the API is known, where it serves the mesh's own certificate. */
  readonly ca?: string
}

/** Rejects with one sentence that says what to do: a port in use, a folder that cannot be written, a store that cannot be read. */
export async function openPlane(options: PlaneOptions): Promise<Plane> {
  const { folder, trustDomain, version, log } = options
  // What would match is told with the expressions of operators, of paths that whoever asks writes.
  allowLinearRegex()
  const clock = systemClock
  const startedAt = clock.now()
  const serving = servingOf(options.api)
  await using owned = new AsyncDisposableStack()
  await makeFolder(folder, 0o700)
  const store = owned.use(openStore({ path: `${folder}/weft.db` }))
  let renewServer = () => {}
  let compileAgain = () => {}
  let tellPrograms = () => {}
  let tellRoots = () => {}
  const foreign = (file: string) => async (onChange: () => void) =>
    openIssuer(readAuthorityFile(await readText(file), file), {
      trustDomain,
      clock,
      log,
      onChange,
      passphrase: options.passphrase,
      variables: options.variables ?? {},
    })
  const book = owned.use(openIssuedBook({ path: `${folder}/issued.db`, clock }))
  const withdrawn = new Withdrawn(book)
  const authority = await openAuthority({
    withdrawn,
    folder: `${folder}/authority`,
    trustDomain,
    idTemplate: options.idTemplate,
    clock,
    log,
    onServerCertificate: () => renewServer(),
    onRoots: () => {
      compileAgain()
      tellRoots()
    },
    ...(options.passphrase === undefined ? {} : { passphrase: options.passphrase }),
    ...(options.rejoinMs === undefined ? {} : { rejoinMs: options.rejoinMs }),
    ...(options.authority === undefined ? {} : { issuer: foreign(options.authority) }),
    ...togetherOf(namesOf(options.xds.host), serving === 'mesh' ? apiNames(options.api) : {}),
    ...(options.leafLifeMs === undefined ? {} : { leafLifeMs: options.leafLifeMs }),
  })
  const { idTemplate } = authority
  owned.defer(() => authority.close())
  const platform = new Universal({ store, clock, log })
  owned.defer(() => platform.close())
  let envoys = (): readonly string[] => []
  const federation = new Federation({ store, folder: `${folder}/federation`, ask: askHttp, clock, log, onChange: () => compileAgain() })
  owned.defer(() => federation.close())
  let orders: CertificateOrders | undefined
  const trust = () => {
    const lists = authority.lists()
    return {
      trustDomain,
      idTemplate,
      roots: authority.roots(),
      judgeCertificate: judgeServerCertificate,
      ...(lists.isNeeded ? { crls: lists.pem, ...(lists.areWhole ? { areWhole: true as const } : {}) } : {}),
      envoys: envoys(),
      ...(lists.areWhole ? {} : { isListless: true as const }),
      domains: federation.known(),
      orders: orders?.known() ?? {},
      challenges: orders?.challenges() ?? [],
    }
  }
  const loop = new CompileLoop({ store, platform, trust, clock, log })
  owned.defer(() => loop.close())
  compileAgain = () => loop.refresh()
  const follow = (mesh: Mesh): void => withdrawn.set(mesh.trust.revoked ?? nobody)
  if (loop.current !== undefined) follow(loop.current.mesh)
  owned.defer(loop.onCompiled(({ mesh }) => follow(mesh)))
  const tokens = owned.use(openJoinTokens({ path: `${folder}/join-tokens.db`, clock }))
  const jwt = await openJwtKeys(
    { folder: `${folder}/authority`, passphrase: options.passphrase, log },
    { clock, onChange: () => tellPrograms() },
  )
  owned.defer(() => jwt.close())
  let xds = { host: reachable(options.xds.host), port: options.xds.port }
  const makeToken = tokenMaker({ authority, tokens, xds: () => xds })
  const registrations = registrationsIn(store, authority)
  const certificates =
    options.attestRoots === undefined ? undefined : await openAttestedCertificates(options.attestRoots, { registrations, clock, log })
  owned.defer(() => certificates?.close())
  const programs = new AttestedApi({
    admit: identity => withdrawn.admit(identity),
    federated: () => loop.current?.mesh.trust.federated ?? {},
    authority,
    jwt,
    registrations,
    joinToken: async identity => (await makeToken({ identity, uses: 1, lifeMs: 60_000, createdBy: 'attestation' })).token,
    clock,
    log,
  })
  tellPrograms = () => programs.changed()
  withdrawn.onChange(tellPrograms)
  owned.defer(loop.onCompiled(followTrust(() => programs.changed())))
  owned.defer(store.watch(store.revision, { kind: { group: 'weft.dev', kind: 'Registration' } }, () => programs.changed()))
  const isAttesting = { processes: options.attestSocket !== undefined, certificates: options.attestRoots !== undefined }
  owned.defer(tellRegistrations({ store, trustDomain, idTemplate, clock, ...isAttesting }))
  const discovery = new Discovery({ loop, platform, clock, log, idTemplate, boundTo: serial => tokens.boundTo(serial) })
  loop.hears(proxy => discovery.isSettled(proxy))
  envoys = () => discovery.envoys
  orders = new CertificateOrders({
    store,
    loop,
    accountKey: keysOfAccounts({ folder: `${folder}/acme`, passphrase: options.passphrase, log }),
    fetchWith: ca => fetchWith({ ca }),
    areSettled: gateway => settledOf(gateway, platform.inventory.workloads, discovery),
    clock,
    log,
    onChange: compileAgain,
  })
  owned.defer(() => orders?.close())
  const traffic = new Traffic({ since: startedAt })
  const workloadTrust = tellWorkloadTrust({
    store,
    revocationOf: (identity, serial) => withdrawn.find(identity, serial),
    certificateOf: id => traffic.vitals(id)?.certificate,
    leafLifeMs: authority.leafLifeMs,
    clock,
    log,
  })
  withdrawn.onChange(() => workloadTrust.tellAll())
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
      healthService({ platform, log, idTemplate, boundTo: serial => tokens.boundTo(serial) }),
      metricsService(traffic, platform, clock, idTemplate, id => workloadTrust.heard(id)),
      certificateService(authority, log, {
        tokens,
        certificates,
        onUse: (who, address) => store.note('used', joinToken(who, idTemplate), { who, how: 'join token', address, agent: '' }),
      }),
      ...programs.forProxies,
      limits.service,
    ],
    log,
  })
  renewServer = () => grpc.setCertificate()
  withdrawn.onChange(() => grpc.expel(({ peer, serial }) => withdrawn.why(peer, serial)))
  owned.defer(() => grpc.close(200))
  owned.defer(() => discovery.close())

  const rootEndsAt = () => Date.parse(authority.certificates().find(({ use }) => use === 'root')?.notAfter ?? '')
  owned.defer(tellRootEnd({ endsAt: rootEndsAt, isOwn: authority.issuer === 'BuiltIn', clock, log }))

  const revoked = (identity: string, serial?: string) => withdrawn.why(identity, serial)
  const revokedAt = (id: string) => workloadTrust.revokedAt(id)
  const { rotation } = authority
  const watch =
    rotation &&
    new RotationWatch({
      rotation,
      proxies: () => proxiesOf({ discovery, traffic, revoked, revokedAt }),
      leafLifeMs: authority.leafLifeMs,
      ...(options.bundle === undefined ? {} : { othersHearMs: (options.bundleRefreshS ?? 300) * 1000 }),
      clock,
      log,
    })
  owned.defer(() => watch?.close())

  xds = { host: reachable(options.xds.host), port: grpc.port }
  if (options.attestSocket !== undefined)
    owned.use(await serveEach({ path: options.attestSocket, servicesFor: peer => programs.servicesFor(peer), log }))
  const told = () => tellTrust({ store, authority, domains: () => federation.known(), now: () => clock.now() })
  const parts = {
    version,
    startedAt,
    store,
    authority,
    loop,
    discovery,
    platform,
    traffic,
    xds: () => xds,
    now: () => clock.now(),
    trust: () => told(),
    ordered: () => orders?.told() ?? [],
    revoked,
    revokedAt,
  }
  const operators = owned.use(
    await openOperators({
      store,
      path: { users: `${folder}/users.db`, sessions: `${folder}/sessions.db` },
      ...(options.operators === undefined ? {} : { file: options.operators }),
      isRequired: options.requireLogin === true || !isLoopback(options.api.host),
      identifyMember: chain => authority.identify(chain),
      clock,
      log,
    }),
  )
  const bundle = await openOwnBundle({
    folder,
    roots: () => authority.roots(),
    jwks: () => jwt.jwks(),
    refreshHintS: options.bundleRefreshS ?? 300,
    log,
  })
  const bundleEndpoint = options.bundle && owned.use(await serveBundle(options.bundle, () => authority.serverCertificate(), bundle, log))
  if (serving === 'plain' && operators.settings().certificates !== undefined)
    throw new Error(
      `${options.operators}: certificates: are shown over TLS only, and this API is plain HTTP: give --api-name (such as localhost) or --api-cert and --api-key, or take them out`,
    )
  const firstAdmin = await keepFirstAdmin(operators, folder)
  const operator = createOperatorApi({
    store,
    version,
    operators,
    complete: (resource, old) => platform.complete(resource, old),
    admit: (resource, old, by) => [...foreignIdentity(resource, old, by, { trustDomain, idTemplate }), ...platform.admit(resource, old)],
    extra: [
      ...meshRoutes(parts),
      ...tokenRoutes({ authority, tokens, store, make: makeToken, jwks: () => jwt.jwks() }),
      ...rootRoutes(authority, watch, store),
      ...trustRoutes(authority, bundle),
      ...auditRoutes(store),
      ...operators.routes,
    ],
    staticFiles: staticFiles(options.dashboard),
    log,
  })
  const { host, port, names = [] } = options.api
  const files = options.api.certificate && (await certificateFromFiles(options.api.certificate, log, () => renewApi()))
  owned.defer(() => files?.close())
  const http = await serveHttp({
    host,
    port,
    handler: operator.handler,
    refuse: operator.refuse,
    allowedHosts: () => [...names, ...operators.settings().allowedHosts],
    allowedOrigins: () => operators.settings().allowedOrigins,
    connectionsPerAddress: () => operators.settings().limits.connections,
    ...(serving === 'plain'
      ? {}
      : {
          tls: {
            certificate: () => (files ? files.current() : authority.serverCertificate()),
            clientRoots: () => operators.clientRoots(() => authority.roots()),
          },
        }),
  })
  owned.defer(() => http.close())
  const renewApi = (): void => http.renew()
  operators.onChange(renewApi)
  renewServer = () => {
    grpc.setCertificate()
    renewApi()
    bundleEndpoint?.renew()
  }
  const ca = serving === 'mesh' ? `${folder}/ca.pem` : undefined
  const writeRoots = async (): Promise<void> => (ca === undefined ? undefined : writeAtomic(ca, authority.roots().join('')))
  tellRoots = () => {
    renewApi()
    writeRoots().catch((thrown: unknown) => log.error('the roots could not be written for operators', { error: thrown }))
  }
  await writeRoots()
  const kept = owned.move()
  const reached = reachable(host)
  const url = `${serving === 'plain' ? 'http' : 'https'}://${reached.includes(':') ? `[${reached}]` : reached}:${http.port}`
  return {
    api: { host: reached, port: http.port, url },
    xds,
    ...(bundleEndpoint === undefined ? {} : { bundle: { host: reachable(options.bundle!.host), port: bundleEndpoint.port } }),
    ...(firstAdmin === undefined ? {} : { firstAdmin }),
    ...(ca === undefined ? {} : { ca }),
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  }
}

/** Of the connected proxies of a Gateway (`NAMESPACE/NAME`), whether each has all that was compiled for it; undefined: there is none. */
function settledOf(gateway: string, workloads: readonly Workload[], discovery: Discovery): boolean | undefined {
  const ids = workloads
    .filter(each => each.gateway !== undefined && `${each.namespace}/${each.gateway.name}` === gateway)
    .map(({ name, namespace }) => `${name}.${namespace}`)
    .filter(id => discovery.nodeOf(id) !== undefined)
  return ids.length === 0 ? undefined : ids.every(id => discovery.isSettled(id))
}

const nobody: NonNullable<Mesh['trust']['revoked']> = []

/** Tells when other trust domains are believed, or by other roots. */
function followTrust(told: () => void): (compiled: { readonly mesh: Mesh }) => void {
  let before: Mesh['trust']['federated']
  return ({ mesh: { trust } }) => {
    if (trust.federated === before) return
    before = trust.federated
    told()
  }
}
