/** The command tree: which commands there are, what they take, and examples of each. Nothing heavy is loaded before a command runs. */

import { Command } from 'commander'
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
      '\nExit codes: 0 done · 1 failed, or weft diff found a difference · 2 wrongly called.\nThe control plane is found by --control URL, WEFT_CONTROL, the current context (weft context), http://127.0.0.1:7070.',
    )
  const act: Act =
    run =>
    async (...given) =>
      ended(await run(...given))
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
  example(program, say, [
    ['weft demo', 'a shop of small services in a mesh, with load and a dashboard'],
    ['weft control', 'a control plane'],
    ['weft run --name orders --port 8080 -- node server.js', 'a process in the mesh'],
    ['weft apply -f split.yaml --wait', 'change traffic'],
  ])
  return program
}
