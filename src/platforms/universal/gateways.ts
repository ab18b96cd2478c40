/** What a Gateway wants to be written on the workloads that serve it: the labels and annotations of its `spec.infrastructure` (GEP-1867). */

import type { ProxyNode } from '#model/workload'
import type { Gateway } from '#resources/gateway-api'
import type { WorkloadResource } from '#resources/weft'

export const gatewayKind = { group: 'gateway.networking.k8s.io', kind: 'Gateway' } as const

/** Which of them a Gateway wrote, so that they go when it does not want them any more. */
const mark = 'weft.dev/from-gateway'
type Written = { readonly labels?: readonly string[]; readonly annotations?: readonly string[] }
type Texts = Readonly<Record<string, string>>

export const servesGateway = ({ metadata, spec }: WorkloadResource, gateway: Gateway): boolean =>
  spec?.gateway?.name === gateway.metadata.name && metadata.namespace === gateway.metadata.namespace

export const gatewayOf = ({ gateway, namespace }: ProxyNode): { readonly namespace: string; readonly name: string } | undefined =>
  gateway === undefined ? undefined : { namespace, name: gateway.name }

/** gateway: undefined where it is gone. What the workload says itself is never replaced. */
export function markedBy(resource: WorkloadResource, gateway: Gateway | undefined): WorkloadResource {
  const { metadata } = resource
  const before = JSON.parse(metadata.annotations?.[mark] ?? '{}') as Written
  const own = {
    labels: without(metadata.labels, before.labels),
    annotations: without(metadata.annotations, [...(before.annotations ?? []), mark]),
  }
  const { labels = {}, annotations = {} } = gateway?.spec?.infrastructure ?? {}
  const added = { labels: newIn(labels, own.labels), annotations: newIn(annotations, own.annotations) }
  const says = added.labels.length + added.annotations.length === 0 ? {} : { [mark]: JSON.stringify(added) }
  return {
    ...resource,
    metadata: { ...metadata, labels: { ...labels, ...own.labels }, annotations: { ...annotations, ...own.annotations, ...says } },
  }
}

/** In whatever order. */
export const sameTexts = ({ metadata: one }: WorkloadResource, { metadata: other }: WorkloadResource): boolean =>
  ordered(one.labels) === ordered(other.labels) && ordered(one.annotations) === ordered(other.annotations)

const ordered = (texts: Texts = {}): string => JSON.stringify(Object.entries(texts).sort(([a], [b]) => (a < b ? -1 : 1)))
const without = (texts: Texts = {}, names: readonly string[] = []): Texts =>
  Object.fromEntries(Object.entries(texts).filter(([name]) => !names.includes(name)))
const newIn = (texts: Texts, own: Texts): readonly string[] => Object.keys(texts).filter(name => !(name in own))
