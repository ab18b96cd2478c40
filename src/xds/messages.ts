/** Discovery requests and replies as plain values, for the machines of both ends; `rpcs` gives them their bytes. */

import type { Node } from './node.ts'
import type { EncodedResource } from './types.ts'

/** error: the reply of `nonce` was not taken whole (NACK); one line `RESOURCE: reason` for each resource refused. */
export type Refusal = { readonly code: number; readonly message: string }

/** Delta: names are changes to what is subscribed. initialVersions: what the client still has from an earlier stream. node: on the first request only. */
export type DeltaRequest = {
  readonly typeUrl: string
  readonly node?: Node | undefined
  readonly subscribe: readonly string[]
  readonly unsubscribe: readonly string[]
  readonly initialVersions: Readonly<Record<string, string>>
  readonly nonce: string
  readonly error?: Refusal | undefined
}

/** What the server sends: resources as encoded once. */
export type DeltaReply = {
  readonly typeUrl: string
  readonly nonce: string
  readonly version: string
  readonly resources: readonly EncodedResource[]
  readonly removed: readonly string[]
}

/** What the client reads. body: undefined where the resource was sent without content. */
export type ReceivedResource = { readonly name: string; readonly version: string; readonly typeUrl: string; readonly body: Uint8Array }
export type ReceivedDelta = Omit<DeltaReply, 'resources'> & { readonly resources: readonly ReceivedResource[] }

/** State of the world: names are all that is wanted; version is the last that was taken. */
export type StateRequest = {
  readonly typeUrl: string
  readonly node?: Node | undefined
  readonly names: readonly string[]
  readonly version: string
  readonly nonce: string
  readonly error?: Refusal | undefined
}
export type StateReply = {
  readonly typeUrl: string
  readonly nonce: string
  readonly version: string
  readonly resources: readonly EncodedResource[]
}
