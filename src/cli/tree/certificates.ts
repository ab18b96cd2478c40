/** The commands about certificates: what is well with them, who is not believed any more, and the replacement of the root. */

import type { Command } from 'commander'
import type { Session } from '../session.ts'
import { type Act, controlFlag, example, outputFlag, repeated } from './shape.ts'

export function addCertificates(program: Command, session: Session, act: Act): void {
  const { say } = session
  const cert = program
    .command('cert')
    .description('certificates of the mesh: what is well, whom to believe no more, and a new root')
    .helpCommand(false)
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

  const revoking = async () => import('../commands/revoke.ts')
  const revoke = cert
    .command('revoke')
    .argument('[identity...]', 'SPIFFE ids or patterns (spiffe://weft.local/ns/shop/*), or SERVICE.NAMESPACE')
    .description('believe somebody no more: open connections end within seconds, and there are no new certificates')
    .addOption(repeated('--serial <hex>', 'a single certificate; may be repeated'))
    .addOption(repeated('--trust-domain <name>', 'all of another trust domain; may be repeated'))
    .option('--reason <reason>', 'such as KeyCompromise; it stands in the revocation list')
    .option('--comment <text>', 'why, for people')
    .option('--until <time>', 'when it ends by itself: 12h, or 2026-01-31T12:00:00Z')
    .option('--name <name>', 'of the Revocation; made of whom it names unless said')
    .option('--undo', 'take it back')
    .addOption(outputFlag('table', 'json', 'yaml'))
    .addOption(controlFlag())
    .action(act(async (identities: string[], flags: object) => (await revoking()).revoke(session, identities, flags)))
  example(revoke, say, [
    ['weft cert revoke web.shop --reason KeyCompromise', 'a workload'],
    ['weft cert revoke "spiffe://weft.local/ns/shop/*" --until 2h', 'a namespace, for two hours'],
    ['weft cert revoke --serial 4f2a… --reason Superseded', 'one certificate; its workload gets another'],
    ['weft cert revoke web.shop --undo', 'believe it again'],
  ])

  const revoked = cert
    .command('revocations')
    .description('who is not believed any more')
    .option('--all', 'also those that have ended, and those that are refused')
    .addOption(outputFlag('table', 'json', 'yaml'))
    .addOption(controlFlag())
    .action(act(async (flags: object) => (await revoking()).revocations(session, flags)))
  example(revoked, say, [['weft cert revocations', 'all of them, newest first']])

  const bundle = cert
    .command('bundle')
    .description('the roots of this mesh as a SPIFFE bundle, for another one that is to believe it')
    .addOption(controlFlag())
    .action(act(async (flags: object) => (await commands()).bundle(session, flags)))
  example(bundle, say, [['weft cert bundle > weft.local.json', 'for spec.bundle of a TrustDomain there']])

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
