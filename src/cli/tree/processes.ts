/** The commands that run processes: demo, control, run. What they do is the program's; here their flags are read. */

import type { Command } from 'commander'
import { controlOptions, demoOptions, runOptions } from '../options.ts'
import type { Session } from '../session.ts'
import { addExclusions, addJoining, controlFlag, example, outputFlag, repeated, sixRandom, type Act, type RemoteFlags } from './shape.ts'

export function addProcesses(program: Command, session: Session, act: Act): void {
  const { edge, say } = session
  program.commandsGroup('Run:')

  const demo = program
    .command('demo')
    .description('a shop of small services in a mesh, under load, with a dashboard')
    .option('--for <duration>', 'end after this long and print a table of the traffic, such as 30s')
    .addOption(outputFlag('table', 'json'))
    .option('--rate <number>', 'requests a second of the load')
    .option('--keep', 'leave data and logs behind')
    .action(act((flags: object) => edge.demo(demoOptions({ ...flags }))))
  example(demo, say, [
    ['weft demo', 'until Ctrl-C'],
    ['weft demo --for 30s -o json', 'half a minute, then what was measured as JSON'],
  ])

  const control = program
    .command('control')
    .description('start a control plane: operator API, dashboard, configuration and certificates of proxies')
    .option('--data <folder>', 'where its store and keys are kept')
    .option('--api-port <port>', 'operator API and dashboard; 0: any free one (default: 7070)')
    .option('--xds-port <port>', 'for proxies; 0: any free one (default: 7071)')
    .option('--api-host <host>', 'address of the operator API; beyond this machine it requires login and TLS (default: 127.0.0.1)')
    .addOption(repeated('--api-name <name>', 'by which operators reach it, for a certificate of the mesh; may be repeated'))
    .option('--api-cert <file>', 'certificate of the operator API with its chain, PEM; read again when it changes')
    .option('--api-key <file>', 'its private key, PEM')
    .option('--insecure-plaintext-api', 'serve the operator API without TLS beyond this machine: tokens travel readable')
    .option('--require-login', 'on this machine too, whoever calls the operator API must prove who they are')
    .option(
      '--operators <file>',
      'who may use the operator API besides users with tokens: OpenID Connect, client certificates, roles, limits',
    )
    .option('--xds-host <host>', 'address for proxies (default: 127.0.0.1)')
    .option(
      '--attest-socket <path>',
      'a socket where processes of this machine get the identities that Registrations give them: SPIFFE Workload API; weft run --attest-socket joins by it',
    )
    .option('--attest-roots <file>', 'roots, PEM, of certificates of others by which workloads may join, as Registrations say')
    .option('--trust-domain <name>', 'of all identities; fixed at the first start (default: weft.local)')
    .option(
      '--spiffe-id-template <path>',
      'of the identities of workloads; fixed at the first start (default: /ns/{namespace}/sa/{serviceAccount})',
    )
    .option(
      '--leaf-life <duration>',
      'of the certificates of workloads, renewed at two thirds of it; how long proxies can do without the control plane: 3s to 24h (default: 24h)',
    )
    .option('--authority <file>', 'which authority signs certificates (Vault, step-ca, files, a program); without: keys of its own')
    .option(
      '--rejoin-within <duration>',
      'how long after its end a certificate still brings its workload back; 0: not at all (default: 720h)',
    )
    .option('--bundle-port <port>', 'serve the roots of the mesh to others, as a SPIFFE bundle endpoint; 0: any free one')
    .option('--bundle-host <host>', 'its address (default: 127.0.0.1)')
    .option('--bundle-cert <file>', 'its certificate for its host name, PEM (https_web); without: that of the control plane (https_spiffe)')
    .option('--bundle-key <file>', 'its private key, PEM')
    .option('--bundle-refresh <duration>', 'how often others are to ask again: 1s to 24h (default: 5m)')
    .option(
      '--redis <url>',
      'where global rate limits are counted, so that control planes share them: redis://[USER@]HOST:PORT, rediss:// for TLS; password in WEFT_REDIS_PASSWORD',
    )
    .addOption(outputFlag('json'))
    .action(act((flags: object) => edge.control(controlOptions({ ...flags }))))
  example(control, say, [
    ['weft control', 'at http://127.0.0.1:7070, data in ~/.local/state/weft'],
    ['weft control --authority vault.yaml', 'certificates of a HashiCorp Vault; see docs/guide/certificates.md'],
    ['weft control --data ./mesh --api-port 0 --xds-port 0 -o json', 'on free ports, told as JSON'],
  ])

  const run = program
    .command('run')
    .description('put a process into the mesh; ends with its exit code')
    .usage('--name NAME [options] -- COMMAND [ARGUMENTS...]')
    .argument('[command...]', 'the command and its arguments, behind --')
    .passThroughOptions()
    .option('--name <name>', 'of the workload; its service too unless --service says another')
    .option('-n, --namespace <namespace>', 'where it lives')
    .option('--service <service>', 'the service it belongs to')
    .option('--app-version <version>', 'its label "version", by which routes tell versions apart')
    .option('--version-label <version>', 'the same')
    .addOption(
      repeated(
        '--port <port>',
        'where it listens: [NAME:]PORT[/PROTOCOL], protocol http, http2, grpc, tcp, tls, udp or detect; may be repeated',
      ),
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
    .addOption(
      repeated('--publish <ports>', 'a port of this machine that leads to one of the workload: [HOST:]HOSTPORT:PORT; may be repeated'),
    )
    .option(
      '--accept-proxy-protocol',
      'published ports are called by a balancer that speaks the PROXY protocol, 1 or 2: its header says who calls, and who sends none is refused',
    )
    .option('--capture <how>', 'namespace: transparently, in a network namespace; proxy: by HTTP_PROXY; auto: what this machine allows')
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
    .addOption(controlFlag())
    .action(
      act(async (command: readonly string[], flags: RemoteFlags) => {
        const address = await session.address(flags.control)
        return edge.run(runOptions({ ...flags }, command, address, sixRandom()))
      }),
    )
  addJoining(run)
  addExclusions(run, 'outbound')
  example(run, say, [
    ['weft run --name orders --port 8080 -- node server.js', 'called as http://orders:8080 by the others'],
    ['weft run --name web --port web:80/http --publish 9000:80 -- nginx -g "daemon off;"', 'also at http://127.0.0.1:9000'],
    ['weft run --name reviews-v2 --service reviews --app-version v2 --port 8080 -- ./reviews', 'a second version of a service'],
    ['weft run --name import -- python3 import.py', 'a job: calls the mesh, is not called'],
  ])
}
