/** Each port of each host of each ExternalService: as a port of a Service, but that it leads out of the mesh. */

import type { Endpoint, Origination } from '#model/backend'
import { isHost } from '#model/egress'
import type { Protocol } from '#model/listener'
import type { Mesh } from '#model/mesh'
import { portName } from '#model/port'
import type { ExternalService } from '#resources/weft'
import type { JudgeCertificate } from '../edge/certificates.ts'
import { rootsOf, tlsPairOf } from './external-tls.ts'
import type { Gathered } from '../gather.ts'
import { nameOf, namespaceOf } from '../gather.ts'
import { wholeNames } from '../services/names.ts'
import type { ServicePort } from '../services/services.ts'
import type { ResourceStatus, Stated } from '../status.ts'
import { state, statusFor } from '../status.ts'
import { externalAddress } from './virtual.ts'

type PortSpec = NonNullable<ExternalService['spec']>['ports'][number]

/** ports: in order of name. by: `ExternalService NAMESPACE/NAME` → its ports, those of its first host first. */
export type Externals = {
  readonly ports: readonly ServicePort[]
  readonly by: ReadonlyMap<string, readonly ServicePort[]>
  readonly statuses: readonly ResourceStatus[]
}

/** Of two with one host the older has it, and before both a Service that has this name. services: whose addresses are not shared, where only the last two numbers count (`loopbackOf`). */
export function findExternals(
  { externalServices, ...gathered }: Gathered,
  judge: JudgeCertificate,
  services: readonly ServicePort[],
): Externals {
  const by = new Map<string, readonly ServicePort[]>()
  const owners = new Map<string, string>()
  const ofServices = new Map(services.flatMap(each => wholeNames(each).map(name => [name, `${each.namespace}/${each.service}`] as const)))
  const addresses = new Set(services.flatMap(({ host }) => (host?.startsWith('240.77.') ? [host.replace('240.77.', '240.79.')] : [])))
  const statuses = externalServices.map((external): ResourceStatus => {
    const own: ServicePort[] = []
    const wrong: string[] = []
    const taken: string[] = []
    const shown: { type: string; value: string }[] = []
    const settings = (external.spec?.ports ?? []).map((port, at) => ({
      port,
      tls: originationOf(external, port, at, gathered, judge, wrong),
    }))
    for (const host of external.spec?.hosts ?? []) {
      const service = ofServices.get(host)
      if (service !== undefined) {
        taken.push(`${host} is a name of Service ${service}`)
        continue
      }
      const address = host.startsWith('*.') ? undefined : externalAddress(host, candidate => addresses.has(candidate))
      let isShown = false
      for (const { port, tls } of settings) {
        const place = `${host}:${portName(port.port, protocolOf(port))}`
        const owner = owners.get(place)
        if (owner !== undefined) {
          taken.push(`${place} is that of ExternalService ${owner}, which is older`)
          continue
        }
        owners.set(place, nameOf(external))
        isShown = true
        own.push(makePort(external, port, host, address, tls))
      }
      if (address === undefined || !isShown) continue
      addresses.add(address)
      shown.push({ type: host, value: address })
    }
    by.set(`ExternalService ${nameOf(external)}`, own)
    return statusFor(external, { conditions: conditionsOf(external, own, wrong, taken), addresses: shown })
  })
  return { by, statuses, ports: [...by.values()].flat().sort((one, other) => (one.key < other.key ? -1 : 1)) }
}

function conditionsOf(
  external: ExternalService,
  own: readonly ServicePort[],
  wrong: readonly string[],
  taken: readonly string[],
): Stated[] {
  const conflicted = taken.length === 0 ? [] : [state(external, 'Conflicted', true, 'HostConflict', taken.join('; '))]
  if (wrong.length > 0)
    return [state(external, 'Accepted', false, 'RefNotResolved', `${wrong.join('; ')}; that port leads nowhere`), ...conflicted]
  if (own.length === 0) return [state(external, 'Accepted', false, 'HostConflict', taken.join('; ')), ...conflicted]
  return [state(external, 'Accepted', true, 'Accepted', 'It can be called'), ...conflicted]
}

const protocols: Readonly<Record<NonNullable<PortSpec['protocol']>, Protocol>> = {
  HTTP: 'http',
  HTTP2: 'http2',
  GRPC: 'grpc',
  TLS: 'tls',
  TCP: 'tcp',
  UDP: 'udp',
}
const protocolOf = ({ protocol }: PortSpec): Protocol => (protocol === undefined ? 'detect' : protocols[protocol])

