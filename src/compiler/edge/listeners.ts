/** Which listeners of a Gateway and of its ListenerSets hold, of what routes they take, and what is wrong with the others. */

import type { TlsProfile } from '#model/tls'
import type { Gateway, ListenerSet, ListenerShape } from '#resources/gateway-api'
import { gatewayGroup } from '#resources/gateway-api'
import type { Certificate, Fault, JudgeCertificate } from './certificates.ts'
import { certificatesOf } from './certificates.ts'
import type { Checked } from './callers.ts'
import { callersOf } from './callers.ts'
import type { Gathered } from '../gather.ts'
import { nameOf } from '../gather.ts'
import { profileIn } from './tls-options.ts'

export type RouteKind = { readonly group: string; readonly kind: string }
/** Where listeners are written. */
export type Holder = Gateway | ListenerSet

/** at: its path in the document. kinds: of routes that it takes. holds: it is opened. hostname: `*` for every host. */
export type EdgeListener = {
  readonly holder: Holder
  readonly spec: ListenerShape
  readonly at: string
  readonly hostname: string
  readonly kinds: readonly RouteKind[]
  readonly certificates: readonly Certificate[]
  readonly callers?: NonNullable<Checked['callers']>
  readonly profile?: TlsProfile
  readonly refused?: Fault
  readonly conflict?: Fault
  readonly unresolved?: Fault
  readonly holds: boolean
}
type Written = Pick<EdgeListener, 'holder' | 'spec' | 'at'>

const kindsOf: Readonly<Record<string, readonly string[]>> = {
  HTTP: ['HTTPRoute', 'GRPCRoute'],
  HTTPS: ['HTTPRoute', 'GRPCRoute'],
  TLS: ['TLSRoute'],
  TCP: ['TCPRoute'],
  UDP: ['UDPRoute'],
}

/** Whether it has a certificate of its own: TLS ends here. */
export const endsTls = ({ protocol, tls }: ListenerShape): boolean =>
  protocol === 'HTTPS' || (protocol === 'TLS' && tls?.mode !== 'Passthrough')

/** Listeners of one family share a port by host or server name; a port of UDP is another than that of TCP. */
const familyOf = ({ protocol }: ListenerShape): string => (protocol === 'HTTPS' ? 'TLS' : protocol)

/** sets: those that the Gateway lets in, the first to win a conflict first. */
export function listenersOf(
  gateway: Gateway,
  sets: readonly ListenerSet[],
  gathered: Gathered,
  judge: JudgeCertificate,
): readonly EdgeListener[] {
  const found: EdgeListener[] = []
  for (const holder of [gateway, ...sets]) {
    const written = (holder.spec?.listeners ?? []).map((spec, index): Written => ({ holder, spec, at: `spec.listeners[${index}]` }))
    const earlier = found.filter(each => each.conflict === undefined)
    // What loses against an earlier document is no rival of its neighbours; among those all that conflict lose, for nothing tells which was meant.
    const left = written.filter(each => whyConflict(each, earlier) === undefined)
    for (const each of written) {
      const conflict = whyConflict(each, earlier) ?? whyConflict(each, left)
      found.push(judged(gateway, each, conflict, gathered, judge))
    }
  }
  return found
}

function judged(
  gateway: Gateway,
  written: Written,
  conflict: Fault | undefined,
  gathered: Gathered,
  judge: JudgeCertificate,
): EdgeListener {
  const { holder, spec, at } = written
  const fitting = spec.protocol === 'TLS' && endsTls(spec) ? ['TLSRoute', 'TCPRoute'] : (kindsOf[spec.protocol] ?? [])
  const { kinds, foreign } = takes(spec, fitting, at)
  const checked = callersOf(gateway, spec, gathered, judge)
  const { certificates, faults: broken } = endsTls(spec)
    ? certificatesOf(holder, spec, at, gathered, judge)
    : { certificates: [], faults: [] }
  const faults = [...broken, ...checked.faults]
  const unresolved = faults.length > 0 ? { reason: faults[0]!.reason, says: faults.map(each => each.says).join('; ') } : foreign
  const profile = profileIn(spec.tls?.options, '')
  const no = whyRefused(spec, fitting, at) ?? checked.refused
  return {
    ...written,
    hostname: spec.hostname ?? '*',
    kinds,
    certificates,
    ...(checked.callers === undefined ? {} : { callers: checked.callers }),
    ...(typeof profile !== 'string' || profile === 'modern' ? {} : { profile }),
    ...(no === undefined ? {} : { refused: no }),
    ...(conflict === undefined ? {} : { conflict }),
    ...(unresolved === undefined ? {} : { unresolved }),
    holds: no === undefined && conflict === undefined && (!endsTls(spec) || certificates.length > 0),
  }
}

function whyRefused(spec: ListenerShape, fitting: readonly string[], at: string): Fault | undefined {
  if (fitting.length === 0)
    return {
      reason: 'UnsupportedProtocol',
      says: `${at}.protocol: ${spec.protocol} is not carried out, only ${Object.keys(kindsOf).join(', ')}`,
    }
  const profile = profileIn(spec.tls?.options, `${at}.tls.options`)
  if (profile !== undefined && !endsTls(spec))
    return { reason: 'UnsupportedValue', says: `${at}.tls.options: TLS is not ended here, so that nothing can be said of it` }
  return typeof profile === 'object' ? { reason: 'UnsupportedValue', says: profile.wrong } : undefined
}

/** Between documents the earlier keeps the port (GEP-1713). */
function whyConflict({ holder, spec, at }: Written, rivals: readonly Written[]): Fault | undefined {
  const sharing = rivals.filter(
    each => each.spec !== spec && each.spec.port === spec.port && (each.spec.protocol === 'UDP') === (spec.protocol === 'UDP'),
  )
  const toldOf = (other: Written): string =>
    other.holder === holder ? `listener ${other.spec.name}` : `listener ${other.spec.name} of ${other.holder.kind} ${nameOf(other.holder)}`
  const foreign = sharing.find(each => familyOf(each.spec) !== familyOf(spec))
  if (foreign !== undefined)
    return { reason: 'ProtocolConflict', says: `${at}: ${toldOf(foreign)} wants ${foreign.spec.protocol} on port ${spec.port}` }
  const same = sharing.find(each => (each.spec.hostname ?? '') === (spec.hostname ?? ''))
  return same === undefined
    ? undefined
    : { reason: 'HostnameConflict', says: `${at}: ${toldOf(same)} has ${spec.hostname ?? 'all hosts'} on port ${spec.port}` }
}

/** Kinds that it does not know are named, and the others hold. */
function takes(
  { allowedRoutes }: ListenerShape,
  fitting: readonly string[],
  at: string,
): { readonly kinds: readonly RouteKind[]; readonly foreign?: Fault } {
  const own = fitting.map(kind => ({ group: gatewayGroup, kind }))
  const asked = allowedRoutes.kinds
  if (asked === undefined || asked.length === 0) return { kinds: own }
  const kinds = asked.filter(each => each.group === gatewayGroup && fitting.includes(each.kind)).map(({ group, kind }) => ({ group, kind }))
  const foreign = asked.filter(each => each.group !== gatewayGroup || !fitting.includes(each.kind))
  if (foreign.length === 0) return { kinds }
  const says = `${at}.allowedRoutes.kinds: ${foreign.map(each => each.kind).join(', ')} cannot be attached here; ${fitting.join(' and ')} can`
  return { kinds, foreign: { reason: 'InvalidRouteKinds', says } }
}
