/** What `weft run`, `weft control`, `weft proxy` and `weft demo` are asked to do: flags read and checked, every problem said together. */

import type { Exclusions } from '#base/exclusions'
import type { Locality } from '#model/backend'
import type { Protocol } from '#model/listener'
import type { ProxyNode } from '#model/workload'
import type { ControlAddress } from './context.ts'
import { readExclusions, readUids } from './flags/capture.ts'
import { Flags } from './flags/collect.ts'
import { type Joining, readJoining } from './flags/joining.ts'
import { readReadiness } from './flags/readiness.ts'
import { readLabel, readLocality, readPort, readPublish, type Publish, type RunPort, samePort } from './flags/workload.ts'
import type { Raw } from './options/raw.ts'

export type { ControlAddress } from './context.ts'
export { type ControlOptions, controlOptions } from './options/control.ts'
export type { Raw }

export type { OtherIdentity } from './flags/joining.ts'

export type RunOptions = Joining & {
  readonly name: string
  /** Name of this instance: `NAME-` and six random characters. */
  readonly workload: string
  readonly namespace: string
  readonly service: string
  /** The label `version`, if given; it is in `labels` too. */
  readonly version?: string
  readonly ports: readonly RunPort[]
  /** With `app` (the service) and `version`, unless labels of these names were given. */
  readonly labels: Readonly<Record<string, string>>
  /** Where it runs; a host that is not said is this machine. */
  readonly locality?: Locality
  /** Of the traffic, beside other workloads of the service; absent: 1. */
  readonly weight?: number
  readonly probe: ProxyNode['probe']
  /** Where that is a command. */
  readonly readyCommand?: readonly string[]
  /** Ports of this machine that lead to ports of the workload. */
  readonly publish: readonly Publish[]
  /** Each connection to a published port begins with a PROXY header. */
  readonly acceptProxyProtocol?: true
  /** auto: namespace where this machine allows it, else proxy. */
  readonly capture: 'auto' | 'namespace' | 'proxy'
  /** Passed on plainly, without the mesh. */
  readonly exclude: Exclusions
  /** Every name outside the mesh gets a virtual address of its own. */
  readonly externalVips: boolean
  /** Who is asked for names outside, in order; empty: the servers of the machine. */
  readonly dnsServers: readonly string[]
  /** How long an undeclared port waits for first bytes; absent: as the proxy has it. */
  readonly detectMs?: number
  /** Where other proxies reach this one; absent: found out. */
  readonly address?: string
  /** 0: any free port. */
  readonly adminPort: number
  /** How long requests under way may take at the end. */
  readonly drainMs: number
  readonly control: ControlAddress
  readonly command: readonly string[]
  /** Beside what this process has. */
  readonly env?: Readonly<Record<string, string>>
  /** Absent: where this process is. */
  readonly cwd?: string
  /** Instead of a command: programs of this machine that run already. */
  readonly host?: HostOptions
}

export type HostOptions = {
  readonly select: { readonly uids: readonly string[]; readonly cgroups: readonly string[]; readonly all: boolean }
  /** Callers arrive by TPROXY, not by a rewritten destination. */
  readonly transparent: boolean
}

export type GatewayOptions = Pick<RunOptions, 'name' | 'workload' | 'namespace' | 'adminPort' | 'drainMs' | 'control'> &
  Joining & {
    /** Where callers outside the mesh reach this machine. */
    readonly address: string
  }

/** command: what Envoy is started with beside its configuration. agentOnly: it is started by somebody else. */
export type EnvoyOptions = Pick<
  RunOptions,
  | 'name'
  | 'workload'
  | 'namespace'
  | 'service'
  | 'ports'
  | 'labels'
  | 'locality'
  | 'weight'
  | 'probe'
  | 'token'
  | 'attestSocket'
  | 'other'
  | 'address'
  | 'adminPort'
  | 'drainMs'
  | 'control'
  | 'command'
> & { readonly program: string; readonly agentOnly: boolean }

/** all: the rules of captures that live, too. */
export type CleanOptions = { readonly all: boolean }

