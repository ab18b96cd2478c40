/** What the thread inside a namespace and the thread outside say to each other. File descriptors are numbers that both can use. */

import type { MessagePort } from 'node:worker_threads'
import type { Exclusions } from '#base/exclusions'

export type Tools = { readonly ip: string; readonly nft: string; readonly setpriv: string }

/** One thread serves all namespaces of its process; id: of one of them. */
export type Order =
  | { readonly type: 'open'; readonly id: number; readonly beginning: Beginning }
  | { readonly type: 'start'; readonly id: number; readonly program: Program }
  /** A short program beside the one; run: to tell several apart. It is killed after timeoutMs. */
  | { readonly type: 'run'; readonly id: number; readonly run: number; readonly program: Program; readonly timeoutMs: number }
  | { readonly type: 'close'; readonly id: number }

/** What a namespace is to be. */
export type Beginning = {
  readonly tools: Tools
  readonly root: boolean
  readonly ipv6: boolean
  readonly resolvConf: string
  readonly hosts: string
  /** How many to make goes in, `Batch` comes out; `served` counts the batches, so that the outside may wait without its event loop. */
  readonly sockets: MessagePort
  readonly served: Int32Array<SharedArrayBuffer>
  /** `Wanted` goes in, `Given` comes out. */
  readonly flows: MessagePort
  /** Whether datagrams are captured too; else they are refused. */
  readonly datagrams: boolean
  readonly exclude: Exclusions
}

/** A UDP socket inside: bound to where a flow of datagrams was going, or, without an address, any. */
export type Wanted = { readonly id: number; readonly host: string; readonly port: number }
export type Given = { readonly id: number; readonly fd?: number; readonly failed?: string }

/** Unconnected TCP sockets; or the errno (negative) of why there are none. */
export type Batch = { readonly fds: readonly number[]; readonly failed?: { readonly syscall: string; readonly errno: number } }

/** A stream of the program: as this process has it, nothing, or an open file descriptor. */
export type Stdio = 'inherit' | 'ignore' | number

export type Program = {
  readonly command: readonly string[]
  readonly env: Readonly<Record<string, string>>
  readonly cwd: string
  readonly stdio: readonly [Stdio, Stdio, Stdio]
}

export type Listeners = {
  readonly tcp: readonly number[]
  readonly dnsTcp: readonly number[]
  readonly dnsUdp: readonly { readonly fd: number; readonly ipv6: boolean }[]
  /** TCP connections that are left out of the mesh. */
  readonly excluded: readonly number[]
  /** Empty where datagrams are not captured. icmp: for refusing them. */
  readonly datagrams: readonly { readonly fd: number; readonly icmp: number }[]
}

export type Exit = { readonly code: number | null; readonly signal: NodeJS.Signals | null }

export type Told = { readonly id: number } & News
export type News =
  | {
      readonly type: 'ready'
      readonly listeners: Listeners /** As `/proc/PID/ns/net` shows it: `net:[4026532281]`. */
      readonly identity: string
      readonly first: Batch
    }
  | { readonly type: 'refused'; readonly says: string }
  | { readonly type: 'started'; readonly pid: number }
  | { readonly type: 'unstarted'; readonly code: string; readonly says: string }
  | ({ readonly type: 'exited' } & Exit)
  | ({ readonly type: 'ran'; readonly run: number } & Exit)
