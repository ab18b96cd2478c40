/** What holds for the calls to a Service, field by field, and by whose word. Plain data: the operator API answers it, the command line and the dashboard show it. */

import type { Protocol } from './listener.ts'
import type { Match } from './route.ts'

/**
 * value: as it is written in documents; text where nothing is written. by: `built in`, `Mesh default`, `KIND NAMESPACE/NAME`, or a rule of a route.
 * overruled: who says something of the field too, those that count more first.
 */
export type FieldTold = {
  readonly field: string
  readonly value: unknown
  readonly by: string
  readonly overruled: readonly { readonly by: string; readonly value: unknown }[]
}

/** name: of the route of the model. origin: for people. */
export type RouteTold = { readonly name: string; readonly origin: string; readonly match: Match; readonly fields: readonly FieldTold[] }

/**
 * routes: of requests, in the order in which they are tried. bytes: of connections and datagrams that are not looked into. backends: what those lead to;
 * where nothing does, the port itself.
 */
export type PortTold = {
  readonly port: number
  readonly name?: string
  readonly protocol: Protocol
  readonly routes: readonly RouteTold[]
  readonly bytes?: readonly FieldTold[]
  readonly gateways?: readonly GatewayTold[]
  readonly backends: readonly BackendTold[]
}

/** A route of a Gateway, `NAMESPACE/NAME`, that leads there and asks who calls. */
export type GatewayTold = RouteTold & { readonly gateway: string }

/** backend: `NAMESPACE/SERVICE:PORT`. calls: how its endpoints are called. taken: what the called side does. */
export type BackendTold = { readonly backend: string; readonly calls: readonly FieldTold[]; readonly taken: readonly FieldTold[] }

/** client: absent: one that no policy names, of any namespace. */
export type PoliciesTold = {
  readonly service: string // `NAME.NAMESPACE`
  readonly client?: ClientTold
  readonly ports: readonly PortTold[]
}
export type ClientTold = { readonly namespace: string; readonly service: string; readonly labels: Readonly<Record<string, string>> }

/** The parts of what is told of a port, each with its title for people. match: of the requests that it is about. */
export const partsOf = ({
  routes,
  bytes,
  gateways = [],
  backends,
}: PortTold): readonly { readonly title: string; readonly match?: Match; readonly fields: readonly FieldTold[] }[] => [
  ...routes.map(({ origin, match, fields }) => ({ title: `requests by ${origin}`, match, fields })),
  ...gateways.map(({ gateway, origin, match, fields }) => ({ title: `from outside, at Gateway ${gateway} by ${origin}`, match, fields })),
  ...(bytes === undefined ? [] : [{ title: 'connections and datagrams', fields: bytes }]),
  ...backends.flatMap(({ backend, calls, taken }) => [
    { title: `calls to ${backend}`, fields: calls },
    { title: `taken in by ${backend}`, fields: taken },
  ]),
]

/** A value on one line, without the quotes that nobody needs. */
export function tellValue(value: unknown): string {
  if (Array.isArray(value)) return value.map(tellValue).join(', ')
  if (value !== null && typeof value === 'object')
    return Object.entries(value)
      .map(([key, each]) => `${key} ${typeof each === 'object' && !Array.isArray(each) ? `(${tellValue(each)})` : tellValue(each)}`)
      .join(', ')
  return String(value)
}

/** Who was overruled, and what they say, but for what is built in. */
export const tellOverruled = ({ overruled }: FieldTold): string =>
  overruled
    .filter(({ by }) => by !== 'built in')
    .map(({ by, value }) => `${tellValue(value)} of ${by}`)
    .join('; ')
