/** The commands that tell what the mesh would do, and by whose word. */

import type { Command } from 'commander'
import type { Session } from '../session.ts'
import { controlFlag, example, namespaceFlag, outputFlag, repeated, type Act } from './shape.ts'

export function addExplain(program: Command, session: Session, act: Act): void {
  const { say } = session
  const explain = program.command('explain').description('what the mesh would do, told without sending anything').helpCommand(false)
  const request = explain
    .command('request')
    .description('the way of a request, a connection or a datagram from a workload to a service; fails when it would not arrive')
    .argument('[request...]', 'METHOD /path, such as GET /items?page=2; of gRPC /package.Service/Method')
    .option('--from <proxy>', 'who asks: a service, a workload, or WORKLOAD.NAMESPACE')
    .option('--to <service>', 'whom it asks, as the program says it: NAME[:PORT], NAME:PORT/udp or a URL')
    .addOption(repeated('-H, --header <header>', "a header of the request: 'name: value'; may be repeated"))
    .addOption(repeated('--claim <name=value>', 'of a token that is verified; may be repeated, of one name for a list'))
    .option('--address <ip>', 'from which address it comes, for rules with ipBlocks')
    .option('--at <time>', 'when, as 2026-12-24T08:00:00Z, for rules with times; absent: now')
    .option('--server-name <name>', 'of a TLS connection that is not decrypted (SNI)')
    .addOption(outputFlag('text', 'json', 'yaml'))
    .addOption(namespaceFlag())
    .addOption(controlFlag())
    .action(act(async (words: string[], flags: object) => (await import('../commands/explain.ts')).explainRequest(session, words, flags)))
  example(request, say, [
    ['weft explain request --from web --to cart:8080 GET /items', 'which rule, which endpoints, and why'],
    ["weft explain request --from web --to cart:8080 /items -H 'x-canary: 1'", 'with a header'],
    ['weft explain request --from web --to stock:7070 /shop.v1.Stock/Get', 'a gRPC call'],
    ['weft explain request --from web --to dns.infra:53/udp', 'a port of UDP'],
    ['weft explain request --from web --to cart:8080 --at 2026-12-24T20:00:00+01:00', 'by the rules that hold then'],
    ['weft explain request --from web --to cart:8080 -o json | jq .explanation.arrives', 'for programs'],
  ])

  const policy = explain
    .command('policy')
    .description('what holds for the calls to a service, field by field, by whose word, and what was overruled by it')
    .argument('<service>', 'SERVICE[.NAMESPACE][:PORT]')
    .option(
      '--from <workload>',
      'for which client: a workload or a service, with .NAMESPACE where that is another; absent: one that no policy names',
    )
    .addOption(repeated('--label <label>', 'a label that the client has besides: KEY=VALUE; may be repeated'))
    .option('--path <path>', 'only of the route that a request for this path takes')
    .option('--method <method>', 'of that request; GET unless said')
    .addOption(repeated('-H, --header <header>', "of that request: 'name: value'; may be repeated"))
    .option('--route <name>', 'only of this route: NAME, or KIND/NAMESPACE/NAME')
    .addOption(repeated('-f, --file <file>', 'of these documents alone, without a control plane: a file, a folder, or -'))
    .option('-R, --recursive', 'with -f: folders inside folders too')
    .addOption(outputFlag('table', 'json', 'yaml'))
    .addOption(namespaceFlag())
    .addOption(controlFlag())
    .action(
      act(async (service: string, flags: object) => (await import('../commands/explain-policy.ts')).explainPolicy(session, service, flags)),
    )
  example(policy, say, [
    ['weft explain policy cart', 'every setting, and where it comes from'],
    ['weft explain policy cart.shop:80 --from checkout', 'for one client'],
    ['weft explain policy cart --from web --label tier=canary --path /items', 'of one route, for a client with a label'],
    ['weft explain policy cart -f manifests/', 'of files, before they are applied'],
    ["weft explain policy cart -o json | jq '.ports[0].routes[0].fields'", 'for programs'],
  ])
}
