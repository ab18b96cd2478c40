/**
 * The operator API: the Kubernetes API conventions over the embedded store, so that an unmodified kubectl works, and beside them Weft's own routes.
 *
 *   /api /apis /openapi      what there is            api/discovery.ts, api/openapi.ts
 *   GET                      one, a list, a watch     api/read.ts, api/watch.ts
 *   POST PUT PATCH DELETE    changes                  api/write.ts, api/patch.ts (and apply/, patches/), api/remove.ts
 *   /weft/v1/…               what the mesh does       the caller's routes
 *   everything else          the dashboard            the caller's files
 */

import type { Log } from '#base/log'
import { silent } from '#base/log'
import type { Problem } from '#base/note'
import type { Handler, HttpReply, HttpRequest } from '#io/http-server'
import { noOperators } from '#resources/operators-file'
import { apiVersionOf, type Kind, type Resource } from '#resources/kind'
import { kinds as allKinds } from '#resources/registry'
import { schemaOf } from '#resources/schema'
import { rootNamespace } from '#resources/weft'
import { check } from '#resources/validate'
import { readYaml } from '#resources/yaml'
import { isReview, review } from './api/access.ts'
import { json, type Call, type Context } from './api/call.ts'
import { catalogOf } from './api/catalog.ts'
import { discover } from './api/discovery.ts'
import { readReview } from './api/document.ts'
import { findExtra, type ExtraRoute } from './api/extra.ts'
import { openApiRoutes } from './api/openapi.ts'
import { patch } from './api/patch.ts'
import { read } from './api/read.ts'
import { methodNotAllowed, noSuchPath, Refusal, refusalOf, refusalReply } from './api/refusal.ts'
import { remove } from './api/remove.ts'
import { targetOf } from './api/target.ts'
import { hiddenWritten } from './api/redact.ts'
import { create, newNamespace, replace } from './api/write.ts'
import { gateBefore } from './operators/gate.ts'
import { CallerLimits } from './operators/limits.ts'
import { anybody, type Asked, type Principal } from './operators/principal.ts'
import { tellRights } from './operators/rights.ts'
import type { Operators } from './operators.ts'
import type { Store } from './store.ts'

export { json } from './api/call.ts'
export type { ExtraRoute } from './api/extra.ts'
export { Refusal } from './api/refusal.ts'

export type OperatorApiOptions = {
  readonly store: Store
  /** Of Weft, such as `0.1.0`. */
  readonly version: string
  /** Rules that need more than one document; each problem with its path is a cause of a 422. old is absent on creation. */
  readonly admit?: (resource: Resource, old: Resource | undefined, by: Principal) => readonly Problem[]
  /** Fills in what the server decides, such as an address, before the document is checked by `admit` and stored. */
  readonly complete?: (resource: Resource, old: Resource | undefined) => Resource
  /** Who may do what; absent: everybody everything. */
  readonly operators?: Pick<Operators, 'identify' | 'limits' | 'refused' | 'settings'>
  /** Asked before anything else but /healthz and /livez. */
  readonly extra?: readonly ExtraRoute[]
  /** GET of a path that is nothing else; undefined: there is no such file. */
  readonly staticFiles?: (request: HttpRequest) => HttpReply | undefined | Promise<HttpReply | undefined>
  /** What /readyz says; undefined or absent: ready. */
  readonly notReady?: () => string | undefined
  readonly kinds?: readonly Kind[]
  readonly log?: Log
  readonly now?: () => number
}

export type OperatorApi = {
  readonly handler: Handler
  /** For `serveHttp`: what the server itself refuses is a Status too. */
  readonly refuse: (status: number, says: string, bug?: unknown) => HttpReply
}

