/** What a proxy says of itself, as the Node of its xDS streams: a ProxyNode under the metadata key WEFT, checked when it comes from others. */

import { create, type JsonObject, type JsonValue } from '@bufbuild/protobuf'
import { BadInput, type Problem } from '#base/note'
import type { Protocol } from '#model/listener'
import type { ProbeTimes, ProxyNode, ReadinessProbe, WorkloadPort } from '#model/workload'
import { type Node, NodeSchema } from './gen/envoy/config/core/v3/base_pb.ts'

export type { Node }

const key = 'WEFT'

export function nodeOf(proxy: ProxyNode): Node {
  const { id, version, locality, isEnvoy: _, ...rest } = proxy
  return create(NodeSchema, {
    id,
    cluster: `${proxy.service}.${proxy.namespace}`,
    ...(locality === undefined ? {} : { locality: { region: locality.region, zone: locality.zone, subZone: locality.host ?? '' } }),
    userAgentName: 'weft',
    userAgentVersionType: { case: 'userAgentVersion', value: version },
    metadata: { [key]: JSON.parse(JSON.stringify(rest)) as JsonObject }, // without undefined
  })
}

const protocols: ReadonlySet<string> = new Set(['http', 'http2', 'grpc', 'tcp', 'tls', 'udp', 'detect'] satisfies Protocol[])
const probeTypes: ReadonlySet<string> = new Set(['tcp', 'http', 'grpc', 'command', 'none'] satisfies ReadinessProbe['type'][])
const label = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/
const labelRule = 'must be of lower case letters, digits and dashes, at most 63'

/** Throws BadInput with every problem. */
export function proxyNodeOf(node: Node): ProxyNode {
  const problems: Problem[] = []
  const bad = (path: string, says: string): void => void problems.push({ about: `node "${node.id}"`, path, says })
  const said = node.metadata?.[key]
  if (!isObject(said))
    throw new BadInput([
      { about: `node "${node.id}"`, path: `metadata.${key}`, says: 'is missing: give the description of the workload there' },
    ])
  const text = (from: JsonObject, name: string, path: string, rule?: RegExp): string => {
    const value = from[name]
    if (typeof value !== 'string') bad(path, 'must be text')
    else if (rule && !rule.test(value)) bad(path, `"${value}" ${labelRule}`)
    return typeof value === 'string' ? value : ''
  }
  const number = (value: JsonValue | undefined, path: string): number => {
    if (typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= 65535) return value
    bad(path, 'must be a port, 1 to 65535')
    return 0
  }
  const workload = text(said, 'workload', 'workload', label)
  const namespace = text(said, 'namespace', 'namespace', label)
  const service = text(said, 'service', 'service', label)
  if (node.id !== `${workload}.${namespace}`) bad('id', `must be "${workload}.${namespace}"`)
  const ports = (Array.isArray(said['ports']) ? said['ports'] : (bad('ports', 'must be a list'), [])).map((entry, at): WorkloadPort => {
    const path = `ports[${at}]`
    if (!isObject(entry)) return (bad(path, 'must be an object'), { name: '', port: 0, protocol: 'detect' })
    const protocol = text(entry, 'protocol', `${path}.protocol`)
    if (!protocols.has(protocol)) bad(`${path}.protocol`, `"${protocol}" is none of ${[...protocols].join(', ')}`)
    const { bind } = entry
    if (bind !== undefined && !isObject(bind)) bad(`${path}.bind`, 'must be an object')
    return {
      name: text(entry, 'name', `${path}.name`, label),
      port: number(entry['port'], `${path}.port`),
      protocol: protocol as Protocol,
      ...(isObject(bind)
        ? { bind: { host: text(bind, 'host', `${path}.bind.host`), port: number(bind['port'], `${path}.bind.port`) } }
        : {}),
    }
  })
  const labels: Record<string, string> = {}
  if (!isObject(said['labels'])) bad('labels', 'must be an object')
  else
    for (const [name, value] of Object.entries(said['labels']))
      if (typeof value === 'string') labels[name] = value
      else bad(`labels.${name}`, 'must be text')
  const probe = isObject(said['probe']) ? said['probe'] : {}
  const type = probe['type']
  if (typeof type !== 'string' || !probeTypes.has(type)) bad('probe.type', `must be one of ${[...probeTypes].join(', ')}`)
  const probed = (kind: JsonValue | undefined): ReadinessProbe => {
    if (kind === 'http') return { type: kind, port: number(probe['port'], 'probe.port'), path: text(probe, 'path', 'probe.path') }
    if (kind === 'grpc') return { type: kind, port: number(probe['port'], 'probe.port'), service: text(probe, 'service', 'probe.service') }
    return { type: kind === 'none' || kind === 'command' ? kind : 'tcp' }
  }
  const proxy: ProxyNode = {
    id: node.id,
    workload,
    namespace,
    service,
    labels,
    ports,
    probe: { ...probed(type), ...timesOf(probe['often'], bad) },
    ...localityOf(node),
    ...weightOf(said['weight'], bad),
    ...(isObject(said['gateway'])
      ? {
          gateway: {
            name: text(said['gateway'], 'name', 'gateway.name', label),
            address: text(said['gateway'], 'address', 'gateway.address'),
          },
        }
      : {}),
    ...loopbackOf(said['loopback'], bad),
    ...(said['loopback'] !== undefined || /^envoy/i.test(node.userAgentName) ? { isEnvoy: true as const } : {}),
    ...(said['admin'] === undefined ? {} : { admin: text(said, 'admin', 'admin') }),
    version: versionOf(node),
  }
  if (problems.length > 0) throw new BadInput(problems)
  return proxy
}

