/** /weft/v1/audit: who changed what, with the difference. Secrets are told of, not told. */

import type { AuditEntry, AuditPage, FieldChange } from '#api/mesh-api'
import type { Resource } from '#resources/kind'
import { type ExtraRoute, json, Refusal } from './api.ts'
import type { Deed, Store } from './store.ts'

const most = 1000

export function auditRoutes(store: Store): ExtraRoute[] {
  return [
    {
      method: 'GET',
      path: '/weft/v1/audit',
      handle: ({ query }) => {
        const limit = whole(query, 'limit') ?? 100
        if (limit < 1 || limit > most) throw new Refusal(400, 'BadRequest', `?limit=${limit} must be from 1 to ${most}`)
        const since = query.get('since')
        const at = since === null ? undefined : Date.parse(since)
        if (Number.isNaN(at)) throw new Refusal(400, 'BadRequest', `?since=${since} must be a time such as 2026-01-31T12:00:00Z`)
        const text = (name: string): string | undefined => query.get(name) ?? undefined
        const found = store.deeds({
          since: at,
          before: whole(query, 'before'),
          kind: text('kind'),
          namespace: text('namespace'),
          name: text('name'),
          who: text('who'),
          limit,
        })
        const page: AuditPage = { items: found.map(entryOf), ...(found.length === limit ? { before: found.at(-1)!.id } : {}) }
        return json(200, page)
      },
    },
  ]
}

function entryOf({ id, at, revision, who, how, address, agent, action, about, before, after }: Deed): AuditEntry {
  const { kind, namespace, name } = about
  return {
    id,
    at: new Date(at).toISOString(),
    revision,
    who,
    ...(how === '' ? {} : { how }),
    address,
    agent,
    action,
    kind,
    ...(namespace === '' ? {} : { namespace }),
    name,
    changes: changesBetween(before, after),
  }
}

/** What the system itself writes at each change says nothing. */
const ofSystem = ['managedFields', 'resourceVersion', 'generation', 'uid', 'creationTimestamp']

export function changesBetween(before: Resource | undefined, after: Resource | undefined): readonly FieldChange[] {
  const found: FieldChange[] = []
  const hides = (after ?? before)?.kind === 'Secret'
  const plain = (resource: Resource | undefined): unknown =>
    resource && {
      ...resource,
      metadata: Object.fromEntries(Object.entries(resource.metadata).filter(([name]) => !ofSystem.includes(name))),
    }
  const compare = (was: unknown, is: unknown, path: string): void => {
    if (JSON.stringify(was) === JSON.stringify(is)) return
    if (isMapping(was) && isMapping(is)) {
      for (const key of new Set([...Object.keys(was), ...Object.keys(is)])) compare(was[key], is[key], path === '' ? key : `${path}.${key}`)
      return
    }
    found.push({
      path,
      ...(was === undefined ? {} : { before: hides ? untold(was, path) : was }),
      ...(is === undefined ? {} : { after: hides ? untold(is, path) : is }),
    })
  }
  // Of what is new or gone, its parts one by one: else a Secret would be told whole.
  compare(plain(before) ?? {}, plain(after) ?? {}, '')
  return found
}

/** What stands there in a Secret, without its values; annotations too: in them kubectl keeps the whole document once more. */
function untold(value: unknown, path: string): unknown {
  if (/^(data|stringData|metadata\.annotations)(\.|$)/.test(path)) return '(hidden)'
  // Of what is new or gone, metadata is told as one.
  if (path === 'metadata' && isMapping(value) && value['annotations'] !== undefined) return { ...value, annotations: '(hidden)' }
  return value
}

const isMapping = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null && !Array.isArray(value)

function whole(query: URLSearchParams, name: string): number | undefined {
  const text = query.get(name)
  if (text === null) return undefined
  if (!/^\d{1,15}$/.test(text)) throw new Refusal(400, 'BadRequest', `?${name}=${text} must be a whole number`)
  return Number(text)
}
