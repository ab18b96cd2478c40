/** The commands that show what the mesh does now: status, topology, proxy, check. */

import type { Command } from 'commander'
import type { Session } from '../session.ts'
import { allNamespacesFlag, controlFlag, example, namespaceFlag, outputFlag, type Act } from './shape.ts'

export function addMesh(program: Command, session: Session, act: Act): void {
  const { say } = session
  program.commandsGroup('Mesh:')

  const status = program
    .command('status')
    .description('control plane, store, certificates and proxies; fails when something needs attention')
    .addOption(outputFlag('table', 'json', 'yaml'))
    .addOption(controlFlag())
    .action(act(async (flags: object) => (await import('../commands/status.ts')).status(session, flags)))
  example(status, say, [
    ['weft status', 'is all well?'],
    ['weft status -o json | jq .proxies', 'for programs'],
  ])

  const topology = program
    .command('topology')
    .description('who calls whom: rate, success, latency, identities')
    .option('-w, --watch', 'again every two seconds, until interrupted')
    .option('--seconds <seconds>', 'counted over this long (default: 60)')
    .addOption(outputFlag('table', 'wide', 'json', 'yaml'))
    .addOption(namespaceFlag())
    .addOption(controlFlag())
    .action(act(async (flags: object) => (await import('../commands/topology.ts')).topology(session, flags)))
  example(topology, say, [
    ['weft topology -w', 'live'],
    ['weft topology -o wide -n shop', 'with identities, edges of one namespace'],
  ])

  const proxy = program
    .command('proxy')
    .description('the proxies and what each was told; with --from a proxy by a file, without a control plane')
    .helpCommand(false)
    .enablePositionalOptions()
    .option(
      '--from <file>',
      'serve by the Envoy resources (static_resources, or a list with "@type") in this file, read again when it changes',
    )
    .option('--certs <folder>', 'with cert.pem, key.pem and ca.pem, where the file names no certificates')
    .option('--admin <port>', 'metrics, readiness and configuration on loopback; 0: any free one')
    .option('--dns <port>', 'answer DNS on loopback too, names of the file first; 0: any free port')
    .option('--workers <number>', 'so many processes accept and relay, replaced when they crash (default: this one does)')
    .option('--drain <seconds>', 'how long what is open may take at the end and at a restart (default: 5)')
    .addOption(outputFlag('json'))
    .action(
      act(async (flags: { readonly from?: string }, command: Command) => {
        if (Object.keys(flags).length === 0) command.help({ error: true })
        return session.edge.proxy((await import('../options.ts')).proxyOptions({ ...flags }))
      }),
    )
  example(proxy, say, [
    ['weft proxy --from proxy.yaml', 'see docs/guide/proxy-from-a-file.md'],
    ['weft proxy --from proxy.yaml --certs ./certs --admin 9901 -o json', 'where it listens, as JSON'],
    ['weft proxy list -A', 'the proxies of a mesh'],
  ])
  const restart = proxy
    .command('restart')
    .description('exchange what serves of a proxy by a file for new processes, without a lost request; ends when those serve')
    .argument('<admin>', 'address of its admin pages')
    .action(act(async (admin: string) => (await import('../commands/proxy.ts')).proxyRestart(session, admin)))
  example(restart, say, [['weft proxy restart http://127.0.0.1:9901', 'the same as kill -USR2 PID, with an answer']])
  const list = proxy
    .command('list')
    .description('every proxy and whether it is in sync')
    .addOption(outputFlag('table', 'wide', 'json', 'yaml', 'name'))
    .addOption(namespaceFlag())
    .addOption(allNamespacesFlag())
    .addOption(controlFlag())
    .action(act(async (flags: object) => (await import('../commands/proxy.ts')).proxyList(session, flags)))
  example(list, say, [['weft proxy list -A', 'of all namespaces']])
  const connections = proxy
    .command('connections')
    .description('its connections with TLS, and what was agreed on; only on the machine where it runs')
    .argument('<proxy>', 'a service, a workload, or WORKLOAD.NAMESPACE')
    .addOption(outputFlag('table', 'json', 'yaml'))
    .addOption(namespaceFlag())
    .addOption(controlFlag())
    .action(act(async (name: string, flags: object) => (await import('../commands/connections.ts')).proxyConnections(session, name, flags)))
  example(connections, say, [['weft proxy connections orders', 'with version, key exchange and cipher of each']])
  const parts = [
    ['config', 'its whole configuration', ['yaml', 'json']],
    ['endpoints', 'where its requests can go', ['table', 'json', 'yaml']],
    ['routes', 'how its requests are routed', ['table', 'json', 'yaml']],
  ] as const
  for (const [part, description, formats] of parts) {
    const command = proxy
      .command(part)
      .description(description)
      .argument('<proxy>', 'a service, a workload, or WORKLOAD.NAMESPACE')
      .addOption(outputFlag(...formats))
      .addOption(namespaceFlag())
      .addOption(controlFlag())
      .action(act(async (name: string, flags: object) => (await import('../commands/proxy.ts')).proxyPart(session, part, name, flags)))
    example(command, say, [[`weft proxy ${part} orders`, 'of an instance of the service orders']])
  }

  const mtls = program.command('mtls').description('mutual TLS: who still speaks plaintext').helpCommand(false)
  const report = mtls
    .command('report')
    .description('is it safe to go strict? yes or no, with the list of who speaks plaintext; ends with 1 for no')
    .option('--service <name>', 'only to workloads of this service')
    .option('--port <port>', 'only to this port of them, by number or name')
    .option('--within <duration>', 'what was longer ago does not count any more (default: 10m)')
    .addOption(outputFlag('table', 'json', 'yaml'))
    .addOption(namespaceFlag())
    .addOption(controlFlag())
    .action(act(async (flags: object) => (await import('../commands/mtls.ts')).mtlsReport(session, flags)))
  example(report, say, [
    ['weft mtls report', 'may the whole mesh go strict?'],
    ['weft mtls report -n shop --service cart --port http --within 24h', 'one port, by a day'],
  ])

  const audit = program
    .command('audit')
    .description('who changed what, when and how, newest first')
    .option('--since <duration>', 'only of this long, such as 24h')
    .option('--kind <kind>', 'only of this kind, such as HTTPRoute')
    .option('--name <name>', 'only of the object of this name')
    .option('--who <who>', 'only by them')
    .option('--limit <number>', 'so many at most (default: 50; with -o jsonl: all)')
    .option('--diff', 'each field before and after')
    .addOption(outputFlag('table', 'json', 'yaml', 'jsonl'))
    .addOption(namespaceFlag())
    .addOption(controlFlag())
    .action(act(async (flags: object) => (await import('../commands/audit.ts')).audit(session, flags)))
  example(audit, say, [
    ['weft audit --since 1h --diff', 'what happened in the last hour?'],
    ['weft audit --kind HTTPRoute -n shop --name split', 'the life of one route'],
    ['weft audit -o jsonl > audit.jsonl', 'all of it, to keep elsewhere'],
  ])

  const check = program
    .command('check')
    .description(
      'can this machine run the mesh, does the control plane answer, do versions agree; and every way around the proxies that is seen',
    )
    .option('--bypasses', 'only the ways around the proxies; ends with 1 where there are some')
    .addOption(outputFlag('table', 'json', 'yaml'))
    .addOption(controlFlag())
    .action(act(async (flags: object) => (await import('../commands/check.ts')).check(session, flags)))
  example(check, say, [
    ['weft check', 'before the first weft run'],
    ['weft check --bypasses', 'what gets past the proxies, and what to do about it'],
  ])
}
