/** Filters of a rule or a backendRef as the proxy applies them; those that are not carried out yet are named, never left out in silence. */

import type { Filter, HeaderChange, NameValue, PathChange, Redirect } from '#model/filter'
import type { Action, Cors } from '#model/route'
import type { HTTPFilter, PathModifier } from '#resources/gateway-api'
import { lowerCors } from './cors.ts'
import type { RefReason } from './resolve.ts'
import type { Extensions } from './extras.ts'

/** path: of the field, from the resource's top. */
export type Unsupported = { readonly path: string; readonly says: string }
export type Lowered = {
  readonly filters: readonly Filter[]
  readonly redirect?: Redirect
  readonly cors?: Cors
  /** A service that is asked, with the path of the filter. */
  readonly externalAuth?: { readonly filter: NonNullable<HTTPFilter['externalAuth']>; readonly path: string }
  /** In place of any backend. */
  readonly respond?: Action & { readonly type: 'respond' }
  readonly unsupported: readonly Unsupported[]
  /** Filters of others that are not there. */
  readonly refs: readonly (Unsupported & { readonly backend: undefined; readonly reason: RefReason })[]
}

const fieldOf: Partial<Record<HTTPFilter['type'], string>> = {
  CORS: 'cors',
  RequestMirror: 'requestMirror',
  ExternalAuth: 'externalAuth',
}

/** at: path of the list. onBackend: a redirect makes no sense there. RequestMirror of rules is lowered by `lowerMirrors`. */
export function lowerFilters(list: readonly HTTPFilter[], at: string, extensions: Extensions, onBackend = false): Lowered {
  const found: Filter[] = []
  const unsupported: Unsupported[] = []
  const refs: Lowered['refs'][number][] = []
  let redirect: Redirect | undefined
  let cors: Cors | undefined
  let externalAuth: Lowered['externalAuth']
  let respond: Lowered['respond']
  let headers: readonly NameValue[] = []
  for (const [index, filter] of list.entries()) {
    const path = `${at}[${index}]`
    if (filter.requestHeaderModifier) {
      const { change, host } = hostApart(headerChange(filter.requestHeaderModifier))
      found.push({ type: 'request-headers', change })
      if (host !== undefined) found.push({ type: 'rewrite', host })
      unsupported.push(...unchangeable(change, `${path}.requestHeaderModifier`))
    } else if (filter.responseHeaderModifier) {
      const change = headerChange(filter.responseHeaderModifier)
      found.push({ type: 'response-headers', change })
      unsupported.push(...unchangeable(change, `${path}.responseHeaderModifier`))
    } else if (filter.urlRewrite) found.push({ type: 'rewrite', ...withHost(filter.urlRewrite) })
    else if (filter.requestRedirect && !onBackend) redirect = lowerRedirect(filter.requestRedirect)
    else if (filter.cors && !onBackend) cors = lowerCors(filter.cors)
    else if (filter.externalAuth && !onBackend && externalAuth === undefined)
      externalAuth = { filter: filter.externalAuth, path: `${path}.externalAuth` }
    else if (filter.externalAuth && !onBackend)
      unsupported.push({ path: `${path}.externalAuth`, says: 'a filter before it asks a service already: remove one' })
    else if (filter.requestMirror && !onBackend) continue
    else if (filter.extensionRef) {
      const place = `${path}.extensionRef`
      const extension = extensions(filter.extensionRef)
      if ('reason' in extension) {
        refs.push({ path: place, backend: undefined, ...extension })
        continue
      }
      unsupported.push(...extension.invalid.map(says => ({ path: place, says })))
      if (extension.respond !== undefined && onBackend)
        unsupported.push({ path: place, says: 'directResponse answers in place of the backend: use it on the rule' })
      else if (extension.respond !== undefined && respond !== undefined)
        unsupported.push({ path: place, says: 'a filter before it answers already: remove one' })
      else if (extension.respond !== undefined) {
        respond = extension.respond
        headers = extension.headers
      }
      found.push(...extension.filters)
    } else
      unsupported.push({
        path: `${path}.${fieldOf[filter.type] ?? 'requestRedirect'}`,
        says: `${filter.type} is not carried out yet${onBackend ? ' on a backendRef' : ''}`,
      })
  }
  const copied = list.findIndex(filter => filter.requestMirror)
  if (redirect !== undefined && copied >= 0)
    unsupported.push({
      path: `${at}[${copied}].requestMirror`,
      says: 'does not go with RequestRedirect, which sends the request nowhere: remove one',
    })
  if (redirect !== undefined && respond !== undefined)
    unsupported.push({ path: at, says: 'RequestRedirect and directResponse both answer the request: remove one' })
  if (respond !== undefined && copied >= 0)
    unsupported.push({
      path: `${at}[${copied}].requestMirror`,
      says: 'does not go with directResponse, which sends the request nowhere: remove one',
    })
  const paths = found.filter(filter => filter.type === 'rewrite' && filter.path !== undefined)
  const last = list.findLastIndex(filter => filter.extensionRef)
  if (paths.length > 1)
    unsupported.push({ path: `${at}[${last}].extensionRef`, says: 'the path is rewritten by another filter too: remove one' })
  const hosts = found.filter(filter => filter.type === 'rewrite' && filter.host !== undefined)
  if (hosts.some(filter => filter.type === 'rewrite' && typeof filter.host === 'object') && hosts.length > 1)
    unsupported.push({ path: `${at}[${last}].extensionRef`, says: 'the host is set by another filter too: remove one' })
  else if (hosts.length > 1) {
    const index = list.findIndex(filter => filter.requestHeaderModifier)
    unsupported.push({ path: `${at}[${index}].requestHeaderModifier.set`, says: 'host is set here and by urlRewrite.hostname: remove one' })
  }
  return {
    filters: inOrder(joined(withHeaders(found, headers).filter(says))),
    ...(redirect === undefined ? {} : { redirect }),
    ...(cors === undefined ? {} : { cors }),
    ...(externalAuth === undefined ? {} : { externalAuth }),
    ...(respond === undefined ? {} : { respond }),
    unsupported,
    refs,
  }
}

