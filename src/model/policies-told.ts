/** What holds for the calls to a Service, field by field, and by whose word. Plain data: the operator API answers it, the command line and the dashboard show it. */

import type { Match, Protocol } from './view.ts'

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
  readonly backends: readonly BackendTold[]
}

/** backend: `NAMESPACE/SERVICE:PORT`. calls: how its endpoints are called. taken: what the called side does. */
export type BackendTold = { readonly backend: string; readonly calls: readonly FieldTold[]; readonly taken: readonly FieldTold[] }

/** client: absent: one that no policy names, of any namespace. */
export type PoliciesTold = {
  readonly service: string // `NAME.NAMESPACE`
  readonly client?: ClientTold
  readonly ports: readonly PortTold[]
}
export type ClientTold = { readonly namespace: string; readonly service: string; readonly labels: Readonly<Record<string, string>> }
