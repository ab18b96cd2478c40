/** Which listeners of a Gateway hold, of what routes they take, and what is wrong with the others. */

import type { Gateway, ListenerShape } from '#resources/gateway-api'
import { gatewayGroup } from '#resources/gateway-api'
import type { Certificate, Fault, JudgeCertificate } from './edge-certificates.ts'
import { certificatesOf } from './edge-certificates.ts'
import type { Checked } from './edge-callers.ts'
import { callersOf } from './edge-callers.ts'
import type { Gathered } from './gather.ts'

export type RouteKind = { readonly group: string; readonly kind: string }

/** at: its path in the document. kinds: of routes that it takes. holds: it is opened. hostname: `*` for every host. */
export type EdgeListener = {
  readonly spec: ListenerShape
  readonly at: string
  readonly hostname: string
  readonly kinds: readonly RouteKind[]
  readonly certificates: readonly Certificate[]
  readonly callers?: NonNullable<Checked['callers']>
  readonly refused?: Fault
  readonly conflict?: Fault
  readonly unresolved?: Fault
  readonly holds: boolean
}

const kindsOf: Readonly<Record<string, readonly string[]>> = {
  HTTP: ['HTTPRoute', 'GRPCRoute'],
  HTTPS: ['HTTPRoute', 'GRPCRoute'],
  TLS: ['TLSRoute'],
  TCP: ['TCPRoute'],
}

export function listenersOf(gateway: Gateway, gathered: Gathered, judge: JudgeCertificate): readonly EdgeListener[] {
  const all = gateway.spec?.listeners ?? []
  return all.map((spec, index): EdgeListener => {
    const at = `spec.listeners[${index}]`
    const fitting = kindsOf[spec.protocol] ?? []
    const refused: Fault | undefined =
      fitting.length > 0
        ? undefined
        : {
            reason: 'UnsupportedProtocol',
            says: `${at}.protocol: ${spec.protocol} is not carried out yet, only ${Object.keys(kindsOf).join(' and ')}`,
          }
    const other = all.find(each => each.port === spec.port && each.protocol !== spec.protocol)
    const conflict: Fault | undefined =
      other === undefined
        ? undefined
        : { reason: 'ProtocolConflict', says: `${at}: listener ${other.name} wants ${other.protocol} on port ${spec.port}` }
    const { kinds, foreign } = takes(spec, fitting, at)
    const checked = callersOf(gateway, spec, gathered)
    const { certificates, faults: broken } =
      spec.protocol === 'HTTPS' ? certificatesOf(gateway, spec, at, gathered, judge) : { certificates: [], faults: [] }
    const faults = [...broken, ...checked.faults]
    const unresolved = faults.length > 0 ? { reason: faults[0]!.reason, says: faults.map(each => each.says).join('; ') } : foreign
    const options = Object.keys(spec.tls?.options ?? {})
    const unsupported: Fault | undefined =
      options.length > 0
        ? { reason: 'UnsupportedValue', says: `${at}.tls.options: ${options.join(', ')} is not carried out` }
        : spec.protocol === 'TLS' && spec.tls?.mode !== 'Passthrough'
          ? {
              reason: 'UnsupportedValue',
              says: `${at}.tls.mode: Terminate is carried out for protocol HTTPS only; for TLS write Passthrough`,
            }
          : undefined
    const no = refused ?? unsupported ?? checked.refused
    return {
      spec,
      at,
      hostname: spec.hostname ?? '*',
      kinds,
      certificates,
      ...(checked.callers === undefined ? {} : { callers: checked.callers }),
      ...(no === undefined ? {} : { refused: no }),
      ...(conflict === undefined ? {} : { conflict }),
      ...(unresolved === undefined ? {} : { unresolved }),
      holds: no === undefined && conflict === undefined && (spec.protocol !== 'HTTPS' || certificates.length > 0),
    }
  })
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
