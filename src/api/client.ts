/** The typed client of the operator API, for the CLI and the dashboard. Browser-safe: fetch and nothing else. */

import type { Kind, Resource } from '#resources/kind'
import { servedKinds, type ServedKind } from './client/discovery.ts'
import { requester, type Asking, type Requester } from './client/request.ts'
import { eventsOf } from './client/watch.ts'
import type {
  AuditPage,
  AuditQuery,
  CallsSeen,
  ControlStatus,
  Convergence,
  Detection,
  Login,
  JoinTokenTold,
  PoliciesTold,
  ProxyConfig,
  ProxyStatus,
  MtlsReport,
  Resilience,
  RootPlan,
  RootRequest,
  Series,
  TokenReply,
  TokenRequest,
  Topology,
  User,
  UserReply,
  UserRequest,
} from './mesh-api.ts'

export type { ServedKind } from './client/discovery.ts'
export { ApiError, Unreachable, type Cause } from './client/request.ts'

/** Where objects of a kind are found. `Kind` fits. */
export type KindPath = Pick<Kind, 'group' | 'version' | 'plural' | 'namespaced'>

/** namespace: `default` unless said; for lists and watches of all namespaces: `all: true`. */
export type Scope = { readonly namespace?: string | undefined }
export type Selection = Scope & {
  readonly all?: boolean | undefined
  readonly labelSelector?: string | undefined
  readonly fieldSelector?: string | undefined
}
export type Watching = Selection & { readonly resourceVersion?: string; readonly signal?: AbortSignal }
export type Writing = Scope & { readonly dryRun?: boolean | undefined; readonly fieldManager?: string | undefined }

