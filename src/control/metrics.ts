/** Takes what proxies count into the ten minutes of series that the dashboard shows. */

import type { Clock } from '#base/clock'
import { type Service, stream } from '#io/grpc'
import type { MetricSource } from '#model/metrics'
import type { Traffic } from '#observe/traffic'
import type { Platform } from '#platforms/platform'
import { proxyNodeOf } from '#xds/node'
import { streamMetrics } from '#xds/rpcs'
import { refusalOf, strangerRefusal } from './discovery/identity.ts'

/** For serveGrpc. idTemplate: of the ids of the mesh. told: after each push of a proxy, with its id. A proxy says who it is in its first message and must be who its certificate says. */
export function metricsService(
  traffic: Traffic,
  platform: Pick<Platform, 'identityOf'>,
  clock: Clock,
  idTemplate: string,
  told: (id: string) => void,
): Service {
  return stream(streamMetrics, (out, call) => {
    let source: MetricSource | undefined
    let id = ''
    return {
      message: ({ node: said, families }) => {
        if (said !== undefined) {
          const node = proxyNodeOf(said)
          const refused = refusalOf(node, call.peer, idTemplate)
          if (refused !== undefined) return out.end({ code: 7, details: refused })
          id = node.id
          source = {
            service: node.service,
            namespace: node.namespace,
            identity: call.peer!,
            workload: node.workload,
            version: node.labels['version'] ?? '',
          }
        }
        if (source === undefined) return out.end({ code: 9, details: 'the first message of a metrics stream must tell the node' })
        const stranger = strangerRefusal(id, call.peer, platform.identityOf(id))
        if (stranger !== undefined) {
          source = undefined
          return out.end({ code: 7, details: stranger })
        }
        traffic.ingest(id, source, families, clock.now())
        told(id)
      },
      end: () => {
        if (source !== undefined) traffic.leave(id, clock.now())
        out.end()
      },
    }
  })
}
