/** The commands about certificates: what is well with them, and the replacement of the root. */

import type { Command } from 'commander'
import type { Session } from '../session.ts'
import { controlFlag, example, outputFlag, type Act } from './shape.ts'

export function addCertificates(program: Command, session: Session, act: Act): void {
  const { say } = session
  const cert = program.command('cert').description('certificates of the mesh: what is well, and a new root').helpCommand(false)
  const commands = async () => import('../commands/cert.ts')

  const doctor = cert
    .command('doctor')
    .description('every certificate with its day, and what is to be done; fails when something is')
    .addOption(outputFlag('table', 'json', 'yaml'))
    .addOption(controlFlag())
    .action(act(async (flags: object) => (await commands()).doctor(session, flags)))
  example(doctor, say, [
    ['weft cert doctor', 'will anything expire?'],
    ['weft cert doctor -o json | jq .findings', 'for an alert'],
  ])

  const rotate = cert
    .command('rotate-root')
    .description('replace the root in three steps without a lost request; without flags: how far it is, and what the next step waits for')
    .option('--plan', 'only tell (the default)')
    .option('--step', 'take the next step, if nothing waits for it')
    .option('--auto', 'the control plane takes each step when nothing waits for it, also after a restart')
    .option('--stop', 'it takes none by itself any more; the stage stays')
    .option('--force', 'with --step: although somebody has not heard of the last one')
    .addOption(outputFlag('table', 'json', 'yaml'))
    .addOption(controlFlag())
    .action(act(async (flags: object) => (await commands()).rotateRoot(session, flags)))
  example(rotate, say, [
    ['weft cert rotate-root', 'the steps, and what they wait for'],
    ['weft cert rotate-root --auto', 'all of it, by itself'],
  ])
}