export type List = { readonly items: readonly Resource[]; readonly resourceVersion: string }
/** meta.k8s.io Table: what `kubectl get` shows. Columns of priority 0 always, others with -o wide. */
export type Table = {
  readonly columnDefinitions: readonly {
    readonly name: string
    readonly type: string
    readonly description: string
    readonly priority: number
  }[]
  readonly rows: readonly { readonly cells: readonly (string | number | boolean)[]; readonly object: Resource }[]
  readonly metadata: { readonly resourceVersion?: string }
}
export type WatchEvent = { readonly type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK'; readonly object: Resource }
export type TableEvent = { readonly type: WatchEvent['type']; readonly object: Table }
export type Outcome = { readonly resource: Resource; readonly outcome: 'created' | 'configured' | 'unchanged' }

/** Every method rejects with ApiError (the server refused: its message, and causes that name fields) or Unreachable (no server answered: what to do). */
export type Client = {
  readonly url: string
  /** What kinds this control plane serves. */
  kinds(): Promise<readonly ServedKind[]>
  get(kind: KindPath, name: string, scope?: Scope): Promise<Resource>
  /** undefined where there is no such object. */
  find(kind: KindPath, name: string, scope?: Scope): Promise<Resource | undefined>
  list(kind: KindPath, selection?: Selection): Promise<List>
  table(kind: KindPath, selection?: Selection): Promise<Table>
  /** Changes after `resourceVersion`, or, without, what there is as ADDED and then changes. Ends when the server ends it; ApiError 410: list again. */
  watch(kind: KindPath, selection?: Watching): AsyncIterable<WatchEvent>
  /** As watch, each event a table of one row; bookmarks have none. */
  watchTable(kind: KindPath, selection?: Watching): AsyncIterable<TableEvent>
  create(kind: KindPath, resource: Resource, writing?: Writing): Promise<Resource>
  /** Refuses with 409 when `metadata.resourceVersion` is there and stale. */
  replace(kind: KindPath, resource: Resource, writing?: Writing): Promise<Resource>
  /** Server-side apply: this manager owns the fields that the document names. force: take fields over from other managers. */
  apply(kind: KindPath, resource: Resource, writing?: Writing & { readonly force?: boolean | undefined }): Promise<Outcome>
  /** merge: RFC 7396, an object. json: RFC 6902, a list of operations. */
  patch(
    kind: KindPath,
    name: string,
    patch: unknown,
    options?: Writing & { readonly type?: 'merge' | 'json'; readonly subresource?: 'status' },
  ): Promise<Resource>
  delete(kind: KindPath, name: string, writing?: Writing): Promise<void>

  status(): Promise<ControlStatus>
  proxies(): Promise<readonly ProxyStatus[]>
  proxyConfig(id: string): Promise<ProxyConfig>
  detections(id: string): Promise<readonly Detection[]>
  /** service: `NAME.NAMESPACE`; absent: of all. */
  resilience(service?: string): Promise<Resilience>
  /** Who still speaks plaintext. */
  mtls(query?: MtlsQuery): Promise<MtlsReport>
  policies(question: PolicyQuery): Promise<PoliciesTold>
  convergence(revision: number): Promise<Convergence>
  createToken(request: TokenRequest): Promise<TokenReply>
  /** The join tokens that were made. */
  tokens(): Promise<readonly JoinTokenTold[]>
  /** ApiError 404: there is none of that id. */
  revokeToken(id: string): Promise<JoinTokenTold>
  /** Who has a token for this API. */
  users(): Promise<readonly User[]>
  /** The token is told here and nowhere else. */
  createUser(request: UserRequest): Promise<UserReply>
  revokeUser(name: string): Promise<User>
  /** Whether one has to log in, and who is. */
  login(): Promise<Login>
  /** A session by cookie: for the dashboard. */
  logIn(token: string): Promise<void>
  logOut(): Promise<void>
  /** At which stage the replacement of the root is. ApiError 409: its roots are not the mesh's own. */
  rootPlan(): Promise<RootPlan>
  /** The roots and token keys of the mesh as a SPIFFE bundle: a JSON Web Key Set. */
  bundle(): Promise<{ readonly keys: readonly Readonly<Record<string, unknown>>[] }>
  /** ApiError 409: the step waits, and for what. */
  replaceRoot(request: RootRequest): Promise<RootPlan>
  /** Newest first, a page of at most 1,000. */
  audit(query?: AuditQuery): Promise<AuditPage>
  /** seconds: absent: as long as the control plane watches. */
  calls(seconds?: number): Promise<CallsSeen>
  topology(seconds?: number): Promise<Topology>
  series(service: string, options?: { readonly seconds?: number; readonly side?: 'inbound' | 'outbound' }): Promise<Series>
}

/** port: number or name. */
export type MtlsQuery = {
  readonly namespace?: string
  readonly service?: string
  readonly port?: string
  readonly withinSeconds?: number
}

/** service, from: `NAME.NAMESPACE`. label: `KEY=VALUE`; header: `name: value`. */
export type PolicyQuery = {
  readonly service: string
  readonly port?: string
  readonly from?: string
  readonly route?: string
  readonly path?: string
  readonly method?: string
  readonly label?: readonly string[]
  readonly header?: readonly string[]
}

export type ConnectOptions = {
  /** How long one request may take; watches are not bounded. 30,000 unless said. */
  readonly timeoutMs?: number
  /** Of a user of the operator API. */
  readonly token?: string
  readonly fetch?: typeof fetch
}

/** url: `http://127.0.0.1:7070`, or '' in a page that the control plane itself served. Nothing is sent yet. */
export function connect(url: string, { timeoutMs = 30_000, token, fetch: send = globalThis.fetch }: ConnectOptions = {}): Client {
  const request = requester(url.replace(/\/+$/, ''), timeoutMs, send, token)
  return { url, ...resourceCalls(request), ...meshCalls(request) }
}

type ResourceCalls = Pick<
  Client,
  'kinds' | 'get' | 'find' | 'list' | 'table' | 'watch' | 'watchTable' | 'create' | 'replace' | 'apply' | 'patch' | 'delete'
>
const asTable = 'application/json;as=Table;v=v1;g=meta.k8s.io'

function resourceCalls(request: Requester): ResourceCalls {
  const find: Client['find'] = (kind, name, scope = {}) => request.maybe(objectPath(kind, name, scope))
  const watching = ({ resourceVersion, signal, ...selection }: Watching): Asking => ({
    query: { ...selectors(selection), watch: '1', resourceVersion, allowWatchBookmarks: 'true' },
    signal,
  })
  return {
    kinds: () => servedKinds(request),
    find,
    get: (kind, name, scope = {}) => request.json(objectPath(kind, name, scope)),
    async list(kind, selection = {}) {
      const { items, metadata } = await request.json<{ items: Resource[]; metadata: { resourceVersion: string } }>(
        collectionPath(kind, selection),
        { query: selectors(selection) },
      )
      return { items, resourceVersion: metadata.resourceVersion }
    },
    table: (kind, selection = {}) =>
      request.json(collectionPath(kind, selection), {
        query: { ...selectors(selection), includeObject: 'Object' },
        accept: asTable,
      }),
    watch: (kind, selection = {}) => eventsOf<WatchEvent>(() => request.stream(collectionPath(kind, selection), watching(selection))),
    watchTable: (kind, selection = {}) =>
      eventsOf<TableEvent>(() => {
        const { query, signal } = watching(selection)
        return request.stream(collectionPath(kind, selection), { query: { ...query, includeObject: 'Object' }, accept: asTable, signal })
      }),
    create: (kind, resource, writing = {}) =>
      request.json(collectionPath(kind, scopeOf(resource, writing)), { method: 'POST', query: writes(writing), body: resource }),
    replace: (kind, resource, writing = {}) =>
      request.json(objectPath(kind, resource.metadata.name, scopeOf(resource, writing)), {
        method: 'PUT',
        query: writes(writing),
        body: resource,
      }),
    async apply(kind, resource, { force, ...writing } = {}) {
      const scope = scopeOf(resource, writing)
      const before = await find(kind, resource.metadata.name, scope)
      const after = await request.json<Resource>(objectPath(kind, resource.metadata.name, scope), {
        method: 'PATCH',
        query: { ...writes(writing), force: force ? 'true' : undefined },
        body: resource,
        type: 'application/apply-patch+yaml',
      })
      const isSame =
        before?.metadata.resourceVersion === after.metadata.resourceVersion &&
        !(writing.dryRun && before?.metadata.generation !== after.metadata.generation)
      return { resource: after, outcome: !before ? 'created' : isSame ? 'unchanged' : 'configured' }
    },
    patch: (kind, name, patch, { type = 'merge', subresource, ...writing } = {}) =>
      request.json(objectPath(kind, name, writing) + (subresource ? `/${subresource}` : ''), {
        method: 'PATCH',
        query: writes(writing),
        body: patch,
        type: `application/${type}-patch+json`,
      }),
    delete: async (kind, name, writing = {}) =>
      void (await request.json(objectPath(kind, name, writing), {
        method: 'DELETE',
        query: { dryRun: writing.dryRun ? 'All' : undefined },
      })),
  }
}

function meshCalls(request: Requester): Omit<Client, keyof ResourceCalls | 'url'> {
  return {
    bundle: () => request.json('/weft/v1/spiffe-bundle'),
    status: () => request.json('/weft/v1/status'),
    proxies: () => request.json('/weft/v1/proxies'),
    proxyConfig: id => request.json(`/weft/v1/proxies/${encodeURIComponent(id)}/config`),
    detections: id => request.json(`/weft/v1/proxies/${encodeURIComponent(id)}/detections`),
    resilience: service => request.json(`/weft/v1/resilience${service === undefined ? '' : `?service=${encodeURIComponent(service)}`}`),
    mtls: ({ withinSeconds, ...query } = {}) => request.json('/weft/v1/mtls', { query: { ...query, within: withinSeconds?.toString() } }),
    policies: question => request.json(`/weft/v1/policies?${searchOf(question)}`),
    convergence: revision => request.json('/weft/v1/convergence', { query: { revision: String(revision) } }),
    createToken: body => request.json('/weft/v1/tokens', { method: 'POST', body }),
    tokens: () => request.json('/weft/v1/tokens'),
    revokeToken: id => request.json(`/weft/v1/tokens/${encodeURIComponent(id)}`, { method: 'DELETE' }),
    users: () => request.json('/weft/v1/users'),
    createUser: body => request.json('/weft/v1/users', { method: 'POST', body }),
    revokeUser: name => request.json(`/weft/v1/users/${encodeURIComponent(name)}`, { method: 'DELETE' }),
    login: () => request.json('/weft/v1/login'),
    logIn: async token => void (await request.json('/weft/v1/login', { method: 'POST', body: { token } })),
    logOut: async () => void (await request.json('/weft/v1/logout', { method: 'POST' })),
    rootPlan: () => request.json('/weft/v1/root-rotation'),
    replaceRoot: body => request.json('/weft/v1/root-rotation', { method: 'POST', body }),
    audit: ({ before, limit, ...query } = {}) =>
      request.json('/weft/v1/audit', { query: { ...query, before: before?.toString(), limit: limit?.toString() } }),
    calls: seconds => request.json('/weft/v1/calls', { query: { seconds: seconds?.toString() } }),
    topology: seconds => request.json('/weft/v1/topology', { query: { seconds: seconds?.toString() } }),
    series: (service, { seconds, side } = {}) =>
      request.json('/weft/v1/series', { query: { service, seconds: seconds?.toString(), side } }),
  }
}

const searchOf = (question: PolicyQuery): string =>
  new URLSearchParams(
    Object.entries(question).flatMap(([name, value]) => (typeof value === 'string' ? [value] : value).map(each => [name, each])),
  ).toString()

const scopeOf = ({ metadata }: Resource, { namespace }: Scope): Scope => ({ namespace: metadata.namespace ?? namespace })

function collectionPath({ group, version, plural, namespaced }: KindPath, { namespace = 'default', all = false }: Selection): string {
  const root = group === '' ? `/api/${version}` : `/apis/${group}/${version}`
  return namespaced && !all ? `${root}/namespaces/${encodeURIComponent(namespace)}/${plural}` : `${root}/${plural}`
}
const objectPath = (kind: KindPath, name: string, { namespace }: Scope): string =>
  `${collectionPath(kind, { namespace })}/${encodeURIComponent(name)}`
const selectors = ({ labelSelector, fieldSelector }: Selection): Record<string, string | undefined> => ({ labelSelector, fieldSelector })
const writes = ({ dryRun, fieldManager = 'weft' }: Writing): Record<string, string | undefined> => ({
  dryRun: dryRun ? 'All' : undefined,
  fieldManager,
  fieldValidation: 'Strict',
})
