/** What is served, told in the two ways that clients ask: one document for all (apidiscovery.k8s.io) or one for each group and version. */

import type { HttpReply, HttpRequest } from '#io/http-server'
import { groupVersion, type Catalog, type GroupVersions, type Served } from './catalog.ts'
import { rangesOf } from './negotiate.ts'
import { noSuchPath } from './refusal.ts'
import { reviewKinds } from './access.ts'

const verbs = ['create', 'delete', 'deletecollection', 'get', 'list', 'patch', 'update', 'watch']
const statusVerbs = ['get', 'patch', 'update']

/** A resource as discovery tells it: reviews are only created. */
type Told = {
  readonly plural: string
  readonly singular: string
  readonly kind: string
  readonly namespaced: boolean
  readonly shortNames: readonly string[]
  readonly categories: readonly string[]
  readonly verbs: readonly string[]
  readonly hasStatus: boolean
}
type ToldGroup = { readonly group: string; readonly versions: readonly { readonly version: string; readonly resources: readonly Told[] }[] }

/** Paths /api, /api/v1, /apis, /apis/GROUP, /apis/GROUP/VERSION; undefined when the path is none of them. */
export function discover(catalog: Catalog, request: HttpRequest): HttpReply | undefined {
  const [root, ...parts] = request.path.split('/').filter(part => part !== '')
  if (root !== 'api' && root !== 'apis') return undefined
  const groups = [...catalog.groups.map(toldGroup), ...reviewGroups].filter(({ group }) => (root === 'api') === (group === ''))
  if (parts.length === 0) return root === 'api' ? legacyRoot(groups, request) : groupsRoot(groups, request)
  const [name, version] = root === 'api' ? ['', parts[0]] : [parts[0]!, parts[1]]
  if (parts.length > (root === 'api' ? 1 : 2)) return undefined
  const group = groups.find(each => each.group === name)
  if (!group) throw noSuchPath()
  if (version === undefined) return json({ kind: 'APIGroup', apiVersion: 'v1', ...groupEntry(group) })
  const found = group.versions.find(each => each.version === version)
  if (!found) throw noSuchPath()
  return json({
    kind: 'APIResourceList',
    apiVersion: 'v1',
    groupVersion: groupVersion(name, version),
    resources: found.resources.flatMap(resourceEntries),
  })
}

const json = (value: unknown, type = 'application/json'): HttpReply => ({
  status: 200,
  headers: { 'content-type': type },
  body: JSON.stringify(value),
})

function legacyRoot(groups: readonly ToldGroup[], request: HttpRequest): HttpReply {
  const versions = groups.flatMap(({ versions }) => versions.map(({ version }) => version))
  return (
    aggregated(groups, request) ??
    json({
      kind: 'APIVersions',
      versions,
      serverAddressByClientCIDRs: [{ clientCIDR: '0.0.0.0/0', serverAddress: request.headers['host'] ?? '' }],
    })
  )
}

function groupsRoot(groups: readonly ToldGroup[], request: HttpRequest): HttpReply {
  return aggregated(groups, request) ?? json({ kind: 'APIGroupList', apiVersion: 'v1', groups: groups.map(groupEntry) })
}

function groupEntry({ group, versions }: ToldGroup): { name: string; versions: readonly object[]; preferredVersion: object | undefined } {
  const all = versions.map(({ version }) => ({ groupVersion: groupVersion(group, version), version }))
  return { name: group, versions: all, preferredVersion: all[0] }
}

function resourceEntries(told: Told): object[] {
  const { plural: name, singular: singularName, kind, namespaced, shortNames, categories, hasStatus } = told
  const lists = { ...(shortNames.length > 0 ? { shortNames } : {}), ...(categories.length > 0 ? { categories } : {}) }
  const whole = { name, singularName, namespaced, kind, verbs: told.verbs, ...lists }
  return hasStatus ? [whole, { name: `${name}/status`, singularName: '', namespaced, kind, verbs: statusVerbs }] : [whole]
}

/** KEP-3352. */
function aggregated(groups: readonly ToldGroup[], request: HttpRequest): HttpReply | undefined {
  const asked = rangesOf(request.headers['accept']).find(
    ({ params }) =>
      params['as'] === 'APIGroupDiscoveryList' &&
      params['g'] === 'apidiscovery.k8s.io' &&
      (params['v'] === 'v2' || params['v'] === 'v2beta1'),
  )
  const plain = rangesOf(request.headers['accept']).findIndex(
    ({ type, params }) => type === 'application/json' && params['as'] === undefined,
  )
  if (!asked || (plain >= 0 && plain < rangesOf(request.headers['accept']).indexOf(asked))) return undefined
  const v = asked.params['v']!
  const items = groups.map(({ group, versions }) => ({
    metadata: { name: group, creationTimestamp: null },
    versions: versions.map(({ version, resources }) => ({
      version,
      freshness: 'Current',
      resources: resources.map(told => aggregatedEntry(group, version, told)),
    })),
  }))
  return json(
    { kind: 'APIGroupDiscoveryList', apiVersion: `apidiscovery.k8s.io/${v}`, metadata: {}, items },
    `application/json;g=apidiscovery.k8s.io;v=${v};as=APIGroupDiscoveryList`,
  )
}

function aggregatedEntry(group: string, version: string, told: Told): object {
  const responseKind = { group, version, kind: told.kind }
  return {
    resource: told.plural,
    responseKind,
    scope: told.namespaced ? 'Namespaced' : 'Cluster',
    singularResource: told.singular,
    verbs: told.verbs,
    ...(told.shortNames.length > 0 ? { shortNames: told.shortNames } : {}),
    ...(told.categories.length > 0 ? { categories: told.categories } : {}),
    ...(told.hasStatus ? { subresources: [{ subresource: 'status', responseKind, verbs: statusVerbs }] } : {}),
  }
}

const toldGroup = ({ group, versions }: GroupVersions): ToldGroup => ({
  group,
  versions: versions.map(({ version, served }) => ({ version, resources: served.map(toldKind) })),
})
const toldKind = ({ kind: { plural, singular, kind, namespaced, shortNames, categories, hasStatus } }: Served): Told => ({
  plural,
  singular,
  kind,
  namespaced,
  shortNames,
  categories,
  verbs,
  hasStatus,
})

const reviewGroups: readonly ToldGroup[] = [...new Set(reviewKinds.map(({ group }) => group))].map(group => ({
  group,
  versions: [
    {
      version: 'v1',
      resources: reviewKinds
        .filter(each => each.group === group)
        .map(({ plural, kind }) => ({
          plural,
          singular: kind.toLowerCase(),
          kind,
          namespaced: false,
          shortNames: [],
          categories: [],
          verbs: ['create'],
          hasStatus: false,
        })),
    },
  ],
}))
