/** A Workload document ↔ the workload of the inventory. */

import type { Health, Locality } from '#model/backend'
import type { ProxyNode, Workload } from '#model/workload'
import type { WorkloadResource, WorkloadStatus } from '#resources/weft'
import { madeBy } from './services.ts'

export const workloadKind = { group: 'weft.dev', kind: 'Workload' } as const

export const idOf = (resource: WorkloadResource): string => `${resource.metadata.name}.${resource.metadata.namespace ?? ''}`

/** Whether a proxy's registration made it, rather than a person. */
export const isRegistered = (resource: WorkloadResource): boolean => resource.metadata.annotations?.[madeBy] === 'proxy'

export function resourceOf(node: ProxyNode, identity: string, old: WorkloadResource | undefined): WorkloadResource {
  return {
    apiVersion: 'weft.dev/v1alpha1',
    kind: 'Workload',
    metadata: {
      ...(old?.metadata ?? {}),
      name: node.workload,
      namespace: node.namespace,
      labels: { ...node.labels, app: node.service },
      annotations: { ...old?.metadata.annotations, [madeBy]: 'proxy' },
    },
    spec: {
      service: node.service,
      identity,
      ports: node.ports.map(({ name, port, protocol, bind }) => ({
        name,
        port,
        protocol,
        ...(bind === undefined ? {} : { bind: { ...bind } }),
      })),
      ...(node.gateway === undefined ? {} : { gateway: { ...node.gateway } }),
      // What somebody wrote stays where the proxy itself does not say.
      ...((node.weight ?? old?.spec?.weight) === undefined ? {} : { weight: node.weight ?? old!.spec!.weight! }),
      ...((node.locality ?? old?.spec?.locality) === undefined ? {} : { locality: { ...(node.locality ?? old!.spec!.locality!) } }),
    },
  }
}

export function statusOf(
  old: WorkloadStatus | undefined,
  health: Health,
  proxy: NonNullable<WorkloadStatus['proxy']>,
  now: number,
): WorkloadStatus {
  const status = health === 'healthy' ? 'True' : 'False'
  const before = old?.conditions?.find(condition => condition.type === 'Ready')
  const reason = { healthy: 'ProbePassed', degraded: 'ProxyDisconnected', unhealthy: 'ProbeFailed', draining: 'Draining' }[health]
  const time = new Date(now).toISOString().replace(/\.\d+Z$/, 'Z')
  return {
    health,
    conditions: [
      {
        type: 'Ready',
        status,
        reason,
        message: messages[health],
        lastTransitionTime: before?.status === status ? before.lastTransitionTime : time,
      },
      ...(old?.conditions ?? []).filter(({ type }) => type !== 'Ready'),
    ],
    ...(old?.meshAddress === undefined ? {} : { meshAddress: old.meshAddress }),
    proxy,
    ...(old?.certificate === undefined ? {} : { certificate: old.certificate }),
  }
}

/**
 * Whether it stays listed without its proxy: whoever looks for one that was revoked is told why it is gone, until its certificate ends. now: ms since the epoch.
 */
export const isShown = ({ status }: WorkloadResource, now: number): boolean =>
  status?.conditions?.some(({ type, status: holds }) => type === 'Revoked' && holds === 'True') === true &&
  Date.parse(status.certificate?.notAfter ?? '') > now

const messages: Readonly<Record<Health, string>> = {
  healthy: 'it answers its probe',
  degraded: 'its proxy is not connected or has not reported yet; it is used when nothing better is there',
  unhealthy: 'it does not answer its probe',
  draining: 'it is going away',
}

const bare = ({ region, zone, host }: NonNullable<NonNullable<WorkloadResource['spec']>['locality']>): Locality => ({
  region,
  zone,
  ...(host === undefined ? {} : { host }),
})

export function workloadOf(resource: WorkloadResource): Workload {
  const { metadata, spec, status } = resource
  return {
    name: metadata.name,
    namespace: metadata.namespace ?? '',
    service: spec?.service ?? '',
    labels: metadata.labels ?? {},
    identity: spec?.identity ?? '',
    ...(status?.meshAddress === undefined ? {} : { meshAddress: status.meshAddress }),
    ports: (spec?.ports ?? []).map(({ name, port, protocol, bind }) => ({
      name,
      port,
      protocol: protocol ?? 'detect',
      ...(bind === undefined ? {} : { bind }),
    })),
    ...(spec?.weight === undefined ? {} : { weight: spec.weight }),
    // One that a person wrote has nobody to report on it.
    health: status?.health ?? (isRegistered(resource) ? 'unhealthy' : 'healthy'),
    ...(spec?.locality === undefined ? {} : { locality: bare(spec.locality) }),
    ...(spec?.gateway === undefined ? {} : { gateway: spec.gateway }),
  }
}