/** Makes the namespace `default` when it is not there. */
export function createOperatorApi(options: OperatorApiOptions): OperatorApi {
  const {
    store,
    kinds = allKinds,
    admit = () => [],
    complete = resource => resource,
    operators,
    staticFiles,
    notReady,
    log = silent,
    now = Date.now,
  } = options
  const context: Context = {
    store,
    catalog: catalogOf(kinds),
    check,
    admit: (resource, old, by) => [...hiddenWritten(resource), ...admit(resource, old, by)],
    complete,
    schemaOf,
    parseYaml: readYaml,
    now,
  }
  const places = { catalog: context.catalog, extra: [] as ExtraRoute[] }
  const extra = places.extra
  extra.push(...(options.extra ?? []), {
    method: 'GET',
    path: '/weft/v1/rights',
    handle: () => json(200, tellRights(places)),
  })
  const openApi = openApiRoutes()
  ensureNamespaces(context)

  const named = (user: string, groups: readonly string[]) =>
    operators === undefined ? anybody.grants : operators.identify.grantsOf(user, groups)

  async function answer(request: Asked): Promise<HttpReply> {
    const { path, method } = request
    const known = health(request, notReady) ?? versionReply(request, options.version)
    if (known) return known
    const route = findExtra(extra, method, path)
    if (route === 'wrong-method') throw methodNotAllowed()
    if (route) return route.route.handle(request, route.params)
    const isRead = method === 'GET' || method === 'HEAD'
    const document = isRead
      ? (openApi(request) ?? discover(context.catalog, request))
      : review(request, method === 'POST' && isReview(path) ? await readReview({ context, request }) : undefined, named)
    if (document) return document
    if (path.startsWith('/api/') || path.startsWith('/apis/'))
      return resourceReply({ context, request, target: targetOf(context.catalog, path) })
    const file = isRead ? await staticFiles?.(request) : undefined
    if (file) return file
    throw noSuchPath()
  }

  const refuse = (status: number, says: string, bug?: unknown): HttpReply => {
    if (bug !== undefined)
      log.error('a request to the operator API ran into a bug', { error: bug instanceof Error ? bug.stack : String(bug) })
    const reasons: Readonly<Record<number, string>> = {
      400: 'BadRequest',
      403: 'Forbidden',
      408: 'Timeout',
      413: 'RequestEntityTooLarge',
      429: 'TooManyRequests',
      431: 'RequestHeaderFieldsTooLarge',
    }
    const reason = reasons[status] ?? 'InternalError'
    return refusalReply(new Refusal(status, reason, says))
  }
  const handler = gateBefore(request => answer(request).catch(thrown => refused(thrown, request, context)), {
    identify: operators?.identify ?? { of: async () => anybody },
    limits:
      operators?.limits ??
      new CallerLimits(
        () => noOperators.limits,
        () => performance.now(),
      ),
    places,
    refused: operators?.refused ?? (() => {}),
    allowedOrigins: () => operators?.settings().allowedOrigins ?? [],
    tell: (thrown, request) => refused(thrown, request, context),
    now,
  })
  return { handler, refuse }
}

/** The only place where a refusal becomes a reply; bugs go on to the server, which answers 500. */
function refused(thrown: unknown, request: HttpRequest, context: Context): HttpReply {
  const refusal = refusalOf(thrown, kindAt(context, request.path))
  if (!refusal) throw thrown
  return refusalReply(refusal)
}

function kindAt({ catalog }: Context, path: string): Kind | undefined {
  try {
    return targetOf(catalog, path).served.kind
  } catch {
    return undefined
  }
}

async function resourceReply(call: Call): Promise<HttpReply> {
  switch (call.request.method) {
    case 'GET':
    case 'HEAD':
      return read(call)
    case 'POST':
      return create(call)
    case 'PUT':
      return replace(call)
    case 'PATCH':
      return patch(call)
    case 'DELETE':
      if (call.target.subresource) throw methodNotAllowed()
      return remove(call)
    default:
      throw methodNotAllowed()
  }
}

const text = (status: number, says: string): HttpReply => ({ status, headers: { 'content-type': 'text/plain; charset=utf-8' }, body: says })

function health({ path }: HttpRequest, notReady: (() => string | undefined) | undefined): HttpReply | undefined {
  if (path === '/healthz' || path === '/livez') return text(200, 'ok')
  if (path !== '/readyz') return undefined
  const why = notReady?.()
  return why === undefined ? text(200, 'ok') : text(503, `not ready: ${why}\n`)
}

/** gitVersion tells clients which Kubernetes API conventions to expect; the version of Weft is its build part. */
function versionReply({ path, method }: HttpRequest, weft: string): HttpReply | undefined {
  if (path !== '/version' && path !== '/version/') return undefined
  if (method !== 'GET' && method !== 'HEAD') throw methodNotAllowed()
  return json(200, {
    major: '1',
    minor: '32',
    gitVersion: `v1.32.0+weft-${weft}`,
    gitCommit: '',
    gitTreeState: 'clean',
    buildDate: '1970-01-01T00:00:00Z',
    goVersion: '',
    compiler: 'node',
    platform: '',
  })
}

/** The one for what says nothing else, and the one from which policies hold for the whole mesh. */
function ensureNamespaces({ store, catalog }: Context): void {
  const kind = catalog.namespaceKind
  if (!kind) return
  for (const name of ['default', rootNamespace])
    if (!store.get({ ...kind, namespace: '', name }))
      store.transact(newNamespace({ apiVersion: apiVersionOf(kind), kind: kind.kind, metadata: { name } }))
}
