/** Reading config that others may have written: whatever it asks for and the proxy does not do is refused by name, never skipped. */

import { type DescMessage, fromBinary, isFieldSet, type MessageShape } from '@bufbuild/protobuf'
import type { Any, Duration } from '@bufbuild/protobuf/wkt'
import type { Address } from '../gen/envoy/config/core/v3/address_pb.ts'
import { SocketAddress_Protocol } from '../gen/envoy/config/core/v3/address_pb.ts'
import type { DataSource } from '../gen/envoy/config/core/v3/base_pb.ts'
import type { ConfigSource } from '../gen/envoy/config/core/v3/config_source_pb.ts'
import { type FractionalPercent, FractionalPercent_DenominatorType as Denominator } from '../gen/envoy/type/v3/percent_pb.ts'

/** Why a resource is not taken; `reason` begins with the field. */
export class Rejected {
  readonly reason: string
  constructor(where: string, says: string) {
    this.reason = where === '' ? says : `${where}: ${says}`
  }
}

export function refuse(where: string, says: string): never {
  throw new Rejected(where, says)
}

const join = (where: string, name: string): string => (where === '' ? name : `${where}.${name}`)

/** A check that only these fields (protobuf names) of a message are set, also none that this version of the protocol does not know. */
export function carries<Desc extends DescMessage>(
  schema: Desc,
  names: readonly string[],
): (message: MessageShape<Desc>, where: string) => void {
  const known = new Set(names)
  for (const name of names)
    if (!schema.fields.some(field => field.name === name)) throw new Error(`${schema.typeName} has no field ${name}`)
  const others = schema.fields.filter(field => !known.has(field.name))
  return (message, where) => {
    for (const field of others) if (isFieldSet(message, field)) refuse(join(where, field.name), 'not carried out by this proxy')
    const unknown = message.$unknown?.[0]
    if (unknown !== undefined) refuse(join(where, `field ${unknown.no}`), `unknown to this version of the proxy`)
  }
}

export function unpack<Desc extends DescMessage>(any: Any | undefined, schema: Desc, where: string): MessageShape<Desc> {
  if (any === undefined) refuse(where, 'missing')
  const name = typeName(any)
  if (name !== schema.typeName) refuse(where, `${name || 'an extension without type'} is not carried out here, only ${schema.typeName}`)
  return read(schema, any.value, where)
}

export const typeName = (any: Any | undefined): string => any?.typeUrl.slice(any.typeUrl.lastIndexOf('/') + 1) ?? ''

export function read<Desc extends DescMessage>(schema: Desc, bytes: Uint8Array, where: string): MessageShape<Desc> {
  try {
    return fromBinary(schema, bytes)
  } catch (thrown) {
    return refuse(where, `not a valid ${schema.typeName}: ${thrown instanceof Error ? thrown.message : String(thrown)}`)
  }
}

/** Milliseconds, rounded up so that a short limit does not become none. */
export const msOf = (duration: Duration): number => Number(duration.seconds) * 1000 + Math.ceil(duration.nanos / 1_000_000)

export function hostAndPort(
  address: Address | undefined,
  where: string,
  protocol: SocketAddress_Protocol = SocketAddress_Protocol.TCP,
  mayBeName = false,
): { host: string; port: number } {
  if (address?.address.case !== 'socketAddress') refuse(where, 'only an IP address and port is carried out')
  const { value } = address.address
  if (value.protocol !== protocol)
    refuse(join(where, 'protocol'), protocol === SocketAddress_Protocol.TCP ? 'only TCP here' : 'only UDP here')
  if (value.portSpecifier.case !== 'portValue') refuse(where, 'a port number is missing')
  if (value.resolverName !== '') refuse(join(where, 'resolver_name'), 'not carried out by this proxy')
  if (!mayBeName && !/^[0-9.]+$|:/.test(value.address)) refuse(join(where, 'address'), `"${value.address}" is not an IP address`)
  return { host: value.address, port: value.portSpecifier.value }
}

export function mustBeAds(source: ConfigSource | undefined, where: string): void {
  const kind = source?.configSourceSpecifier.case
  if (kind !== 'ads' && kind !== 'self') refuse(where, 'only ads is carried out')
}

export function textOf(source: DataSource | undefined, where: string): string {
  if (source?.specifier.case === 'inlineString') return source.specifier.value
  if (source?.specifier.case === 'inlineBytes') return new TextDecoder().decode(source.specifier.value)
  return refuse(where, 'only inline text is carried out')
}

const perOne = { [Denominator.HUNDRED]: 10_000, [Denominator.TEN_THOUSAND]: 100, [Denominator.MILLION]: 1 } as const

/** In millionths. */
export function shareOf(percent: FractionalPercent | undefined, otherwise: number): number {
  if (percent === undefined) return otherwise
  return Math.min(1_000_000, percent.numerator * (perOne[percent.denominator as keyof typeof perOne] ?? 0))
}
