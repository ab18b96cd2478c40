/** Health discovery: tells each proxy how to probe its own workload, and the platform what the probes say. */

import { defaultIdTemplate } from '#base/id-template'
import type { Log } from '#base/log'
import { BadInput } from '#base/note'
import { type Call, type GrpcStream, rpcCodes, type Service, stream, type StreamEvents } from '#io/grpc'
import type { ProxyNode } from '#model/workload'
import type { Platform } from '#platforms/platform'
import { proxyNodeOf } from '#xds/node'
import { type HealthOrders, type HealthReport, type Probe, type ProbeResult, streamHealthCheck } from '#xds/rpcs'
import { refusalOf, strangerRefusal, unboundRefusal } from './discovery/identity.ts'

export type HealthOptions = {
  readonly platform: Platform
  readonly log: Log
  /** Of the ids of the mesh, where it is not the default. */
  readonly idTemplate?: string
  /** The labels that the holder of a certificate must have; absent: any. */
  readonly boundTo?: (serial: string) => string | undefined
}

/** Until the first success a start is awaited, so the probe is quick; after that it only guards. */
const eagerMs = 200
const guardMs = 1000

/** For serveGrpc. */
export function healthService(options: HealthOptions): Service {
  return stream(streamHealthCheck, (out, call) => watchHealth(out, call, options))
}

function watchHealth(
  out: GrpcStream<HealthOrders>,
  call: Call,
  { platform, log, idTemplate = defaultIdTemplate, boundTo }: HealthOptions,
): StreamEvents<HealthReport> {
  let node: ProxyNode | undefined
  let health: 'healthy' | 'unhealthy' | undefined
  const refuse = (code: number, details: string): void => {
    log.warn('a health stream is refused', { peer: call.peer, from: call.address, reason: details })
    out.end({ code, details })
  }
  return {
    message: report => {
      if (report.type === 'hello') {
        try {
          node = proxyNodeOf(report.node)
        } catch (thrown) {
          if (thrown instanceof BadInput) return refuse(rpcCodes.invalidArgument, thrown.message)
          throw thrown
        }
        const bound = call.certificate && boundTo?.(call.certificate.serial)
        const reason = refusalOf(node, call.peer, idTemplate) ?? unboundRefusal(node, bound)
        if (reason !== undefined) return refuse(rpcCodes.permissionDenied, reason)
        return void out.send(ordersFor(node, true))
      }
      if (node === undefined) return refuse(rpcCodes.failedPrecondition, 'the first message of a health stream must tell the node')
      const found = judge(report.results)
      if (found === undefined) return
      const stranger = strangerRefusal(node.id, call.peer, platform.identityOf(node.id))
      if (stranger !== undefined) return refuse(rpcCodes.permissionDenied, stranger)
      platform.report(node.id, found) // said again each time: the proxy may have registered only now
      if (found !== health) out.send(ordersFor(node, found !== 'healthy'))
      health = found
    },
    end: () => {}, // whether the proxy is there is what its ADS stream tells
  }
}

/** tcp: every declared port must accept, but those of datagrams, which cannot be asked: where there are no others it is ready once started. */
function ordersFor({ probe, ports }: ProxyNode, isEager: boolean): HealthOrders {
  const { intervalMs: often = guardMs, timeoutMs = 1000, failures = 1 } = probe.often ?? {}
  const intervalMs = isEager ? Math.min(eagerMs, often) : often
  const shape = { host: '127.0.0.1', timeoutMs, intervalMs, failures } as const
  const reportMs = Math.min(intervalMs, guardMs)
  const at = (port: number, check: Probe['check']): Probe => ({ ...shape, name: `probe/${port}`, port, check })
  switch (probe.type) {
    case 'http':
      return { reportMs, probes: [at(probe.port, { type: 'http', path: probe.path })] }
    case 'grpc':
      return { reportMs, probes: [at(probe.port, { type: 'grpc', service: probe.service })] }
    case 'command':
      return { reportMs, probes: [at(commandPort, { type: 'command' })] }
    case 'tcp':
      return { reportMs, probes: ports.filter(({ protocol }) => protocol !== 'udp').map(({ port }) => at(port, { type: 'tcp' })) }
    case 'none':
      return { reportMs, probes: [] }
  }
}

/** A command is asked at no port; the protocol wants one. */
const commandPort = 1

/** Undefined: nothing is known yet. */
function judge(results: readonly ProbeResult[]): 'healthy' | 'unhealthy' | undefined {
  if (results.length === 0 || results.some(({ status }) => status === 'unknown')) return undefined
  return results.every(({ status }) => status === 'healthy') ? 'healthy' : 'unhealthy'
}