/** forMs: then a table is printed and it ends; absent: until interrupted. rate: requests a second of the load. keep: leaves data and logs behind. */
export type DemoOptions = {
  readonly forMs?: number
  readonly output: 'table' | 'json'
  readonly rate?: number
  readonly keep: boolean
}

/** from, certs: as typed, relative to the working directory. adminPort: 0 any free one; absent: what the file says, or none. */
export type ProxyOptions = {
  readonly from: string
  readonly certs?: string
  readonly adminPort?: number
  /** Processes that accept and relay; absent: this one does. */
  readonly workers?: number
  /** Of mesh DNS on loopback, 0: any free one; absent: there is none. */
  readonly dnsPort?: number
  readonly drainMs: number
  readonly json: boolean
}

const protocols: readonly Protocol[] = ['http', 'http2', 'grpc', 'tcp', 'tls', 'udp', 'detect']

/** random: six characters of a-z0-9. Throws Stopped with every problem. */
export function runOptions(raw: Raw, command: readonly string[], control: ControlAddress, random: string): RunOptions {
  const flags = new Flags(raw)
  const name = flags.label('name') ?? flags.missing('--name', 'a name for the workload, such as --name orders', '')
  const service = flags.label('service') ?? name
  const version = flags.labelValue('appVersion') ?? flags.labelValue('versionLabel')
  if (raw['appVersion'] !== undefined && raw['versionLabel'] !== undefined)
    flags.wrong('--app-version and --version-label mean the same: give one')
  const ports = flags.each('port', text => readPort(text, protocols))
  for (const [at, port] of ports.entries())
    if (ports.findIndex(other => samePort(other, port) || other.name === port.name) < at)
      flags.wrong(`--port ${port.port}: the port or its name is given twice`)
  const labels = Object.fromEntries([
    ['app', service],
    ...(version === undefined ? [] : [['version', version]]),
    ...flags.each('label', readLabel),
  ]) as Record<string, string>
  const readiness = readReadiness(raw, flags, ports)
  const publish = flags.each('publish', readPublish)
  for (const { port } of publish) {
    const declared = ports.filter(each => each.port === port)
    if (declared.length > 0 && declared.every(({ protocol }) => protocol === 'udp'))
      flags.wrong(`--publish leads to port ${port}, which takes datagrams: only ports of TCP can be published`)
  }
  if (raw['acceptProxyProtocol'] === true && publish.length === 0)
    flags.wrong('--accept-proxy-protocol is about published ports: add --publish, or take it away')
  const locality = flags.one('locality', readLocality)
  const weight = flags.whole('weight', 0, 1000)
  const capture = flags.choice('capture', ['auto', 'namespace', 'proxy']) ?? 'auto'
  const exclude = readExclusions(flags)
  const detectMs = readDetect(flags)
  const dnsServers = readDnsServers(flags)
  const adminPort = flags.whole('adminPort', 0, 65_535) ?? 0
  const drainMs = flags.duration('drain') ?? 5000
  const host = readHost(raw, flags)
  if (command.length === 0 && host === undefined)
    flags.wrong('the command to run is missing: put it behind --, such as: weft run --name orders --port 8080 -- node server.js')
  const [address, namespace] = [flags.text('address'), flags.label('namespace') ?? control.namespace]
  const joining = readJoining(flags)
  flags.stopIfWrong()
  return {
    name,
    workload: `${name.slice(0, 56).replace(/-+$/, '')}-${random}`,
    namespace,
    service,
    ports,
    labels,
    ...readiness,
    publish,
    ...(raw['acceptProxyProtocol'] === true ? { acceptProxyProtocol: true } : {}),
    capture,
    exclude,
    externalVips: raw['externalVips'] === true,
    dnsServers,
    adminPort,
    drainMs,
    control,
    command,
    ...(version === undefined ? {} : { version }),
    ...(locality === undefined ? {} : { locality }),
    ...(weight === undefined ? {} : { weight }),
    ...(host === undefined ? {} : { host }),
    ...(detectMs === undefined ? {} : { detectMs }),
    ...joining,
    ...(address === undefined ? {} : { address }),
  }
}

