/** The status of a Gateway: of each listener, and of the whole, in the words of Gateway API. */

import type { Inventory, Workload } from '#model/workload'
import type { Gateway, GatewayClass } from '#resources/gateway-api'
import type { Fault } from './certificates.ts'
import { commonHost } from './hosts.ts'
import type { EdgeListener } from './listeners.ts'
import type { EdgeRoutes } from './tables.ts'
import { namespaceOf, nameOf } from '../gather.ts'
import type { ListenerStatus, ResourceStatus } from '../status.ts'
import { insecure, state, statusFor } from '../status.ts'

/** The addresses on which all listeners are bound: those that the Gateway asks for, else any of the machine. */
export function addressesOf({ spec }: Gateway): { readonly hosts: readonly string[]; readonly refused?: Fault } {
  const no = (refused: Fault) => ({ hosts: [], refused })
  const asked = whyNot(spec)
  if (asked !== undefined) return no(asked)
  const hosts: string[] = []
  for (const [index, { type, value }] of (spec?.addresses ?? []).entries()) {
    const at = `spec.addresses[${index}]`
    if (type !== 'IPAddress') return no({ reason: 'UnsupportedAddress', says: `${at}.type: ${type} is not carried out, only IPAddress` })
    if (value !== undefined && !isAddress(value))
      return no({ reason: 'UnsupportedAddress', says: `${at}.value: "${value}" is no IP address` })
    if (value !== undefined) hosts.push(value)
  }
  return { hosts: hosts.length === 0 ? ['0.0.0.0'] : hosts }
}

const isAddress = (text: string): boolean => /^[0-9]+(\.[0-9]+){3}$|:/.test(text)

/** What the whole Gateway asks for and is not carried out. */
function whyNot(spec: Gateway['spec']): Fault | undefined {
  if (spec?.infrastructure?.parametersRef !== undefined)
    return { reason: 'InvalidParameters', says: 'spec.infrastructure.parametersRef: nothing can be set by parameters' }
  if (spec?.defaultScope === 'All') return { reason: 'Invalid', says: 'spec.defaultScope: default Gateways are not carried out yet' }
  return undefined
}

export const reportClass = (each: GatewayClass, why: string | undefined): ResourceStatus =>
  statusFor(each, {
    conditions: [
      why === undefined
        ? state(each, 'Accepted', true, 'Accepted', 'weft gateway carries out its Gateways')
        : state(each, 'Accepted', false, 'InvalidParameters', why),
    ],
  })

/** As Gateway API has it of a Gateway that no controller has taken. */
export const reportNobodys = (gateway: Gateway, why: string): ResourceStatus =>
  statusFor(gateway, {
    conditions: (['Accepted', 'Programmed'] as const).map(type => state(gateway, type, undefined, 'Pending', why)),
    listeners: [],
    addresses: [],
  })

export function reportGateway(
  gateway: Gateway,
  all: readonly EdgeListener[],
  attached: EdgeRoutes,
  inventory: Inventory,
  unresolved?: Fault,
): ResourceStatus {
  const { refused } = addressesOf(gateway)
  const pending = refused?.says ?? pendingOf(gateway, inventory)
  const listeners = all.filter(each => each.holder === gateway)
  const sets = new Set(all.filter(each => each.holder !== gateway && each.holds).map(each => each.holder))
  const invalid = listeners.filter(each => !each.holds)
  const isTaken = refused === undefined && invalid.length < listeners.length
  const names = invalid.map(({ spec }) => spec.name).join(', ')
  const isProgrammed = isTaken && pending === undefined
  // A proxy that runs and does not listen, where addresses were asked for, could not have one of them (or a port there).
  const asked = (gateway.spec?.addresses ?? []).flatMap(({ value }) => value ?? [])
  const isAway = asked.length > 0 && proxiesOf(gateway, inventory).length > 0
  const told = isAway && pending !== undefined ? `${pending} (spec.addresses asks for ${asked.join(', ')})` : pending
  return statusFor(gateway, {
    conditions: [
      refused !== undefined
        ? state(gateway, 'Accepted', false, refused.reason, refused.says)
        : state(
            gateway,
            'Accepted',
            isTaken,
            invalid.length > 0 ? 'ListenersNotValid' : 'Accepted',
            invalid.length > 0 ? `of ${names} the conditions say what is wrong` : 'The Gateway holds',
          ),
      state(
        gateway,
        'Programmed',
        isProgrammed,
        isProgrammed ? 'Programmed' : !isTaken ? 'Invalid' : isAway ? 'AddressNotUsable' : 'Pending',
        isProgrammed ? 'Its proxies listen' : (told ?? `no listener can be opened: of ${names} the conditions say what is wrong`),
      ),
      ...(gateway.spec?.tls?.backend?.clientCertificateRef === undefined
        ? []
        : [
            state(
              gateway,
              'ResolvedRefs',
              unresolved === undefined,
              unresolved?.reason ?? 'ResolvedRefs',
              unresolved?.says ?? 'All references lead somewhere',
            ),
          ]),
      ...(listeners.some(each => each.callers?.isRequired === false)
        ? [state(gateway, insecure, true, 'ConfigurationChanged', 'Callers without a valid certificate are served')]
        : []),
    ],
    listeners: listeners.map(each => reportListener(each, attached.get(each)?.length ?? 0, pending, overlapOf(each, all))),
    attachedListenerSets: refused === undefined ? sets.size : 0,
    addresses: reachedAt(gateway, inventory, asked).map(value => ({
      type: isAddress(value) ? ('IPAddress' as const) : ('Hostname' as const),
      value,
    })),
  })
}

