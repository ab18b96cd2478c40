/** What a peer is: commands by role, so that each scenario can put it where Weft stands. */

import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'
import type { Role } from './resources.ts'

/** Where a proxy stands; h2out and h2in: the halves as gRPC needs them, where a peer must be told beforehand. */
export type Stand = Role | 'h2out' | 'h2in'

/** listen, to: ports on 127.0.0.1. folder: for configuration and logs. certs: see certificates.ts. */
export type Place = { readonly listen: number; readonly to: number; readonly folder: string; readonly certs: string }

/** roles: the command line that serves there, in the foreground; a role that is absent is skipped in the scenarios that need it. */
export type Peer = {
  readonly name: string
  readonly version: string
  /** What it does for a request, in a few words: nobody compares figures without it. */
  readonly does: string
  readonly roles: Partial<Record<Stand, (place: Place) => readonly string[]>>
  /** Why a role is absent. */
  readonly lacks?: string
}

export type Missing = { readonly name: string; readonly missing: string }

/** Full path of a program: /usr/sbin is looked at too, which users do not have in PATH. */
export function program(name: string): string | undefined {
  for (const folder of [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin', '/usr/local/sbin']) {
    const file = join(folder, name)
    try {
      accessSync(file, constants.X_OK)
      return file
    } catch {}
  }
  return undefined
}
