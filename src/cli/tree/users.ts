/** The commands about users of the operator API. */

import type { Command } from 'commander'
import type { Session } from '../session.ts'
import { controlFlag, example, outputFlag, repeated, type Act } from './shape.ts'

export function addUsers(program: Command, session: Session, act: Act): void {
  const { say } = session
  const user = program.command('user').description('who may use the operator API: users with tokens, and who I am').helpCommand(false)
  const commands = async () => import('../commands/user.ts')

  const create = user
    .command('create')
    .description('a user with a token, which is told on stdout and kept nowhere')
    .argument('<name>', 'of the person or program')
    .addOption(repeated('--role <role>', 'viewer, editor or admin, in the whole mesh or in namespaces: editor:shop,cart; may be repeated'))
    .option('--ttl <duration>', 'how long the token holds; 0: for ever (default: 720h)')
    .addOption(outputFlag('json', 'yaml'))
    .addOption(controlFlag())
    .action(act(async (name: string, flags: object) => (await commands()).createUser(session, name, flags)))
  example(create, say, [
    ['weft user create ada --role admin > ada.token', 'a person who may do everything'],
    ['weft user create ci --role viewer --role editor:shop --ttl 24h', 'a program that changes the namespace shop, and reads all'],
  ])
  const list = user
    .command('list')
    .description('users with tokens: their roles, by whom and until when, and when last used')
    .addOption(outputFlag('table', 'json', 'yaml', 'name'))
    .addOption(controlFlag())
    .action(act(async (flags: object) => (await commands()).listUsers(session, flags)))
  example(list, say, [['weft user list', 'who could come in?']])
  const revoke = user
    .command('revoke')
    .description('the token holds no more, and what was begun with it ends')
    .argument('<name>', 'of the user')
    .addOption(controlFlag())
    .action(act(async (name: string, flags: object) => (await commands()).revokeUser(session, name, flags)))
  example(revoke, say, [['weft user revoke ci', 'it went astray']])
  const whoami = user
    .command('whoami')
    .description('who I am to the control plane, how that was proved, and what I may do')
    .addOption(outputFlag('json', 'yaml'))
    .addOption(controlFlag())
    .action(act(async (flags: object) => (await commands()).whoami(session, flags)))
  example(whoami, say, [['weft user whoami', 'why was I refused?']])
}
