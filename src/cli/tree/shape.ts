/** What commands have in common: examples under their help, and flags that many take. */

import { Option, type Command } from 'commander'
import type { Say } from '../say.ts'

// eslint-disable-next-line -- commander hands arguments by position, each command knows its own
type Given = readonly unknown[]
/** Makes an action of a function that returns an exit code; what it is given are the arguments, the flags, the command. */
export type Act = <Args extends Given>(run: (...given: Args) => number | Promise<number>) => (...given: Args) => Promise<void>

export function example(command: Command, say: Say, examples: readonly (readonly [line: string, does: string])[]): Command {
  return command.addHelpText('after', () => {
    const wide = Math.max(...examples.map(([line]) => line.length))
    return `\n${say.paint('bold', 'Examples:')}\n${examples.map(([line, does]) => `  ${say.paint('cyan', line.padEnd(wide))}  ${does}`).join('\n')}`
  })
}

export const controlFlag = (): Option => new Option('--control <url>', 'the control plane; instead of WEFT_CONTROL or the current context')
export const namespaceFlag = (): Option =>
  new Option('-n, --namespace <namespace>', 'the namespace; instead of that of the current context')
export const allNamespacesFlag = (): Option => new Option('-A, --all-namespaces', 'of all namespaces').conflicts('namespace')
export const outputFlag = (...choices: string[]): Option =>
  new Option('-o, --output <format>', `as what to print it: ${choices.join(', ')}`).choices(choices)
/** A flag that may be given again and again: all values, in order. */
export const repeated = (flags: string, says: string): Option =>
  new Option(flags, says).argParser((text: string, before: readonly string[] | undefined) => [...(before ?? []), text])
const alphabet = 'abcdefghijklmnopqrstuvwxyz0123456789'
export const sixRandom = (): string => [...crypto.getRandomValues(new Uint8Array(6))].map(byte => alphabet[byte % alphabet.length]).join('')

/** The ways in which a workload gets into the mesh, without a control plane to ask for a token, or instead of it. */
export const addJoining = (command: Command): Command =>
  command
    .option('--token <token>', 'a join token of weft token create; else one is asked of the control plane')
    .option('--attest-socket <path>', 'join by what the kernel says of this process, at this socket of a control plane on this machine')
    .option('--certificate <file>', 'join by a valid certificate of another authority: its key and chain, PEM')
    .option(
      '--spiffe-socket <address>',
      'be who the agent at this socket of the SPIFFE Workload API says, such as unix:///run/spire/agent.sock, instead of asking the control plane',
    )
    .option('--xds <address>', 'with these two: where the control plane takes proxies, HOST:PORT')
    .option('--roots <file>', 'with these two: roots of the control plane, PEM; without: those of the agent')
    .option('--trust-domain <name>', 'with these two: of the mesh (default: weft.local)')
    .option('--spiffe-id-template <path>', 'with these two: of the mesh (default: /ns/{namespace}/sa/{serviceAccount})')

/** What interception leaves alone. */
export function addExclusions(command: Command, ...directions: readonly ('outbound' | 'inbound')[]): void {
  for (const direction of directions) {
    const what = direction === 'outbound' ? 'connections to' : 'callers of'
    command.addOption(repeated(`--exclude-${direction}-ports <ports>`, `leave ${what} these ports out of the mesh: 5432,6000-6010`))
    command.addOption(
      repeated(
        `--exclude-${direction}-cidrs <networks>`,
        `leave ${direction === 'outbound' ? what : 'callers from'} these networks out of it: 10.0.0.0/8`,
      ),
    )
    if (direction === 'outbound')
      command.addOption(repeated('--exclude-outbound-uids <users>', 'leave connections of these users out of it: backup,1001'))
  }
}
export const fileFlag = (): Option => repeated('-f, --file <path>', 'a file, a folder, or - for standard input; may be repeated')
export const recursiveFlag = (): Option => new Option('-R, --recursive', 'folders with all that is in them')

export type RemoteFlags = {
  readonly control?: string
  readonly namespace?: string
  readonly allNamespaces?: boolean
  readonly output?: string
}
