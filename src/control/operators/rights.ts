/**
 * The table: which right each route of the operator API needs, and where. What is not in it, nobody may call.
 *
 *   open        without login: is it alive, how to log in, the pages of the dashboard
 *   known       whoever is logged in: what kinds there are, who am I, may I
 *   read, edit, administer   by role (api/rights.ts), in one namespace or in the whole mesh
 */

import type { Right } from '#api/rights'
import type { HttpRequest } from '#io/http-server'
import type { Kind } from '#resources/kind'
import type { Catalog } from '../api/catalog.ts'
import { type ExtraRoute, findExtra } from '../api/extra.ts'
import { flag } from '../api/call.ts'
import { resourceOf } from '../api/refusal.ts'
import { targetOf } from '../api/target.ts'

/** In which namespace the right is needed, told by the request; absent: in the whole mesh. */
type Where = (request: HttpRequest, params: Readonly<Record<string, string>>) => string | undefined | Promise<string | undefined>
export type Entry = { readonly right: Right | 'open' | 'known'; readonly where?: Where; readonly does: string }

/** `NAME.NAMESPACE`. */
const namespaceIn = (text: string | null | undefined): string | undefined => {
  const dot = text?.lastIndexOf('.') ?? -1
  return text == null || text === '' ? undefined : dot < 0 ? 'default' : text.slice(dot + 1)
}
const ofService: Where = ({ query }) => namespaceIn(query.get('service'))
const ofProxy: Where = (_, { id }) => namespaceIn(id)
const inBody: Where = async request => {
  try {
    const { namespace } = JSON.parse(new TextDecoder().decode(await request.body())) as { namespace?: unknown }
    return typeof namespace === 'string' ? namespace : undefined
  } catch (thrown) {
    if (thrown instanceof SyntaxError || thrown instanceof TypeError) return undefined
    throw thrown
  }
}
const inQuery: Where = ({ query }) => query.get('namespace') ?? undefined

const entry = (right: Entry['right'], does: string, where?: Where): Entry => ({ right, does, ...(where ? { where } : {}) })

/** Of the routes beside resources, by method and path. */
export const routes: Readonly<Record<string, Entry>> = {
  'GET /weft/v1/login': entry('open', 'see how to log in, and who is'),
  'POST /weft/v1/login': entry('open', 'log in with a token'),
  'POST /weft/v1/logout': entry('open', 'log out'),
  'GET /weft/v1/login/oidc': entry('open', 'go to the OpenID provider'),
  'GET /weft/v1/login/callback': entry('open', 'come back from the OpenID provider'),
  'GET /weft/v1/rights': entry('known', 'see which right each route needs'),
  'GET /weft/v1/trust-bundle': entry('known', 'read the roots of the mesh'),
  'GET /weft/v1/spiffe-bundle': entry('open', 'read the roots of the mesh as a SPIFFE bundle'),
  'GET /weft/v1/crl': entry('open', 'read the revocation lists of the mesh'),
  'GET /weft/v1/crl.der': entry('open', 'read the revocation list of whoever signs now'),
  'GET /weft/v1/jwks': entry('open', 'read the public keys of JWT-SVIDs'),
  'GET /weft/v1/status': entry('read', 'see the status'),
  'GET /weft/v1/proxies': entry('read', 'list proxies'),
  'GET /weft/v1/proxies/:id/config': entry('read', 'read the configuration of a proxy', ofProxy),
  'GET /weft/v1/proxies/:id/detections': entry('read', 'see what a proxy detected', ofProxy),
  'GET /weft/v1/resilience': entry('read', 'see who is left out', ofService),
  'GET /weft/v1/convergence': entry('read', 'see which proxies have a revision'),
  'GET /weft/v1/calls': entry('read', 'see who calls what'),
  'GET /weft/v1/topology': entry('read', 'see the traffic'),
  'GET /weft/v1/series': entry('read', 'see the traffic of a service', ofService),
  'GET /weft/v1/mtls': entry('read', 'see who speaks plaintext', inQuery),
  'GET /weft/v1/policies': entry('read', 'see which policies hold', ofService),
  'GET /weft/v1/root-rotation': entry('read', 'see how far the replacement of the root is'),
  'POST /weft/v1/root-rotation': entry('administer', 'replace the root'),
  'POST /weft/v1/tokens': entry('administer', 'make join tokens', inBody),
  'GET /weft/v1/tokens': entry('administer', 'list join tokens'),
  'DELETE /weft/v1/tokens/:id': entry('administer', 'revoke join tokens'),
  'GET /weft/v1/audit': entry('administer', 'read the record of changes', inQuery),
  'GET /weft/v1/users': entry('administer', 'list users'),
  'POST /weft/v1/users': entry('administer', 'make users'),
  'DELETE /weft/v1/users/:name': entry('administer', 'revoke users'),
}

/** Reviews are for whoever is known, but for those about others. */
const reviewRights: Readonly<Record<string, Entry['right']>> = {
  '/apis/authorization.k8s.io/v1/subjectaccessreviews': 'administer',
}

type Verb = 'get' | 'list' | 'watch' | 'create' | 'update' | 'patch' | 'delete' | 'deletecollection'
export const verbRights: Readonly<Record<Verb, Right>> = {
  get: 'read',
  list: 'read',
  watch: 'read',
  create: 'edit',
  update: 'edit',
  patch: 'edit',
  delete: 'edit',
  deletecollection: 'edit',
}

