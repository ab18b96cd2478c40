/** The command tree: which commands there are, what they take, and examples of each. Nothing heavy is loaded before a command runs. */

import { Command, Option } from 'commander'
import type { Session } from './session.ts'
import { addCapture } from './tree/capture.ts'
import { addEnvoy } from './tree/envoy.ts'
import { addCertificates } from './tree/certificates.ts'
import { addExplain } from './tree/explain.ts'
import { addGateway } from './tree/gateway.ts'
import { addMesh } from './tree/mesh.ts'
import { addNode } from './tree/node.ts'
import { addPolicy } from './tree/policy.ts'
import { addProcesses } from './tree/processes.ts'
import { addResources } from './tree/resources.ts'
import { addSetup } from './tree/setup.ts'
import { example, type Act } from './tree/shape.ts'
import { proposeFlags } from './tree/unknown-flag.ts'
import { addUsers } from './tree/users.ts'

/** ended: told the exit code of the command that ran. Parsing throws CommanderError after its message was written. */
export function buildProgram(session: Session, ended: (code: number) => void): Command {
  const { edge, say } = session
  const program = new Command('weft')
    .description('Weft: a service mesh for unmodified programs.')
    .enablePositionalOptions()
    .exitOverride()
    .showHelpAfterError('(--help shows what there is)')
    .configureOutput({
      writeOut: text => say.raw(text),
      writeErr: text => void edge.stderr.write(text),
      outputError: (text, write) => write(text.replace(/^error: /, 'weft: ')),
      getOutHelpWidth: () => Math.min(edge.columns, 110),
      getErrHelpWidth: () => Math.min(edge.columns, 110),
      getOutHasColors: () => say.hasColour,
      getErrHasColors: () => say.hasColour,
    })
    .configureHelp({
      styleTitle: text => say.paint('bold', text),
      styleCommandText: text => say.paint('cyan', text),
      styleSubcommandText: text => say.paint('cyan', text),
      styleOptionText: text => say.paint('yellow', text),
    })
    .version(edge.version, '-V, --version', 'the version of this command')
    .helpOption('-h, --help', 'what a command takes, with examples')
    .addHelpCommand(new Command('help').argument('[command]').description('the same as --help').helpGroup('Set up:'))
    .addHelpText(
      'after',
      '\nExit codes: 0 done · 1 failed, or weft diff found a difference · 2 wrongly called.\nThe control plane is found by --control URL, WEFT_CONTROL, the current context (weft context), http://127.0.0.1:7070.\nWho you are to it: --token-file FILE or --token TOKEN, or --client-cert FILE with --client-key FILE; --ca FILE by which roots it is known. Or, as for weft\nrun, WEFT_TOKEN_FILE, WEFT_TOKEN, WEFT_CLIENT_CERT, WEFT_CLIENT_KEY and WEFT_CA, or the context.',
    )
  const act: Act =
    run =>
    async (...given) => {
      const command = given.at(-1)
      if (command instanceof Command) session.prove(command.opts())
      ended(await run(...given))
    }
  addProcesses(program, session, act)
  addNode(program, session, act)
  addGateway(program, session, act)
  addEnvoy(program, session, act)
  addCapture(program, session, act)
  addResources(program, session, act)
  addMesh(program, session, act)
  addExplain(program, session, act)
  addPolicy(program, session, act)
  addCertificates(program, session, act)
  addSetup(program, session, act)
  addUsers(program, session, act)
  addCredentials(program)
  proposeFlags(program)
  example(program, say, [
    ['weft demo', 'a shop of small services in a mesh, with load and a dashboard'],
    ['weft control', 'a control plane'],
    ['weft run --name orders --port 8080 -- node server.js', 'a process in the mesh'],
    ['weft apply -f split.yaml --wait', 'change traffic'],
  ])
  return program
}

/** Whatever talks to a control plane can say who it is; told once, under `weft --help`, instead of under every command. */
function addCredentials(command: Command): void {
  for (const each of command.commands) addCredentials(each)
  const has = (long: string): boolean => command.options.some(option => option.long === long)
  if (!has('--control')) return
  for (const [flags, does] of credentials) {
    const option = new Option(flags, does).hideHelp()
    // The token of `weft run` is one to join by.
    if (!has(option.long!)) command.addOption(option)
  }
}

const credentials = [
  ['--token <token>', 'of a user of the operator API'],
  ['--token-file <file>', 'file with the token'],
  ['--ca <file>', 'roots by which the control plane is known, PEM'],
  ['--client-cert <file>', 'client certificate with its chain, PEM'],
  ['--client-key <file>', 'its private key, PEM'],
] as const
