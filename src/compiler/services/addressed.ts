/** Workloads that are called themselves, at addresses of their own: each port as one of a Service that has this workload only, and that no route or policy of a Service is about. */

import type { Protocol } from '#model/listener'
import { portName } from '#model/port'
import type { Inventory, Workload, WorkloadPort } from '#model/workload'
import type { MeshResource } from '#resources/weft'
import { endpointsAt, portOf, type ServicePort, type Services, selects } from './services.ts'

/** In order of their keys, `NAMESPACE/@WORKLOAD:PORT`. Of all workloads where the Mesh wants it, else of those behind a headless Service. */
export function findAddressed(inventory: Inventory, services: Services, meshes: readonly MeshResource[]): readonly ServicePort[] {
  const isAll = meshes.find(each => each.metadata.name === 'default')?.spec?.workloadAddresses === 'All'
  if (!isAll && services.headless.length === 0) return []
  const headless = new Set(services.headless.flatMap(each => each.workloads))
  const byNamespace = Map.groupBy(services.ports, each => each.namespace)
  return inventory.workloads
    .filter(each => each.meshAddress !== undefined && (isAll || headless.has(each)))
    .flatMap(workload =>
      workload.ports.flatMap(port =>
        port.bind === undefined ? [] : [portAt(workload, port, workload.meshAddress!, byNamespace.get(workload.namespace) ?? [])],
      ),
    )
    .sort((one, other) => (one.key < other.key ? -1 : 1))
}

function portAt(workload: Workload, port: WorkloadPort, host: string, services: readonly ServicePort[]): ServicePort {
  const { namespace, name, service, identity } = workload
  return {
    key: `${namespace}/@${name}:${portName(port.port, port.protocol)}`,
    namespace,
    service,
    workload: name,
    port: port.port,
    host,
    protocol: spokenAt(workload, port, services),
    selector: {},
    target: port.port,
    endpoints: endpointsAt([workload], port.port, port.protocol === 'udp'),
    identities: [identity],
  }
}

/** As its own proxy takes it in: what the workload says, else what the Services say that select it, if they agree. */
function spokenAt(workload: Workload, port: WorkloadPort, services: readonly ServicePort[]): Protocol {
  if (port.protocol !== 'detect') return port.protocol
  const said = new Set(
    services
      .filter(each => each.protocol !== 'udp' && each.protocol !== 'detect' && selects(each.selector, workload))
      .filter(each => portOf(workload, each.target)?.port === port.port)
      .map(each => each.protocol),
  )
  return said.size === 1 ? [...said][0]! : 'detect'
}
