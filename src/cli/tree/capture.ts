/** The command that brings programs into the mesh which Weft did not start. */

import type { Command } from 'commander'
import { runOptions } from '../options.ts'
import type { Session } from '../session.ts'
import { addExclusions, addJoining, controlFlag, example, repeated, sixRandom, type Act, type RemoteFlags } from './shape.ts'

type Flags = RemoteFlags & { readonly clean?: boolean; readonly all?: boolean }

export function addCapture(program: Command, session: Session, act: Act): void {
  const { edge, say } = session
  const capture = program
    .command('capture')
    .description('put programs into the mesh that run already: by user, by cgroup, or all of this machine; needs root')
    .option('--name <name>', 'of the workload; its service too unless --service says another')
    .option('-n, --namespace <namespace>', 'where it lives')
    .option('--service <service>', 'the service it belongs to')
    .option('--app-version <version>', 'its label "version", by which routes tell versions apart')
    .addOption(repeated('--uid <user>', 'programs of this user, by name or number; may be repeated'))
    .addOption(repeated('--cgroup <path>', 'programs in this cgroup, such as system.slice/orders.service; may be repeated'))
    .option('--all', 'every program of this machine; with --clean: the rules of captures that live too')
    .addOption(
      repeated('--port <port>', 'where the workload listens: [NAME:]PORT[/PROTOCOL]; its callers are captured too; may be repeated'),
    )
    .addOption(repeated('--label <label>', 'KEY=VALUE; may be repeated'))
    .option('--locality <place>', 'where it runs: REGION/ZONE[/HOST]; callers may prefer what is near them')
    .option('--weight <number>', 'its part of the traffic beside other workloads of the service, 0 to 1000; 1 unless said')
    .option('--ready-http <check>', 'ready when GET PORT/PATH answers 2xx or 3xx, such as 8080/healthz')
    .option('--ready-grpc <check>', 'ready when grpc.health.v1 at PORT[/SERVICE] says SERVING, such as 9000/shop.Cart')
    .option('--ready-command <command>', 'ready when this command of the shell, run beside the workload, ends with 0')
    .option('--ready <check>', 'tcp: ready when the first port accepts; none: at once')
    .option('--ready-interval <duration>', 'how often it is asked once it is ready (default: 1s)')
    .option('--ready-timeout <duration>', 'how long an answer may take (default: 1s)')
    .option('--ready-failures <number>', 'so many failures on end, and it is not ready any more (default: 1)')
    .option('--transparent', 'callers arrive by TPROXY instead of a rewritten destination')
    .option('--address <host>', 'where other proxies reach this one')
    .option('--external-vips', 'give every name outside the mesh a virtual address, so that hosts on one port are told apart')
    .addOption(
      repeated(
        '--dns-server <address>',
        'a DNS server, HOST or HOST:PORT, that is asked for names outside the mesh in place of those of this machine; may be repeated',
      ),
    )
    .option('--detect-timeout <duration>', 'how long a port of unknown protocol waits for first bytes (default: 60ms)')
    .option('--admin-port <port>', 'of the proxy: metrics and state (default: any free one)')
    .option('--drain <seconds>', 'how long requests under way may take at the end (default: 5)')
    .option('--clean', 'only take away rules that a crash left behind')
    .addOption(controlFlag())
    .action(
      act(async (flags: Flags) => {
        if (flags.clean) return edge.cleanCapture({ all: flags.all === true })
        const address = await session.address(flags.control)
        return edge.run(runOptions({ ...flags, onHost: true }, [], address, sixRandom()))
      }),
    )
  addExclusions(capture, 'outbound', 'inbound')
  addJoining(capture)
  example(capture, say, [
    ['sudo weft capture --name orders --port 8080 --cgroup system.slice/orders.service', 'a service of systemd'],
    ['sudo weft capture --name db --port 5432/tcp --uid postgres', 'all programs of a user'],
    ['sudo weft capture --name host --all --exclude-outbound-ports 22', 'everything, but for SSH'],
    ['sudo weft capture --clean', 'after a crash'],
  ])
}
