/** The commands about resources: apply, get, describe, delete, diff. */

import type { Command } from 'commander'
import type { Session } from '../session.ts'
import { allNamespacesFlag, controlFlag, example, fileFlag, namespaceFlag, outputFlag, recursiveFlag, type Act } from './shape.ts'

export function addResources(program: Command, session: Session, act: Act): void {
  const { say } = session
  program.commandsGroup('Resources:')

  const apply = program
    .command('apply')
    .description('make the mesh as the documents say; nothing is changed when one of them is wrong')
    .addOption(fileFlag())
    .addOption(recursiveFlag())
    .option('--wait [timeout]', 'until every proxy has it active, 30s unless said; fails when one refuses it or a condition is not met')
    .option('--dry-run [where]', 'check and show what would happen: server (also with the server), client (only read the documents)')
    .option('--force-conflicts', 'take over fields that others manage')
    .option('--server-side', 'always so; taken for the habit')
    .addOption(outputFlag('name', 'yaml', 'json'))
    .addOption(namespaceFlag())
    .addOption(controlFlag())
    .action(act(async (flags: object) => (await import('../commands/apply.ts')).apply(session, flags)))
  example(apply, say, [
    ['weft apply -f split.yaml --wait', 'and say when all proxies have it'],
    ['weft apply -f mesh/ -R --dry-run', 'what a folder would change'],
    ['kustomize build . | weft apply -f -', 'from another program'],
  ])

  const get = program
    .command('get')
    .description('show resources: httproutes, services, workloads, …')
    .argument('<kind>', 'plural, singular or short name; several with commas; or all; or KIND/NAME')
    .argument('[name...]', 'only these')
    .addOption(outputFlag('table', 'wide', 'yaml', 'json', 'name'))
    .option('-w, --watch', 'and then every change, until interrupted')
    .option('-l, --selector <labels>', 'only those with these labels, such as app=orders,version!=v1')
    .addOption(namespaceFlag())
    .addOption(allNamespacesFlag())
    .option('--no-headers', 'without the line of headings')
    .option('--show-managed-fields', 'with metadata.managedFields')
    .addOption(controlFlag())
    .action(
      act(async (kind: string, names: readonly string[], flags: object) =>
        (await import('../commands/get.ts')).get(session, kind, names, flags),
      ),
    )
  example(get, say, [
    ['weft get httproutes -A', 'the routes of all namespaces'],
    ['weft get svc,workloads -o wide', 'two kinds, all columns'],
    ['weft get httproute split -o yaml', 'one document'],
    ['weft get workloads -l app=orders -w', 'follow the instances of orders'],
  ])

  const describe = program
    .command('describe')
    .description('all about resources: fields, conditions, which proxies and edges they affect')
    .argument('<kind>', 'a kind, or KIND/NAME')
    .argument('[name...]', 'only these; without, all of the namespace')
    .addOption(namespaceFlag())
    .addOption(controlFlag())
    .action(
      act(async (kind: string, names: readonly string[], flags: object) =>
        (await import('../commands/describe.ts')).describe(session, kind, names, flags),
      ),
    )
  example(describe, say, [['weft describe httproute split', 'why is it not in force?']])

  const remove = program
    .command('delete')
    .description('remove resources')
    .argument('[kind]', 'a kind, or KIND/NAME')
    .argument('[name...]', 'which')
    .addOption(fileFlag())
    .addOption(recursiveFlag())
    .option('--ignore-not-found', 'what is not there is no failure')
    .option('--dry-run', 'show what would be removed')
    .addOption(namespaceFlag())
    .addOption(controlFlag())
    .action(
      act(async (kind: string | undefined, names: readonly string[], flags: object) =>
        (await import('../commands/delete.ts')).remove(session, kind, names, flags),
      ),
    )
  example(remove, say, [
    ['weft delete httproute split', 'one'],
    ['weft delete -f split.yaml', 'what a file names'],
  ])

  const diff = program
    .command('diff')
    .description('what apply would change, as a unified diff; exit code 1 when anything, 2 when it cannot tell')
    .addOption(fileFlag())
    .addOption(recursiveFlag())
    .option('--force-conflicts', 'as if apply took over fields that others manage')
    .addOption(namespaceFlag())
    .addOption(controlFlag())
    .action(act(async (flags: object) => (await import('../commands/diff.ts')).diff(session, flags)))
  example(diff, say, [['weft diff -f split.yaml', 'before it is applied']])
}
