/** A stream of changes of a collection: one JSON line each. kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes */

import type { HttpReply, Outlet } from '#io/http-server'
import type { Resource } from '#resources/kind'
import { StoreError, type Change } from '../store.ts'
import { flag, selectionOf, shownTo, wholeNumber, type Call } from './call.ts'
import { groupVersion } from './catalog.ts'
import { shapeOf } from './negotiate.ts'
import { badRequest, Refusal, refusalOf } from './refusal.ts'
import { partial, tableOf } from './table.ts'

const bookmarkEveryMs = 60_000
/** Half an hour to an hour, as the Kubernetes API, so that clients of one server do not all come back at once. */
const defaultTimeoutMs = (): number => (1 + Math.random()) * 1_800_000

export function watch(call: Call): HttpReply {
  const { request } = call
  const { query } = request
  const from = wholeNumber(query, 'resourceVersion') ?? 0
  const sendsInitial = flag(query, 'sendInitialEvents')
  if (sendsInitial && query.get('resourceVersionMatch') !== 'NotOlderThan')
    throw badRequest('sendInitialEvents: needs resourceVersionMatch=NotOlderThan')
  if (!sendsInitial && query.has('resourceVersionMatch'))
    throw badRequest('resourceVersionMatch: is forbidden for watch unless sendInitialEvents is given')
  // Selectors are read before the head is sent, so that a wrong one is a plain 400.
  call.context.store.list({ ...selectionOf(call), limit: 1 })
  const shape = shapeOf(request.headers['accept'])
  const timeoutMs = (wholeNumber(query, 'timeoutSeconds') ?? 0) * 1000 || defaultTimeoutMs()
  return {
    status: 200,
    headers: {
      'content-type': shape.as === 'Table' ? `application/json;as=Table;v=${shape.version};g=meta.k8s.io` : 'application/json',
      'cache-control': 'no-cache, private',
    },
    stream: outlet => follow(call, { from, sendsInitial, timeoutMs }, outlet),
  }
}

type Course = { readonly from: number; readonly sendsInitial: boolean; readonly timeoutMs: number }

function follow(call: Call, { from, sendsInitial, timeoutMs }: Course, outlet: Outlet): void {
  const { context, request } = call
  const { store } = context
  const selection = selectionOf(call)
  const say = (type: string, object: object): boolean => outlet.write(`${JSON.stringify({ type, object })}\n`)
  const tell = ({ type, resource }: Change): void => void (say(type, shown(call, resource)) || stop())
  const endings: (() => void)[] = []
  const stop = (): void => endings.splice(0).forEach(end => end())
  endings.push(outlet.end)
  request.signal.addEventListener('abort', stop, { once: true })

  let start = from
  // Version 0 means: from what there is, told as additions first.
  if (from === 0 || sendsInitial) {
    const now = store.list(selection)
    start = now.revision
    for (const resource of now.items) say('ADDED', shown(call, resource))
    if (sendsInitial && flag(request.query, 'allowWatchBookmarks'))
      say('BOOKMARK', bookmark(call, start, { 'k8s.io/initial-events-end': 'true' }))
  }
  try {
    endings.push(store.watch(start, selection, tell))
  } catch (thrown) {
    if (!(thrown instanceof StoreError)) throw thrown
    // Clients look for a too old version in the stream, where the Kubernetes API says it.
    say('ERROR', (refusalOf(thrown, call.target.served.kind) ?? new Refusal(500, 'InternalError', thrown.message)).status)
    return stop()
  }
  const ending = setTimeout(stop, timeoutMs)
  endings.push(() => clearTimeout(ending))
  if (!flag(request.query, 'allowWatchBookmarks')) return
  const marking = setInterval(() => say('BOOKMARK', bookmark(call, store.revision)), bookmarkEveryMs)
  endings.push(() => clearInterval(marking))
}

function shown(call: Call, resource: Resource): object {
  const { target, request, context } = call
  const shape = shapeOf(request.headers['accept'])
  const versioned = shownTo(call, resource)
  if (shape.as === 'object') return versioned
  if (shape.as !== 'Table') return partial(versioned, `meta.k8s.io/${shape.version}`)
  const metadata = { resourceVersion: resource.metadata.resourceVersion }
  return tableOf(target.served.kind, [versioned], metadata, {
    version: shape.version,
    includeObject: request.query.get('includeObject') ?? 'Metadata',
    now: context.now(),
  })
}

/** Says how far the watcher has come, although nothing of it changed. */
function bookmark({ target, request, context }: Call, revision: number, annotations?: Readonly<Record<string, string>>): object {
  const { kind, version } = target.served
  const metadata = { resourceVersion: String(revision), creationTimestamp: null, ...(annotations ? { annotations } : {}) }
  const shape = shapeOf(request.headers['accept'])
  if (shape.as === 'Table') return tableOf(kind, [], metadata, { version: shape.version, includeObject: 'None', now: context.now() })
  if (shape.as !== 'object') return { kind: 'PartialObjectMetadata', apiVersion: `meta.k8s.io/${shape.version}`, metadata }
  return { kind: kind.kind, apiVersion: groupVersion(kind.group, version), metadata }
}
