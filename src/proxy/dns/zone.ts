/** What the mesh itself knows: addresses, services and names of virtual addresses, out of a view. */

import type { Listener } from '#model/listener'
import type { View } from '#model/view'
import { isGivenOut } from '#model/virtual'
import { type Answer, dnsTypes, type Question } from '#wire/dns'

/** Names that only the mesh may know: what it does not know there does not exist. */
const ownZones = ['.svc.cluster.local', '.cluster.local', '.mesh']
const longest = '.svc.cluster.local'

/** Addresses of services do not change; the answer is short-lived all the same, so that a service that goes is forgotten. */
const ttlSeconds = 10

/** How long "no such name" is remembered (RFC 2308 §5): shorter, for a service may be about to come. */
const soa = {
  zone: 'cluster.local',
  primary: 'ns.dns.cluster.local',
  mailbox: 'hostmaster.cluster.local',
  serial: 1,
  ttlSeconds: 2,
  minimumSeconds: 2,
} as const

/** undefined: the mesh has nothing to say about it, so others are asked. */
export function meshAnswer(view: View, question: Question): Answer | undefined {
  if (question.class !== 1 && question.class !== 255) return undefined
  const zone = zoneOf(view)
  const name = question.name.toLowerCase()
  const reverse = reversed(name)
  if (reverse !== undefined) return pointer(zone, reverse, question.type)
  const service = /^_([^.]+)\._(tcp|udp)\.(.+)$/.exec(name)
  const base = meshName(service?.[3] ?? name)
  const addresses = zone.addresses.get(base)
  if (addresses === undefined) return ownZones.some(own => name.endsWith(own)) ? nothing('no-such-name') : undefined
  if (service !== null) return services(zone, base, addresses, { name: service[1]!, isUdp: service[2] === 'udp' }, question.type)
  if (question.type === dnsTypes.A || question.type === dnsTypes.ANY)
    return { code: 'ok', addresses: turned(addresses), ttlSeconds, isAuthoritative: true }
  if (question.type === dnsTypes.SRV) return services(zone, base, addresses, undefined, question.type)
  return nothing('ok') // there is no IPv6 address, and no record of any other type
}

/** Many clients take the first: let it be any. */
function turned(addresses: readonly string[]): readonly string[] {
  if (addresses.length < 2) return addresses
  const first = Math.floor(Math.random() * addresses.length)
  return [...addresses.slice(first), ...addresses.slice(0, first)]
}

const nothing = (code: 'ok' | 'no-such-name'): Answer => ({ code, soa, isAuthoritative: true })

/** `catalog.default.mesh` is `catalog.default`. */
const meshName = (name: string): string => (name.endsWith('.mesh') ? name.slice(0, -'.mesh'.length) : name)

/** `_http._tcp.catalog`: by protocol, `_8080._tcp.catalog`, `_53._udp.catalog`: by number; plain `catalog`: all ports. Targets are whole names, as RFC 2782 wants. */
function services(zone: Zone, name: string, addresses: readonly string[], port: Wanted | undefined, type: number): Answer {
  const found = addresses.flatMap(address =>
    (zone.listeners.get(address) ?? [])
      .filter(listener => port === undefined || isNamed(listener, port))
      .map(listener => ({ port: listener.port, target: zone.names.get(address) ?? name })),
  )
  if (found.length === 0) return nothing(port === undefined ? 'ok' : 'no-such-name')
  if (type !== dnsTypes.SRV && type !== dnsTypes.ANY) return nothing('ok')
  // TCP and UDP may share a number, and no record may stand twice (RFC 2181 §5).
  const each = new Map(found.map(place => [`${place.port} ${place.target}`, place]))
  return { code: 'ok', services: [...each.values()], ttlSeconds, isAuthoritative: true }
}

type Wanted = { readonly name: string; readonly isUdp: boolean }

const isNamed = ({ protocol, port }: Listener, { name, isUdp }: Wanted): boolean =>
  (protocol === 'udp') === isUdp && (protocol === name || String(port) === name)

/** Of addresses that the mesh gives out all answers are its own; other addresses may be known to others. */
function pointer(zone: Zone, address: string, type: number): Answer | undefined {
  const name = zone.names.get(address)
  if (name === undefined) return isGivenOut(address) ? nothing('no-such-name') : undefined
  return type === dnsTypes.PTR || type === dnsTypes.ANY ? { code: 'ok', names: [name], ttlSeconds, isAuthoritative: true } : nothing('ok')
}

/** `4.3.77.240.in-addr.arpa` → `240.77.3.4` (RFC 1035 §3.5). */
const reversed = (name: string): string | undefined => {
  const parts = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.in-addr\.arpa$/.exec(name)
  return parts === null ? undefined : parts.slice(1).reverse().join('.')
}

/** A whole name before short ones; and of these the longer, which is that of one workload before that of all behind a Service. */
const isMoreOf = (name: string, other: string): boolean =>
  name.endsWith(longest) && (!other.endsWith(longest) || name.length > other.length)

type Zone = {
  readonly addresses: ReadonlyMap<string, readonly string[]>
  /** By address: its whole name. */
  readonly names: ReadonlyMap<string, string>
  readonly listeners: ReadonlyMap<string, readonly Listener[]>
}

/** One for each view, made when it is first asked of. */
const zones = new WeakMap<View, Zone>()

function zoneOf(view: View): Zone {
  const known = zones.get(view)
  if (known !== undefined) return known
  const listeners = new Map<string, Listener[]>()
  for (const listener of Object.values(view.listeners)) {
    if (listener.direction !== 'outbound') continue
    const at = listeners.get(listener.host)
    if (at === undefined) listeners.set(listener.host, [listener])
    else at.push(listener)
  }
  const names = new Map<string, string>()
  for (const { name, addresses } of view.dns)
    for (const address of addresses) if (!names.has(address) || isMoreOf(name, names.get(address)!)) names.set(address, name)
  const zone: Zone = { addresses: new Map(view.dns.map(entry => [entry.name, entry.addresses])), names, listeners }
  zones.set(view, zone)
  return zone
}
