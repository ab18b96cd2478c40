/** Who runs, of documents alone: the Workloads among them, and for each Service without one a workload as its selector wants it. */

import { defaultIdTemplate, idBy } from '#base/id-template'
import type { Protocol } from '#model/listener'
import type { GatewayPlace, ProxyNode, Workload, WorkloadPort } from '#model/workload'
import type { Service } from '#resources/core'
import type { Resource } from '#resources/kind'
import type { WorkloadResource } from '#resources/weft'

/** All are taken to be well: it is asked what would be, not what is down at this moment. */
export function workloadsOf(resources: readonly Resource[]): readonly Workload[] {
  return resources.flatMap((resource): readonly Workload[] => {
    if (resource.kind !== 'Workload') return []
    const { metadata, spec } = resource as WorkloadResource
    return [
      {
        name: metadata.name,
        namespace: metadata.namespace ?? 'default',
        service: spec?.service ?? '',
        labels: metadata.labels ?? {},
        identity: spec?.identity ?? '',
        health: 'healthy',
        ports: (spec?.ports ?? []).map(({ name, port, protocol = 'detect', bind }) => ({
          name,
          port,
          protocol,
          ...(bind === undefined ? {} : { bind }),
        })),
        ...(spec?.weight === undefined ? {} : { weight: spec.weight }),
        ...(spec?.gateway === undefined ? {} : { gateway: spec.gateway }),
      },
    ]
  })
}

/** What a file says of a workload that will run. */
export type Planned = {
  readonly service: string
  readonly namespace?: string | undefined
  readonly serviceAccount?: string | undefined
  readonly labels?: Readonly<Record<string, string>> | undefined
  readonly ports?:
    | readonly { readonly port: number; readonly name?: string | undefined; readonly protocol?: Protocol | undefined }[]
    | undefined
}

/**
 * The same, and those that are planned, and those that Services and Gateways stand for; each with a proxy, for that is the mesh that is asked about.
 * namespace: of what names none.
 */
export function workloadsWithout(
  resources: readonly Resource[],
  planned: readonly Planned[],
  trustDomain: string,
  namespace: string,
  idTemplate: string = defaultIdTemplate,
): readonly Workload[] {
  const identityOf = (space: string, account: string): string =>
    idBy(idTemplate, trustDomain, { namespace: space, serviceAccount: account })
  const own = workloadsOf(resources)
  const said = planned.map((one): Workload => {
    const space = one.namespace ?? namespace
    return {
      name: `${one.service}-planned`,
      namespace: space,
      service: one.service,
      labels: one.labels ?? {},
      identity: identityOf(space, one.serviceAccount ?? one.service),
      health: 'healthy',
      ports: (one.ports ?? []).map(({ port, name = `port-${port}`, protocol = 'detect' }) => ({ name, port, protocol })),
    }
  })
  const known = [...own, ...said]
  const meant = resources.flatMap((resource): readonly Workload[] => {
    const { name, namespace: space = namespace } = resource.metadata
    if (resource.kind === 'Gateway') {
      if (known.some(each => each.namespace === space && each.gateway?.name === name)) return []
      const gateway: GatewayPlace = { name, address: '127.0.0.1' }
      const service = `${name}-weft`
      return [
        {
          name: service,
          namespace: space,
          service,
          labels: {},
          identity: identityOf(space, service),
          health: 'healthy',
          ports: [],
          gateway,
        },
      ]
    }
    if (resource.kind !== 'Service') return []
    const { selector = {}, ports = [] } = (resource as Service).spec ?? {}
    const isThere = known.some(
      each =>
        each.namespace === space &&
        Object.entries(selector).every(([key, value]) => (each.labels[key] ?? (key === 'app' ? each.service : undefined)) === value),
    )
    if (Object.keys(selector).length === 0 || isThere) return []
    const service = selector['app'] ?? name
    return [
      {
        name: `${name}-meant`,
        namespace: space,
        service,
        labels: selector,
        identity: identityOf(space, service),
        health: 'healthy',
        ports: ports.map(
          ({ port, name: portName = `port-${port}`, targetPort = port, protocol }): WorkloadPort => ({
            name: typeof targetPort === 'string' ? targetPort : portName,
            port: typeof targetPort === 'number' ? targetPort : port,
            protocol: protocol === 'UDP' ? 'udp' : 'detect',
          }),
        ),
      },
    ]
  })
  return [...known, ...meant].map((workload, at) => ({
    ...workload,
    ports: workload.ports.map((port, nth) => ({
      ...port,
      bind: port.bind ?? { host: `127.1.${(at >> 8) & 255}.${at & 255}`, port: 20_000 + nth },
    })),
  }))
}

export const nodeOf = (workload: Workload): ProxyNode => ({
  id: `${workload.name}.${workload.namespace}`,
  workload: workload.name,
  namespace: workload.namespace,
  service: workload.service,
  labels: workload.labels,
  ports: workload.ports,
  probe: { type: 'none' },
  version: '',
  ...(workload.locality === undefined ? {} : { locality: workload.locality }),
  ...(workload.gateway === undefined ? {} : { gateway: workload.gateway }),
})