/** What a proxy says that was told nothing. */
const untold = '127.0.0.1'

/** Where callers reach it: where its proxies were told, else where it asked to be. */
function reachedAt(gateway: Gateway, inventory: Inventory, asked: readonly string[]): readonly string[] {
  const said = [...new Set(servingOf(gateway, inventory).map(each => each.gateway!.address))]
  return asked.length > 0 && said.length > 0 && said.every(each => each === untold) ? [...new Set(asked)] : said
}

const proxiesOf = (gateway: Gateway, { workloads }: Inventory): readonly Workload[] =>
  workloads.filter(each => each.namespace === namespaceOf(gateway) && each.gateway?.name === gateway.metadata.name)
const servingOf = (gateway: Gateway, inventory: Inventory): readonly Workload[] =>
  proxiesOf(gateway, inventory).filter(({ health }) => health === 'healthy' || health === 'degraded')

/** Why its ports are not open yet, where nothing is wrong with it; undefined: they are. */
export function pendingOf(gateway: Gateway, inventory: Inventory): string | undefined {
  if (servingOf(gateway, inventory).length > 0) return undefined
  const proxies = proxiesOf(gateway, inventory)
  if (proxies.length === 0)
    return `no proxy carries it out: weft gateway --name ${gateway.metadata.name} --namespace ${namespaceOf(gateway)}`
  return `of its proxies none is healthy: ${proxies.map(({ name }) => name).join(', ')}; perhaps a port cannot be opened there, its log says which`
}

const overlapping = (one: EdgeListener, other: EdgeListener): string =>
  `${one.hostname} and ${other.hostname} of listener ${other.spec.name} have hosts in common: what comes for the one on a connection for the other is answered 421`

/** Another that a connection for the one may be used again for (RFC 9113 §9.1.1); all: of the Gateway and its ListenerSets. */
export const overlapOf = (one: EdgeListener, all: readonly EdgeListener[]): EdgeListener | undefined =>
  beginsByTls(one)
    ? all.find(
        other =>
          other !== one &&
          beginsByTls(other) &&
          other.spec.port === one.spec.port &&
          commonHost(one.hostname, other.hostname) !== undefined,
      )
    : undefined

const beginsByTls = ({ spec, holds }: EdgeListener): boolean => holds && (spec.protocol === 'HTTPS' || spec.protocol === 'TLS')

/** pending: from `pendingOf`. overlap: from `overlapOf`. */
export function reportListener(
  listener: EdgeListener,
  routes: number,
  pending: string | undefined,
  overlap: EdgeListener | undefined,
): ListenerStatus {
  const { holder, refused, conflict, unresolved, holds, spec, kinds } = listener
  const no = conflict ?? refused
  const isProgrammed = holds && pending === undefined
  return {
    name: spec.name,
    supportedKinds: kinds,
    attachedRoutes: routes,
    conditions: [
      state(holder, 'Accepted', no === undefined, no?.reason ?? 'Accepted', no?.says ?? 'The listener holds'),
      state(
        holder,
        'Programmed',
        isProgrammed,
        isProgrammed ? 'Programmed' : holds ? 'Pending' : (conflict?.reason ?? 'Invalid'),
        isProgrammed ? `Port ${spec.port} is open` : holds ? pending! : (no ?? unresolved)!.says,
      ),
      state(
        holder,
        'ResolvedRefs',
        unresolved === undefined,
        unresolved?.reason ?? 'ResolvedRefs',
        unresolved?.says ?? 'All references lead somewhere',
      ),
      state(
        holder,
        'Conflicted',
        conflict !== undefined,
        conflict?.reason ?? 'NoConflicts',
        conflict?.says ?? `${holder.kind} ${nameOf(holder)} has no other like it`,
      ),
      ...(overlap === undefined
        ? []
        : [state(holder, 'OverlappingTLSConfig', true, 'OverlappingHostnames', overlapping(listener, overlap))]),
    ],
  }
}
