/** The commands around it: token, context, completion, version, and the hidden one that completion asks. */

import { Option, type Command } from 'commander'
import type { Session } from '../session.ts'
import { controlFlag, example, outputFlag, type Act } from './shape.ts'

export function addSetup(program: Command, session: Session, act: Act): void {
  const { say } = session
  program.commandsGroup('Set up:')

  const token = program
    .command('token')
    .description('join tokens, with which workloads on other machines enter the mesh')
    .helpCommand(false)
  const create = token
    .command('create')
    .description('a token for one identity, on stdout')
    .option('-n, --namespace <namespace>', 'of the workload')
    .option('--service-account <name>', 'of the workload; usually the name of its service')
    .option('--ttl <duration>', 'how long it can be used to join (default: 10m)')
    .option('--uses <number>', 'how many workloads may join by it; 1: one (default: any number until it expires)')
    .option('-l, --selector <labels>', 'only workloads with these labels join by it, such as app=web,version=v2')
    .addOption(outputFlag('json', 'yaml'))
    .addOption(controlFlag())
    .action(act(async (flags: object) => (await import('../commands/token.ts')).createToken(session, flags)))
  example(create, say, [
    [
      'weft run --name orders --token "$(weft token create --service-account orders --uses 1)" -- ./orders',
      'join with a token for one use',
    ],
  ])
  const list = token
    .command('list')
    .description('join tokens that were made: for whom, how often used, how long still; without the tokens themselves')
    .option('-a, --all', 'those too that are of no use any more')
    .addOption(outputFlag('table', 'json', 'yaml'))
    .addOption(controlFlag())
    .action(act(async (flags: object) => (await import('../commands/token.ts')).listTokens(session, flags)))
  example(list, say, [['weft token list', 'by which somebody may still join']])
  const revoke = token
    .command('revoke')
    .description('nobody joins by it any more; who joined stays')
    .argument('<token>', 'its id, as the list has it, or the token itself')
    .addOption(controlFlag())
    .action(act(async (id: string, flags: object) => (await import('../commands/token.ts')).revokeToken(session, id, flags)))
  example(revoke, say, [['weft token revoke 2f1c9a0e-7a6b-4c11-9d53-0c7a2f6f8d21', 'one that went astray']])

  const context = program.command('context').description('control planes by name').helpCommand(false)
  const contexts = async () => import('../commands/context.ts')
  example(
    context
      .command('list')
      .description('all, the current one with *')
      .addOption(outputFlag('table', 'json', 'yaml', 'name'))
      .action(act(async (flags: object) => (await contexts()).listContexts(session, flags))),
    say,
    [['weft context list', 'what there is']],
  )
  example(
    context
      .command('use')
      .description('make one the current')
      .argument('<context>', 'its name')
      .action(act(async (name: string) => (await contexts()).useContext(session, name))),
    say,
    [['weft context use production', 'from now on']],
  )
  example(
    context
      .command('set')
      .description('add or change one; the first becomes the current')
      .argument('<context>', 'its name')
      .addOption(new Option('--control <url>', 'URL of its operator API'))
      .option('-n, --namespace <namespace>', 'where resources are looked for unless said')
      .action(act(async (name: string, flags: object) => (await contexts()).setContext(session, name, flags))),
    say,
    [['weft context set laptop --control http://127.0.0.1:7070', 'a control plane on this machine']],
  )
  example(
    context
      .command('delete')
      .description('forget one')
      .argument('<context>', 'its name')
      .action(act(async (name: string) => (await contexts()).deleteContext(session, name))),
    say,
    [['weft context delete laptop', 'the control plane itself is left alone']],
  )
  example(
    context
      .command('show')
      .description('which control plane commands talk to, and why')
      .addOption(controlFlag())
      .addOption(outputFlag('json', 'yaml'))
      .action(act(async (flags: object) => (await contexts()).showContext(session, flags))),
    say,
    [['weft context show', 'where would a command go?']],
  )

  const shells = ['bash', 'zsh', 'fish'] as const
  const completion = program
    .command('completion')
    .description('completion for a shell, to be read by it')
    .helpCommand(false)
    .helpOption('-h, --help', 'how to switch it on')
  for (const shell of shells)
    example(
      completion
        .command(shell)
        .description(`for ${shell}`)
        .action(act(async () => (await import('../commands/completion.ts')).completion(session, shell, program))),
      say,
      [howToSwitchOn[shell]],
    )
  program
    .command('__complete', { hidden: true })
    .argument('[words...]')
    .allowUnknownOption()
    .passThroughOptions()
    .action(act(async (words: readonly string[]) => (await import('../commands/completion.ts')).complete(session, program, words)))

  const version = program
    .command('version')
    .description('of this command and of the control plane')
    .option('--client', 'only of this command')
    .addOption(outputFlag('json', 'yaml'))
    .addOption(controlFlag())
    .action(act(async (flags: object) => (await import('../commands/version.ts')).version(session, flags)))
  example(version, say, [['weft version', 'are they the same?']])
}

const howToSwitchOn = {
  bash: ['weft completion bash > ~/.local/share/bash-completion/completions/weft', 'from the next shell on'],
  zsh: ['weft completion zsh > "${fpath[1]}/_weft"', 'from the next shell on'],
  fish: ['weft completion fish > ~/.config/fish/completions/weft.fish', 'at once'],
} as const