/** The flags that `weft envoy` shares with `weft run` mean the same. args: for Envoy itself. */
export function envoyOptions(raw: Raw, args: readonly string[], control: ControlAddress, random: string): EnvoyOptions {
  const program = typeof raw['envoy'] === 'string' ? raw['envoy'] : 'envoy'
  const shared = runOptions(raw, [program], control, random)
  return { ...shared, command: args, program, agentOnly: raw['agentOnly'] === true }
}

/** Only `weft capture` has these flags, and says so by `onHost`. */
function readHost(raw: Raw, flags: Flags): HostOptions | undefined {
  if (raw['onHost'] !== true) return undefined
  const select = {
    uids: flags.each('uid', readUids).flat(),
    cgroups: flags.each('cgroup', text => (/^[^"\s{};]+$/.test(text) ? { value: text } : { says: 'must be a path below /sys/fs/cgroup' })),
    all: raw['all'] === true,
  }
  if (select.uids.length + select.cgroups.length === 0 && !select.all)
    flags.wrong('which programs? give --uid USER, --cgroup PATH or --all; each but --all may be repeated')
  return { select, transparent: raw['transparent'] === true }
}

/** An IP address, or that and a port. */
const readDnsServers = (flags: Flags): readonly string[] =>
  flags.each('dnsServer', text =>
    /^(\d{1,3}(\.\d{1,3}){3}|\[[0-9a-f:]+\])(:\d{1,5})?$|^[0-9a-f:]+$/i.test(text)
      ? { value: text }
      : { says: 'must be an IP address such as 10.0.0.2, or one with a port such as 10.0.0.2:5353' },
  )

/** Shorter, and what comes in two pieces would not be told; longer, and users would feel it. */
function readDetect(flags: Flags): number | undefined {
  const detectMs = flags.duration('detectTimeout')
  if (detectMs !== undefined && detectMs > 10_000) flags.wrong('--detect-timeout: must be at most 10s')
  return detectMs
}

export function gatewayOptions(raw: Raw, control: ControlAddress, random: string): GatewayOptions {
  const flags = new Flags(raw)
  const name = flags.label('name') ?? flags.missing('--name', 'the name of the Gateway, such as --name web', '')
  // The name of its service account is longer, and a label too.
  if (name.length > 58) flags.wrong('--name: must be at most 58 characters long')
  const adminPort = flags.whole('adminPort', 0, 65_535) ?? 0
  const drainMs = flags.duration('drain') ?? 5000
  const joining = readJoining(flags)
  const [address = '127.0.0.1', namespace] = [flags.text('address'), flags.label('namespace') ?? control.namespace]
  flags.stopIfWrong()
  const workload = `${name.slice(0, 50)}-weft-${random}`
  return { name, workload, namespace, address, adminPort, drainMs, control, ...joining }
}

export function proxyOptions(raw: Raw): ProxyOptions {
  const flags = new Flags(raw)
  const from = flags.text('from') ?? flags.missing('--from', 'a file of Envoy resources, such as --from proxy.yaml', '')
  const certs = flags.text('certs')
  const adminPort = flags.whole('admin', 0, 65_535)
  const workers = flags.whole('workers', 1, 256)
  const dnsPort = flags.whole('dns', 0, 65_535)
  const drainMs = flags.duration('drain') ?? 5000
  const json = flags.choice('output', ['json']) === 'json'
  flags.stopIfWrong()
  return {
    from,
    drainMs,
    json,
    ...(certs === undefined ? {} : { certs }),
    ...(adminPort === undefined ? {} : { adminPort }),
    ...(workers === undefined ? {} : { workers }),
    ...(dnsPort === undefined ? {} : { dnsPort }),
  }
}

export function demoOptions(raw: Raw): DemoOptions {
  const flags = new Flags(raw)
  const forMs = flags.duration('for')
  if (forMs === 0) flags.wrong('--for 0: must be longer than nothing, such as 30s')
  const output = flags.choice('output', ['table', 'json']) ?? 'table'
  const rate = flags.whole('rate', 1, 100_000)
  flags.stopIfWrong()
  return { output, keep: raw['keep'] === true, ...(forMs === undefined ? {} : { forMs }), ...(rate === undefined ? {} : { rate }) }
}
