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
    ['weft explain request --from web --to cart:8080 -o json | jq .explanation.arrives', 'for programs'],
  ])
}
