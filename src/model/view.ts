/** The mesh as one proxy sees it: plain data, the same in both planes; a request keeps the view it began with. */

import type { Backend, EndpointSet } from './backend.ts'
import type { Listener } from './listener.ts'
import type { RouteTable } from './route.ts'
import type { Trust } from './trust.ts'

/** Each part keyed by its name. `dns` is one list, in order of name. */
export type View = {
  readonly listeners: Readonly<Record<string, Listener>>
  readonly routes: Readonly<Record<string, RouteTable>>
  readonly backends: Readonly<Record<string, Backend>>
  readonly endpoints: Readonly<Record<string, EndpointSet>>
  readonly dns: readonly DnsName[]
  readonly trust: Trust
}

export const emptyView: View = { listeners: {}, routes: {}, backends: {}, endpoints: {}, dns: [], trust: { domain: '', roots: [] } }

/** A name that the mesh DNS answers. addresses: IPv4, dotted. */
export type DnsName = { readonly name: string; readonly addresses: readonly string[] }