/** The fields that a proxy writes itself, for one connection (RFC 9110 §7.6.1) or for the framing of one message; Envoy takes no change of Host here. */
const ownFields = new Set(['host', 'connection', 'proxy-connection', 'keep-alive', 'transfer-encoding', 'upgrade', 'content-length'])

/** To set Host is to rewrite it, as urlRewrite.hostname does (Envoy has no other way); in all else it cannot be changed. */
function hostApart(change: HeaderChange): { readonly change: HeaderChange; readonly host: string | undefined } {
  const host = change.set.find(field => field.name === 'host')?.value
  return { change: host === undefined ? change : { ...change, set: change.set.filter(field => field.name !== 'host') }, host }
}

function unchangeable(change: HeaderChange, at: string): readonly Unsupported[] {
  const names = { set: change.set.map(field => field.name), add: change.add.map(field => field.name), remove: change.remove }
  return Object.entries(names).flatMap(([list, each]) =>
    each
      .filter(name => ownFields.has(name) || !/^[a-z0-9!#$%&'*+\-.^_`|~]+$/.test(name))
      .map(name => ({ path: `${at}.${list}`, says: `"${name}" cannot be changed by a filter` })),
  )
}

/** What an answer of the route itself says of its headers, beside what a filter makes of them. */
function withHeaders(filters: readonly Filter[], headers: readonly NameValue[]): readonly Filter[] {
  if (headers.length === 0) return filters
  const change = filters.find(filter => filter.type === 'response-headers')?.change ?? { set: [], add: [], remove: [] }
  const changed = new Set([...change.set.map(({ name }) => name), ...change.remove])
  const set = [...headers.filter(({ name }) => !changed.has(name)), ...change.set]
  return [...filters.filter(filter => filter.type !== 'response-headers'), { type: 'response-headers', change: { ...change, set } }]
}

/** A host from one filter and a path from another are one rewrite. */
function joined(filters: readonly Filter[]): readonly Filter[] {
  const rewrites = filters.filter(filter => filter.type === 'rewrite')
  if (rewrites.length < 2) return filters
  return [...filters.filter(filter => filter.type !== 'rewrite'), Object.assign({}, ...rewrites) as Filter]
}

/** In one order, whatever the document's: each kind is there once at most, and none sees what another does. */
const inOrder = (filters: readonly Filter[]): readonly Filter[] => filters.toSorted((one, other) => (one.type < other.type ? -1 : 1))
/** A filter that changes nothing is none. */
const says = (filter: Filter): boolean =>
  filter.type === 'rewrite'
    ? filter.host !== undefined || filter.path !== undefined
    : filter.change.set.length + filter.change.add.length + filter.change.remove.length > 0

/** Names in lower case; of several entries with one name the first counts (Gateway API HTTPHeader). */
function headerChange(modifier: NonNullable<HTTPFilter['requestHeaderModifier']>): HeaderChange {
  const fields = (list: readonly { readonly name: string; readonly value: string }[] = []) => {
    const lower = list.map(({ name, value }) => ({ name: name.toLowerCase(), value }))
    return lower.filter(({ name }, index) => lower.findIndex(other => other.name === name) === index)
  }
  return { set: fields(modifier.set), add: fields(modifier.add), remove: (modifier.remove ?? []).map(name => name.toLowerCase()) }
}

const lowerPath = (path: PathModifier): PathChange =>
  path.type === 'ReplaceFullPath'
    ? { type: 'full', value: path.replaceFullPath ?? '/' }
    : { type: 'prefix', value: path.replacePrefixMatch ?? '/' }

const withHost = ({ hostname, path }: { readonly hostname?: string | undefined; readonly path?: PathModifier | undefined }) => ({
  ...(hostname === undefined ? {} : { host: hostname }),
  ...(path === undefined ? {} : { path: lowerPath(path) }),
})

const lowerRedirect = (from: NonNullable<HTTPFilter['requestRedirect']>): Redirect => ({
  ...(from.scheme === undefined ? {} : { scheme: from.scheme }),
  ...withHost(from),
  ...(from.port === undefined ? {} : { port: from.port }),
  status: from.statusCode,
})