/** Kinds for which to change them is more than to edit: a namespace goes with all that is in it, and a Registration gives identities, as a join token does. */
export const administered: readonly string[] = ['revocations', 'trustdomains', 'namespaces', 'certificateissuers', 'registrations']

/** Kinds that live in a namespace and are about callers in all of them: who changes one needs the right in the whole mesh. */
const meshWide: readonly string[] = ['externalservices']

/** Where the right is needed; undefined: in the whole mesh. namespace: of the path. */
export const placeFor = (verb: string, plural: string, namespace: string | undefined): string | undefined =>
  verbRights[verb as Verb] !== 'read' && meshWide.includes(plural) ? undefined : namespace

/** What a request needs. namespace: asked only of who is known, since it may be in the body; absent: in the whole mesh. what: as it is said when it is refused. */
export type Needed = Pick<Entry, 'right'> & {
  readonly namespace?: () => string | undefined | Promise<string | undefined>
  readonly verb: Verb | 'call'
  readonly what: string
  readonly kind?: Kind
  readonly name?: string | undefined
}

export type Places = { readonly catalog: Catalog; readonly extra: readonly ExtraRoute[] }

const health = ['/healthz', '/livez', '/readyz']
const reads = (method: string): boolean => method === 'GET' || method === 'HEAD'

/** undefined: there is a route, and nobody has said who may call it. */
export function neededFor(request: HttpRequest, { catalog, extra }: Places): Needed | undefined {
  const { path, method } = request
  const known: Needed = { right: 'known', verb: 'call', what: path }
  if (health.includes(path)) return { ...known, right: 'open' }
  const route = findExtra(extra, method, path)
  if (route === 'wrong-method') return known
  if (route) {
    const said = routes[`${route.route.method} ${route.route.path}`]
    return said && { right: said.right, namespace: () => said.where?.(request, route.params), verb: 'call', what: said.does }
  }
  const review = reviewRights[path]
  if (review !== undefined) return { ...known, right: review, what: path.slice(path.lastIndexOf('/') + 1) }
  if (isBelow(path, 'api', 'apis')) return neededForResource(request, catalog) ?? known
  if (isBelow(path, 'openapi', 'version', 'weft')) return known
  return reads(method) ? { ...known, right: 'open' } : known
}

const isBelow = (path: string, ...roots: readonly string[]): boolean => roots.includes(path.split('/')[1] ?? '')

/** undefined: it is about no resource, but about what resources there are, or about nothing. */
function neededForResource(request: HttpRequest, catalog: Catalog): Needed | undefined {
  let target
  try {
    target = targetOf(catalog, request.path)
  } catch {
    return undefined
  }
  const { served, namespace, name, subresource } = target
  const verb = verbOf(request, name !== undefined)
  if (verb === undefined) return undefined
  const isWrite = verbRights[verb] !== 'read'
  const right = rightOf(verb, served.kind.plural, subresource ?? '')!
  const what = `${verb} ${resourceOf(served.kind)}${subresource === undefined ? '' : `/${subresource}`}`
  // Who may read in a namespace may read the namespace itself.
  const own = !isWrite && served.kind === catalog.namespaceKind ? name : undefined
  return { right, namespace: () => placeFor(verb, served.kind.plural, namespace ?? own), verb, what, kind: served.kind, name }
}

/** Of a verb of the Kubernetes API for a kind, by its plural. undefined: there is no such verb. */
export function rightOf(verb: string, plural: string, subresource: string): Right | undefined {
  const right = verbRights[verb as Verb] as Right | undefined
  return right !== undefined && right !== 'read' && (subresource !== '' || administered.includes(plural)) ? 'administer' : right
}

function verbOf({ method, query }: HttpRequest, isOne: boolean): Verb | undefined {
  switch (method) {
    case 'GET':
    case 'HEAD':
      return flag(query, 'watch') ? 'watch' : isOne ? 'get' : 'list'
    case 'POST':
      return 'create'
    case 'PUT':
      return 'update'
    case 'PATCH':
      return 'patch'
    case 'DELETE':
      return isOne ? 'delete' : 'deletecollection'
    default:
      return undefined
  }
}

/** The whole table as it is told: each route with what it needs; `nobody` where nothing is said. */
export function tellRights({
  catalog,
  extra,
}: Places): readonly { readonly route: string; readonly right: string; readonly does: string }[] {
  const beside = extra.map(({ method, path }) => {
    const said = routes[`${method} ${path}`]
    return { route: `${method} ${path}`, right: said?.right ?? 'nobody', does: said?.does ?? '' }
  })
  const resources = catalog.groups.flatMap(({ group, versions }) =>
    versions.flatMap(({ version, served }) =>
      served.flatMap(({ kind }) => {
        const root = `${group === '' ? '/api' : `/apis/${group}`}/${version}${kind.namespaced ? '/namespaces/:namespace' : ''}/${kind.plural}`
        const write = administered.includes(kind.plural) ? 'administer' : 'edit'
        const one = (method: string, path: string, right: string) => ({ route: `${method} ${path}`, right, does: `${kind.kind}` })
        return [
          one('GET', root, 'read'),
          one('POST', root, write),
          one('DELETE', root, write),
          ...['GET', 'PUT', 'PATCH', 'DELETE'].map(method => one(method, `${root}/:name`, method === 'GET' ? 'read' : write)),
          ...(kind.hasStatus
            ? ['GET', 'PUT', 'PATCH'].map(method => one(method, `${root}/:name/status`, method === 'GET' ? 'read' : 'administer'))
            : []),
        ]
      }),
    ),
  )
  return [...beside, ...resources]
}
