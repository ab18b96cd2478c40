/** The flags of `weft run` that hold more than one value: ports, labels, readiness, published ports. */

import type { Locality } from '#model/backend'
import type { Protocol } from '#model/listener'
import type { Read } from './collect.ts'

export type RunPort = { readonly name: string; readonly port: number; readonly protocol: Protocol }
/** host:hostPort of this machine leads to port of the workload. hostPort 0: any free one. */
export type Publish = { readonly host: string; readonly hostPort: number; readonly port: number }

const portOf = (text: string | undefined, least = 1): number | undefined => {
  const port = Number(text)
  return text !== undefined && /^\d{1,5}$/.test(text) && port >= least && port <= 65_535 ? port : undefined
}

/** `[name:]PORT[/protocol]`: 8080, web:8080/http. Without a name it is `port-8080`, or `udp-8080` for datagrams; without a protocol it is found out from the first bytes. */
export function readPort(text: string, protocols: readonly Protocol[]): Read<RunPort> {
  const [, name, digits, said = 'detect'] = /^(?:([^:/]*):)?([^:/]*)(?:\/(.*))?$/.exec(text) ?? []
  const port = portOf(digits)
  if (port === undefined) return { says: 'must be [NAME:]PORT[/PROTOCOL] with a port from 1 to 65535, such as 8080 or web:8080/http' }
  const protocol = protocols.find(each => each === said)
  if (!protocol) return { says: `knows no protocol "${said}"; known: ${protocols.join(', ')}` }
  if (name !== undefined && !/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/.test(name))
    return { says: `has the name "${name}": names are lower-case letters, digits and "-"` }
  return { value: { name: name ?? `${protocol === 'udp' ? 'udp' : 'port'}-${port}`, port, protocol } }
}

/** TCP and UDP have numbers of their own. */
export const samePort = (one: RunPort, other: RunPort): boolean =>
  one.port === other.port && (one.protocol === 'udp') === (other.protocol === 'udp')

export function readLabel(text: string): Read<readonly [string, string]> {
  const [, key = '', value = ''] = /^([^=]*)=(.*)$/.exec(text) ?? []
  if (!/^([a-z0-9.-]{1,253}\/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$/.test(key))
    return { says: 'must be KEY=VALUE, such as tier=backend; the key is letters, digits, "-", "_" and "."' }
  if (!/^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$/.test(value))
    return { says: `has the value "${value}": values are up to 63 letters, digits, "-", "_" and "."` }
  return { value: [key, value] }
}

/** `REGION/ZONE[/HOST]`: eu/a, eu/a/rack-7. A zone that is empty is in no zone. */
export function readLocality(text: string): Read<Locality> {
  const [region = '', zone = '', host, ...more] = text.split('/')
  const isName = (name: string): boolean => /^[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$/.test(name)
  if (more.length > 0 || !isName(region) || (zone !== '' && !isName(zone)) || (host !== undefined && !isName(host)))
    return { says: 'must be REGION/ZONE or REGION/ZONE/HOST, such as eu-west/a: names are letters, digits, "-", "_" and "."' }
  return { value: { region, zone, ...(host === undefined ? {} : { host }) } }
}

/** `[HOST:]HOSTPORT:PORT`: 9000:8080, 0.0.0.0:9000:8080, [::1]:9000:8080. The default host is 127.0.0.1. */
export function readPublish(text: string): Read<Publish> {
  const [, bracketed, plain, outer, inner] = /^(?:(?:\[([^\]]+)\]|([^:[\]]+)):)?(\d+):(\d+)$/.exec(text) ?? []
  const [hostPort, port] = [portOf(outer, 0), portOf(inner)]
  if (hostPort === undefined || port === undefined) return { says: 'must be [HOST:]HOSTPORT:PORT, such as 9000:8080' }
  return { value: { host: bracketed ?? plain ?? '127.0.0.1', hostPort, port } }
}
