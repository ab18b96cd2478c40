/** Who counts for all proxies: the control plane, a Service of the mesh, or an address outside it. */

import type { Backend, EndpointSet } from '#model/backend'
import type { Mesh } from '#model/mesh'
import { controlBackend, type LimitService } from '#model/rate-limit'
import { durationMs } from '#resources/duration'
import type { MeshResource } from '#resources/weft'
import type { Services } from '../services/services.ts'

/** why: what is wrong with what was named, so that nothing can be asked. isOwn: it is the one in the control plane. */
export type FoundLimitService = {
  readonly service: LimitService
  readonly isOwn: boolean
  readonly why?: string
  /** Of an address outside the mesh. */
  readonly outside: Pick<Mesh, 'backends' | 'endpoints'>
}

const outsideName = 'weft-rate-limits'

export function findLimitService(meshes: readonly MeshResource[], services: Services): FoundLimitService {
  const said = meshes.find(each => each.metadata.name === 'default')?.spec?.rateLimits
  const told = { domain: said?.domain ?? 'weft', timeoutMs: durationMs(said?.timeout ?? '200ms') }
  const none = { backends: {}, endpoints: {} }
  if (said?.service !== undefined) {
    const { namespace, name, port } = said.service
    const found = services.by.get(`${namespace}/${name}`)?.find(each => each.port === port && each.protocol !== 'udp')
    const service = { backend: found?.key ?? `${namespace}/${name}:${port}`, ...told }
    const where = 'Mesh default: spec.rateLimits.service'
    if (found === undefined)
      return { service, isOwn: false, why: `${where}: Service ${namespace}/${name} has no port ${port}`, outside: none }
    if (found.protocol === 'grpc' || found.protocol === 'http2') return { service, isOwn: false, outside: none }
    const why = `${where}: port ${port} of Service ${namespace}/${name} speaks ${found.protocol}: its appProtocol must be grpc`
    return { service, isOwn: false, why, outside: none }
  }
  if (said?.address === undefined) return { service: { backend: controlBackend, ...told }, isOwn: true, outside: none }
  const colon = said.address.lastIndexOf(':')
  const host = said.address.slice(0, colon).replace(/^\[|\]$/g, '')
  const port = Number(said.address.slice(colon + 1))
  const backend: Backend = {
    name: outsideName,
    service: `${outsideName}.weft-system`,
    type: 'endpoints',
    port,
    protocol: 'http2',
    balance: 'round-robin',
    connectTimeoutMs: 1000,
    identities: [],
  }
  const endpoints: EndpointSet = {
    backend: outsideName,
    endpoints: [{ host, port, weight: 1, health: 'healthy', mtls: false, workload: '' }],
  }
  const outside = { backends: { [outsideName]: backend }, endpoints: { [outsideName]: endpoints } }
  return { service: { backend: outsideName, ...told }, isOwn: false, outside }
}
