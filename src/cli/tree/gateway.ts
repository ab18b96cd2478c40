/** The command that runs the proxy of a Gateway. */

import type { Command } from 'commander'
import { gatewayOptions } from '../options.ts'
import type { Session } from '../session.ts'
import { addJoining, controlFlag, example, namespaceFlag, sixRandom, type Act, type RemoteFlags } from './shape.ts'

export function addGateway(program: Command, session: Session, act: Act): void {
  const { edge, say } = session
  const gateway = program
    .command('gateway')
    .description('carry out a Gateway: listen on its ports for callers from outside, and hand them to workloads of the mesh')
    .option('--name <name>', 'of the Gateway')
    .addOption(namespaceFlag())
    .option('--address <host>', 'where callers reach this machine, for the status of the Gateway (default: 127.0.0.1)')
    .option('--admin-port <port>', 'of the proxy: metrics and state (default: any free one)')
    .option('--drain <seconds>', 'how long requests under way may take at the end (default: 5)')
    .addOption(controlFlag())
    .action(
      act(async (flags: RemoteFlags) => edge.gateway(gatewayOptions({ ...flags }, await session.address(flags.control), sixRandom()))),
    )
  addJoining(gateway)
  example(gateway, say, [
    ['weft gateway --name web', 'the Gateway web of the current namespace; see docs/guide/gateway.md'],
    ['weft gateway --name web -n shop --address 203.0.113.7', 'another namespace, and what its status tells callers'],
  ])
}
