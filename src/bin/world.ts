/** What of the world the long-running commands are handed by the program. */

import type { Log } from '#base/log'

type World = {
  readonly env: Readonly<Record<string, string | undefined>>
  readonly version: string
  readonly log: Log
  /** A line to the person: stderr. */
  readonly say: (text: string) => void
}

export type RunWorld = World & {
  /** Calls back for each of the signals that a parent passes on. Returns what undoes it. */
  readonly onSignal: (heard: (name: NodeJS.Signals) => void) => () => void
}

export type EnvoyWorld = RunWorld & {
  /** The command's output: stdout. */
  readonly print: (text: string) => void
}

export type ControlWorld = World & {
  /** The command's output: stdout. */
  readonly print: (text: string) => void
  /** Aborted when the process is told to end. */
  readonly signal: AbortSignal
  /** Folder of the built dashboard. */
  readonly dashboard: string
}

export type WorkerWorld = Pick<World, 'log'>

export type ProxyWorld = ControlLike & {
  /** The command of a worker of this program. */
  readonly worker: readonly string[]
  /** Calls back when told to exchange what serves for new processes (SIGUSR2). Returns what undoes it. */
  readonly onRestart: (heard: () => void) => () => void
  readonly pid: number
  /** Aborted when it is told to end a second time. */
  readonly insisted: AbortSignal
  /** Calls back when told to read its files again (SIGHUP). Returns what undoes it. */
  readonly onHangup: (heard: () => void) => () => void
}

type ControlLike = Omit<ControlWorld, 'dashboard' | 'version'>

export type DemoWorld = Pick<World, 'env' | 'say'> & {
  /** The command that is Weft itself: node, its flags, this program. */
  readonly self: readonly string[]
  readonly node: string
  readonly shopFolder: string
  readonly print: (text: string) => void
  readonly isTTY: boolean
  /** Aborted by Ctrl-C or TERM. */
  readonly signal: AbortSignal
}