function makePort(
  external: ExternalService,
  port: PortSpec,
  host: string,
  address: string | undefined,
  tls: Origination | 'refused' | undefined,
): ServicePort {
  const namespace = namespaceOf(external)
  const { resolution = 'DNS', endpoints: written } = external.spec!
  const target = port.targetPort ?? port.port
  const isWild = address === undefined
  const endpoints = (written ?? [{ address: host, weight: 1 }]).map(
    (one: {
      address: string
      port?: number | undefined
      weight: number
      region?: string | undefined
      zone?: string | undefined
    }): Endpoint => ({
      host: one.address,
      port: one.port ?? target,
      weight: one.weight,
      health: 'healthy',
      mtls: port.tls?.mode === 'Mesh',
      workload: written === undefined ? host : one.address,
      ...(one.region === undefined && one.zone === undefined ? {} : { locality: { region: one.region ?? '', zone: one.zone ?? '' } }),
    }),
  )
  const type =
    resolution === 'Original' ? 'original' : isWild && written === undefined ? 'named' : resolution === 'Static' ? 'endpoints' : 'hosts'
  const protocol = protocolOf(port)
  const isNamed = type === 'named' || type === 'original'
  return {
    key: `${namespace}/${external.metadata.name}~${host}:${portName(port.port, protocol)}`,
    namespace,
    service: external.metadata.name,
    port: port.port,
    ...(port.name === undefined ? {} : { name: port.name }),
    ...(isWild ? {} : { host: address }),
    protocol,
    selector: {},
    target,
    endpoints: type === 'endpoints' ? endpoints : [],
    identities: port.tls?.identities ?? [],
    external: {
      host,
      type,
      ...(type === 'hosts' ? { hosts: endpoints } : {}),
      // Without its roots or its certificate it must not be called otherwise: it keeps its address, and leads nowhere.
      ...(tls === 'refused'
        ? { isRefused: true }
        : tls === undefined
          ? {}
          : { tls: tls.serverName === undefined && !isWild ? { ...tls, serverName: host } : tls }),
      ...(isNamed ? { port: type === 'original' || port.targetPort === undefined ? 0 : target } : {}),
    },
  }
}

function originationOf(
  external: ExternalService,
  { tls }: PortSpec,
  at: number,
  gathered: Pick<Gathered, 'configMaps' | 'secrets'>,
  judge: JudgeCertificate,
  wrong: string[],
): Origination | 'refused' | undefined {
  if (tls === undefined || tls.mode === 'Mesh') return undefined
  const namespace = namespaceOf(external)
  const path = `spec.ports[${at}].tls`
  const roots = tls.caCertificateRef === undefined ? undefined : rootsOf(`${namespace}/${tls.caCertificateRef.name}`, gathered, judge)
  const pair =
    tls.clientCertificateRef === undefined ? undefined : tlsPairOf(`${namespace}/${tls.clientCertificateRef.name}`, gathered, judge)
  if (typeof roots === 'string') wrong.push(`${path}.caCertificateRef: ${roots}`)
  if (typeof pair === 'string') wrong.push(`${path}.clientCertificateRef: ${pair}`)
  if (typeof roots === 'string' || typeof pair === 'string') return 'refused'
  return {
    ...(tls.profile === undefined || tls.profile === 'compatible' ? {} : { profile: tls.profile }),
    ...(tls.serverName === undefined ? {} : { serverName: tls.serverName }),
    ...(tls.subjectAltNames === undefined ? {} : { names: tls.subjectAltNames }),
    ...(roots === undefined ? {} : { roots }),
    ...(pair === undefined ? {} : { certificate: pair }),
  }
}

/** Whether an exact name, or all names of a pattern, are covered by another pattern. */
export const isCovered = (host: string, by: readonly string[]): boolean =>
  by.some(pattern => pattern === host || isHost(pattern, host.startsWith('*.') ? host.slice(2) : host))

/** Keys of certificates are for the proxies of one namespace. */
export const ownedBy = (ports: readonly ServicePort[]): Mesh['owned'] =>
  Object.fromEntries(ports.flatMap(({ key, namespace, external }) => (external?.tls?.certificate === undefined ? [] : [[key, namespace]])))
