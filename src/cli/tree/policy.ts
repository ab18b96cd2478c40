/** The commands about policies as a whole: what they are expected to do, what they should be, and what a change would do. */

import type { Command } from 'commander'
import type { Session } from '../session.ts'
import { controlFlag, example, fileFlag, namespaceFlag, outputFlag, recursiveFlag, repeated, type Act } from './shape.ts'

export function addPolicy(program: Command, session: Session, act: Act): void {
  const { say } = session
  const policy = program
    .command('policy')
    .description('policies as a whole: expectations of them, and suggestions from traffic')
    .helpCommand(false)

  const test = policy
    .command('test')
    .description('what is expected of documents, without a mesh; fails when one expectation is not met')
    .argument('<file...>', 'files of expectations; see docs/guide/least-privilege.md')
    .addOption(fileFlag())
    .addOption(recursiveFlag())
    .addOption(outputFlag('table', 'json', 'yaml', 'junit'))
    .addOption(namespaceFlag())
    .action(act(async (files: string[], flags: object) => (await import('../commands/policy-test.ts')).policyTest(session, files, flags)))
  example(test, say, [
    ['weft policy test policy-test.yaml', 'the documents that the file lists'],
    ['weft policy test expectations/*.yaml -f manifests/ -R', 'other documents'],
    ['weft policy test policy-test.yaml -o junit > report.xml', 'for a CI server'],
  ])

  const suggest = policy
    .command('suggest')
    .description('the AccessPolicies that allow what was seen and nothing else; rules that nobody needed; calls that no rule names')
    .option('--paths', 'with methods and paths, gRPC services and methods; absent: whoever called a port may call all of it')
    .option('--since <duration>', 'only of calls that were seen in this long, such as 24h')
    .option('--all', 'also for calls that a rule names already')
    .addOption(outputFlag('yaml', 'json'))
    .addOption(namespaceFlag())
    .addOption(controlFlag())
    .action(act(async (flags: object) => (await import('../commands/suggest.ts')).suggest(session, flags)))
  example(suggest, say, [
    ['weft policy suggest > policies.yaml', 'to be read, and then applied'],
    ['weft policy suggest --paths -n shop --since 24h', 'to the path, for one namespace'],
    ["weft policy suggest -o json | jq '.unused, .uncovered'", 'for programs'],
  ])

  const lockdown = program
    .command('lockdown')
    .description('the policies for what was seen, and a mesh that denies the rest: shows what would be denied; fails while it is not safe')
    .option('--apply', 'do it, after showing it')
    .option('--force', 'although it is not safe')
    .option('--paths', 'with methods and paths')
    .option('--min-watch <duration>', 'how long calls must have been watched (default: 1h)')
    .option('--wait <duration>', 'how long to wait for proxies at each step (default: 30s)')
    .addOption(outputFlag('text', 'json', 'yaml'))
    .addOption(controlFlag())
    .action(act(async (flags: object) => (await import('../commands/suggest.ts')).lockdown(session, flags)))
  example(lockdown, say, [
    ['weft lockdown', 'what would be applied, and what it would break'],
    ['weft lockdown --apply --min-watch 24h', 'only after a day of watching'],
  ])

  const rehearse = program
    .command('rehearse')
    .description('which calls that were seen would get another verdict or go another way with these documents; fails when one does')
    .addOption(fileFlag())
    .addOption(recursiveFlag())
    .option('--since <duration>', 'only of calls that were seen in this long, such as 10m')
    .option('--calls <file>', 'without a mesh: calls as GET /weft/v1/calls told them')
    .addOption(repeated('--base <path>', 'with --calls: the documents that are there now; may be repeated'))
    .addOption(outputFlag('table', 'json', 'yaml'))
    .addOption(namespaceFlag())
    .addOption(controlFlag())
    .action(act(async (flags: object) => (await import('../commands/rehearse.ts')).rehearse(session, flags)))
  example(rehearse, say, [
    ['weft rehearse -f new.yaml', 'before weft apply -f new.yaml'],
    ['weft rehearse -f new.yaml --base manifests/ --calls calls.json', 'in CI, with calls recorded before'],
  ])
}
