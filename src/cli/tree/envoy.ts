/** The command that puts an Envoy in the place of Weft's own proxy. */

import type { Command } from 'commander'
import { envoyOptions } from '../options.ts'
import type { Session } from '../session.ts'
import { addJoining, controlFlag, example, namespaceFlag, repeated, sixRandom, type Act, type RemoteFlags } from './shape.ts'

export function addEnvoy(program: Command, session: Session, act: Act): void {
  const { edge, say } = session
  const envoy = program
    .command('envoy')
    .description('run Envoy as the proxy of a workload: certificates, configuration and leave in order are looked after')
    .argument('[arguments...]', 'for Envoy itself, behind --')
    .option('--name <name>', 'of the workload; its service too unless --service says another')
    .addOption(namespaceFlag())
    .option('--service <service>', 'the service it belongs to')
    .option('--app-version <version>', 'its label "version", by which routes tell versions apart')
    .addOption(repeated('--port <port>', 'where the workload listens: [NAME:]PORT[/PROTOCOL]; may be repeated'))
    .addOption(repeated('--label <label>', 'KEY=VALUE; may be repeated'))
    .option('--locality <place>', 'where it runs: REGION/ZONE[/HOST]; callers may prefer what is near them')
    .option('--weight <number>', 'its part of the traffic beside other workloads of the service, 0 to 1000; 1 unless said')
    .option('--ready-http <check>', 'ready when GET PORT/PATH answers 2xx or 3xx, such as 8080/healthz')
    .option('--ready <check>', 'tcp: ready when the first port accepts; none: at once')
    .option('--envoy <program>', 'the program; else "envoy", where PATH leads')
    .option('--agent-only', 'do not start Envoy: print where its bootstrap is, and serve it certificates until told to end')
    .option('--address <host>', 'where other proxies reach this one')
    .option('--admin-port <port>', "of Envoy's admin page (default: any free one)")
    .option('--drain <seconds>', 'how long requests under way may take at the end (default: 5)')
    .addOption(controlFlag())
    .action(
      act(async (args: readonly string[], flags: RemoteFlags) =>
        edge.envoy(envoyOptions({ ...flags }, args, await session.address(flags.control), sixRandom())),
      ),
    )
  addJoining(envoy)
  example(envoy, say, [
    ['weft envoy --name orders --port 8080', 'the program listens on 8080, and runs by itself; see docs/guide/envoy.md'],
    ['weft envoy --name orders --port 8080 --envoy ./envoy -- --concurrency 2', 'another program, with flags of its own'],
    ['weft envoy --name orders --port 8080 --agent-only', 'prints the path of the bootstrap, for an Envoy started elsewhere'],
  ])
}
