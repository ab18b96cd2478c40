/** What the command line is given by the program that was started: the world as values and streams, and the commands that run processes. */

import type { Check, ListeningAt } from '#io/checks'
import type { CleanOptions, ControlOptions, DemoOptions, EnvoyOptions, GatewayOptions, ProxyOptions, RunOptions } from './options.ts'

export type MachineCheck = Check

export type Edge = {
  /** Read here: WEFT_CONTROL, WEFT_DEBUG, NO_COLOR, FORCE_COLOR. */
  readonly env: Readonly<Record<string, string | undefined>>
  readonly stdin: NodeJS.ReadableStream
  readonly stdout: NodeJS.WritableStream
  readonly stderr: NodeJS.WritableStream
  /** Whether stdout is a terminal. */
  readonly isTTY: boolean
  readonly columns: number
  readonly cwd: string
  /** Such as ~/.config/weft; made when something is first written. */
  readonly configFolder: string
  readonly version: string
  /** Each resolves with the exit code. */
  readonly run: (options: RunOptions) => Promise<number>
  /** Takes away rules of host-wide interception. */
  readonly cleanCapture: (options: CleanOptions) => Promise<number>
  readonly control: (options: ControlOptions) => Promise<number>
  /** Many workloads behind one proxy. */
  readonly node: (workloads: readonly RunOptions[]) => Promise<number>
  /** The proxy of a Gateway. */
  readonly gateway: (options: GatewayOptions) => Promise<number>
  /** An Envoy as the proxy of a workload. */
  readonly envoy: (options: EnvoyOptions) => Promise<number>
  readonly proxy: (options: ProxyOptions) => Promise<number>
  readonly demo: (options: DemoOptions) => Promise<number>
  /** What `weft check` asks of this machine; without it only the control plane is asked. */
  readonly checkMachine?: () => Promise<readonly MachineCheck[]>
  /** Which ports of this machine are open. */
  readonly listeningAt?: () => Promise<readonly ListeningAt[]>
}