function timesOf(often: JsonValue | undefined, bad: (path: string, says: string) => void): Pick<ReadinessProbe, 'often'> {
  if (often === undefined) return {}
  const of = (name: keyof ProbeTimes, least: number): number => {
    const value = isObject(often) ? often[name] : undefined
    if (typeof value === 'number' && Number.isInteger(value) && value >= least && value <= 86_400_000) return value
    bad(`probe.often.${name}`, `must be a whole number from ${least} to 86400000`)
    return least
  }
  return { often: { intervalMs: of('intervalMs', 50), timeoutMs: of('timeoutMs', 50), failures: of('failures', 1) } }
}

/** Nothing of it: it does not know where it is. */
function localityOf({ locality }: Node): Pick<ProxyNode, 'locality'> {
  const { region = '', zone = '', subZone = '' } = locality ?? {}
  if (region === '' && zone === '' && subZone === '') return {}
  return { locality: { region, zone, ...(subZone === '' ? {} : { host: subZone }) } }
}

function weightOf(weight: JsonValue | undefined, bad: (path: string, says: string) => void): Pick<ProxyNode, 'weight'> {
  if (weight === undefined) return {}
  if (typeof weight === 'number' && Number.isInteger(weight) && weight >= 0 && weight <= 1000) return { weight }
  bad('weight', 'must be a whole number from 0 to 1000')
  return {}
}

/** A whole block, as the first two numbers of an address tell it. */
function loopbackOf(block: JsonValue | undefined, bad: (path: string, says: string) => void): Pick<ProxyNode, 'loopback'> {
  if (block === undefined) return {}
  if (typeof block === 'number' && Number.isInteger(block) && block >= 1 && block <= 255) return { loopback: block }
  bad('loopback', 'must be the second number of a loopback address, 1 to 255')
  return {}
}

/** Of Weft as text; Envoy tells numbers, and is named. */
function versionOf({ userAgentVersionType: said, userAgentName }: Node): string {
  if (said.case === 'userAgentVersion') return said.value
  const { majorNumber, minorNumber, patch } = said.value?.version ?? {}
  return majorNumber === undefined ? '' : `${userAgentName} ${majorNumber}.${minorNumber}.${patch}`
}

const isObject = (value: JsonValue | undefined): value is JsonObject => typeof value === 'object' && value !== null && !Array.isArray(value)
