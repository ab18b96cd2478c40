/** What is reported of each resource, in the words of Gateway API, and how it is joined to the status that the resource has. */

import type { Condition, Resource } from '#resources/kind'
import type { ParentRef } from '#resources/gateway-api'

/** Who reports: `controllerName` of all entries that Weft writes, and of the GatewayClasses that it serves. */
export const controllerName = 'weft.dev/mesh'
export const gatewayControllerName = 'weft.dev/gateway'

/** A condition without its time: the time is the writer's, and only when the status changes. */
export type Stated = Omit<Condition, 'lastTransitionTime'>
export type ParentStatus = { readonly parentRef: ParentRef; readonly controllerName: string; readonly conditions: readonly Stated[] }
export type AncestorStatus = { readonly ancestorRef: ParentRef; readonly controllerName: string; readonly conditions: readonly Stated[] }

export type ListenerStatus = {
  readonly name: string
  readonly supportedKinds: readonly { readonly group: string; readonly kind: string }[]
  readonly attachedRoutes: number
  readonly conditions: readonly Stated[]
}

/** One of parents (routes), ancestors (policies) and conditions (all else) is there. namespace: absent for kinds that have none. */
export type ResourceStatus = {
  readonly apiVersion: string
  readonly kind: string
  readonly namespace?: string
  readonly name: string
  readonly parents?: readonly ParentStatus[]
  readonly ancestors?: readonly AncestorStatus[]
  readonly conditions?: readonly Stated[]
  /** Of a Gateway and a ListenerSet. */
  readonly listeners?: readonly ListenerStatus[]
  readonly addresses?: readonly { readonly type: string; readonly value: string }[]
  readonly attachedListenerSets?: number
  /** Further fields of the status, of kinds that nobody else writes. */
  readonly more?: Readonly<Record<string, unknown>>
}

export function statusFor(
  resource: Resource,
  said: Pick<ResourceStatus, 'parents' | 'ancestors' | 'conditions' | 'listeners' | 'addresses' | 'attachedListenerSets' | 'more'>,
): ResourceStatus {
  const { apiVersion, kind, metadata } = resource
  return { apiVersion, kind, ...(metadata.namespace === undefined ? {} : { namespace: metadata.namespace }), name: metadata.name, ...said }
}

/** status: undefined is Unknown. message: at most 32,768 characters (meta.k8s.io/v1 Condition). */
export function state(resource: Resource, type: string, status: boolean | undefined, reason: string, message: string): Stated {
  const { generation } = resource.metadata
  return {
    type,
    status: status === undefined ? 'Unknown' : status ? 'True' : 'False',
    reason,
    message: message.length > 32_768 ? `${message.slice(0, 32_767)}…` : message,
    ...(generation === undefined ? {} : { observedGeneration: generation }),
  }
}

/** Ours, and stated only while it holds. */
export const insecure = 'InsecureFrontendValidationMode'

const onlyWhileTrue: ReadonlySet<string> = new Set([insecure, 'PartiallyInvalid', 'Conflicted'])
const ownNames: ReadonlySet<string> = new Set([controllerName, gatewayControllerName])

type StatusShape = {
  readonly parents?: readonly Entry[]
  readonly ancestors?: readonly Entry[]
  readonly conditions?: readonly Condition[]
  readonly listeners?: readonly { readonly name: string; readonly conditions?: readonly Condition[] }[]
}
type Entry = {
  readonly controllerName: string
  readonly conditions?: readonly Condition[]
  readonly parentRef?: ParentRef
  readonly ancestorRef?: ParentRef
}

/**
 * The whole status to write: ours in place of what we wrote before, entries of other controllers kept, times kept where the condition's
 * status did not change. undefined: there is nothing to write. now: RFC 3339.
 */
export function joinStatus(resource: Resource, said: ResourceStatus, now: string): unknown {
  const before = (resource.status ?? {}) as StatusShape
  const next: Record<string, unknown> = { ...before }
  for (const list of ['parents', 'ancestors'] as const) {
    const own = said[list]
    if (own === undefined) continue
    const old = before[list] ?? []
    const refOf = (entry: Entry): string => referenceKey(entry.parentRef ?? entry.ancestorRef)
    const mine = (own as readonly (Omit<Entry, 'conditions'> & { readonly conditions: readonly Stated[] })[]).map(entry => {
      const same = old.find(
        each => each.controllerName === entry.controllerName && refOf(each) === referenceKey(entry.parentRef ?? entry.ancestorRef),
      )
      return { ...entry, conditions: timed(same?.conditions ?? [], entry.conditions, now) }
    })
    next[list] = [...old.filter(entry => !ownNames.has(entry.controllerName)), ...mine]
  }
  Object.assign(next, said.more)
  if (said.addresses !== undefined) next['addresses'] = said.addresses
  if (said.attachedListenerSets !== undefined) next['attachedListenerSets'] = said.attachedListenerSets
  if (said.listeners !== undefined)
    next['listeners'] = said.listeners.map(each => {
      const old = before.listeners?.find(({ name }) => name === each.name)
      return { ...each, conditions: timed(old?.conditions ?? [], each.conditions, now) }
    })
  if (said.conditions !== undefined) {
    const types = new Set(said.conditions.map(condition => condition.type))
    next['conditions'] = [
      ...(before.conditions ?? []).filter(condition => !types.has(condition.type) && !onlyWhileTrue.has(condition.type)),
      ...timed(before.conditions ?? [], said.conditions, now),
    ]
  }
  return JSON.stringify(sorted(next)) === JSON.stringify(sorted(before)) ? undefined : next
}

const timed = (before: readonly Condition[], now: readonly Stated[], time: string): readonly Condition[] =>
  now.map(condition => {
    const old = before.find(each => each.type === condition.type)
    return { ...condition, lastTransitionTime: old?.status === condition.status ? old.lastTransitionTime : time }
  })

const referenceKey = (ref: ParentRef | undefined): string =>
  ref === undefined ? '' : [ref.group, ref.kind, ref.namespace ?? '', ref.name, ref.sectionName ?? '', ref.port ?? ''].join(' ')

const sorted = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(sorted)
  if (value === null || typeof value !== 'object') return value
  return Object.fromEntries(
    Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, each]) => [key, sorted(each)]),
  )
}
