/** `weft mtls report`: who still speaks plaintext, and whether it is safe to refuse it. */

import { nearest } from '#base/near'
import type { Client, ServedKind } from '#api/client'
import type { MtlsPortReport, MtlsReport } from '#api/mesh-api'
import { exit, Stopped } from '../exit.ts'
import { Flags } from '../flags/collect.ts'
import { tellAgo } from '../moment.ts'
import { printAs } from '../print.ts'
import type { Session } from '../session.ts'
import { printTable } from '../table.ts'

type Given = {
  readonly namespace?: string
  readonly service?: string
  readonly port?: string
  readonly within?: string
  readonly output?: 'table' | 'json' | 'yaml'
  readonly control?: string
}

const usualMs = 600_000
/** Proxies tell what is new once a second: what came within this may not have been told yet. */
const untoldSeconds = 2

/** 0: safe to go strict; 1: not; 2: there is no such Service. */
export async function mtlsReport(session: Session, given: Given): Promise<number> {
  const { say } = session
  const { output = 'table', service, port } = given
  const flags = new Flags(given)
  const namespace = flags.label('namespace')
  const withinMs = flags.duration('within') ?? usualMs
  flags.stopIfWrong()
  const { client } = await session.reach(given.control)
  const report = await client.mtls({
    ...(namespace === undefined ? {} : { namespace }),
    ...(service === undefined ? {} : { service }),
    ...(port === undefined ? {} : { port }),
    withinSeconds: Math.ceil(withinMs / 1000),
  })
  if (report.ports.length === 0 && service !== undefined) await expectService(client, service, namespace)
  if (output !== 'table') await printAs(say, output, report)
  else {
    show(session, report)
    const policies = strictPolicies(report, { namespace, service, port })
    if (policies.length === 0) return report.safe ? exit.ok : exit.failed
    say.out(`\n${report.safe ? 'strict' : 'when it is safe, strict'} by (narrower policies that say otherwise hold on):`)
    say.out(`weft apply -f - <<'END'\n${policies.join('\n---\n')}\nEND`)
  }
  return report.safe ? exit.ok : exit.failed
}

const servicesKind: Pick<ServedKind, 'group' | 'version' | 'plural' | 'namespaced'> = {
  group: '',
  version: 'v1',
  plural: 'services',
  namespaced: true,
}

/** Throws Stopped where neither a Service nor a workload is called so: the answer would be about nothing. */
async function expectService(client: Pick<Client, 'list' | 'mtls'>, service: string, namespace: string | undefined): Promise<void> {
  const [{ items }, { ports }] = await Promise.all([
    client.list(servicesKind, namespace === undefined ? {} : { namespace }),
    client.mtls(namespace === undefined ? {} : { namespace }),
  ])
  const known = [...new Set([...items.map(({ metadata }) => metadata.name), ...ports.map(each => each.service)])]
  if (known.includes(service)) return
  const near = nearest(service, known)
  const where = namespace === undefined ? '' : ` in the namespace ${namespace}`
  const remedy = near === undefined ? 'weft get services lists them' : `did you mean "${near}"?`
  throw new Stopped(`there is no Service "${service}"${where}; ${remedy}`, exit.usage)
}

type Asked = { readonly namespace: string | undefined; readonly service: string | undefined; readonly port: string | undefined }

/** What makes the places strict that were asked about; none where they are. */
function strictPolicies({ ports }: MtlsReport, { namespace, service, port }: Asked): readonly string[] {
  const open = ports.filter(({ mode }) => mode !== 'strict')
  const policy = (name: string, where: string, target: string): string =>
    `apiVersion: weft.dev/v1alpha1
kind: AuthenticationPolicy
metadata: { name: ${name}, namespace: ${where} }
spec: { targetRefs: [${target}], mtls: { mode: Strict } }`
  if (open.length === 0) return []
  if (service === undefined)
    return [
      namespace === undefined ? policy('strict', 'weft-system', '{ kind: Mesh }') : policy('strict', namespace, '{ kind: Namespace }'),
    ]
  const section = port === undefined ? '' : open.find(({ name }) => name !== undefined)?.name
  // A port without a name cannot be aimed at alone: the document is left to whoever knows what else the Service has.
  if (section === undefined) return []
  return [...new Set(open.map(each => each.namespace))].map(where =>
    policy(`${service}-strict`, where, `{ kind: Service, name: ${service}${section === '' ? '' : `, sectionName: ${section}`} }`),
  )
}

function show(session: Session, report: MtlsReport): void {
  const { say } = session
  if (report.ports.length > 0)
    printTable(
      say,
      [
        { name: 'workload' },
        { name: 'port', right: true },
        { name: 'mode', style: cell => (cell === 'strict' ? 'green' : 'yellow') },
        { name: 'mutual tls', right: true },
        { name: 'plaintext', style: cell => (cell === 'none' ? 'green' : 'yellow') },
        { name: 'last' },
      ],
      report.ports.map(each => rowOf(session, each)),
    )
  const { safe, why, watchedSeconds, withinSeconds } = report
  say.out('')
  if (safe)
    say.out(
      `safe to go strict? ${say.paint('green', 'yes')}: nobody spoke plaintext in the last ${told(withinSeconds)}, by what proxies have reported: of the last ${untoldSeconds} s it may not be all`,
    )
  else {
    say.out(`safe to go strict? ${say.paint('red', 'no')}:`)
    for (const each of why) say.out(`  ${each}`)
  }
  if (report.ports.length === 0) return
  const isShort = watchedSeconds < withinSeconds
  say.out(
    `watched for ${told(watchedSeconds)}${isShort ? `, which is less than the ${told(withinSeconds)} asked about: ask again later` : ''}`,
  )
}

function rowOf(
  { now }: Session,
  { workload, namespace, port, mode, mutual, callers, refused, watchedSince }: MtlsPortReport,
): readonly string[] {
  const names = callers.map(({ address, workload: name, open }) => `${name ?? address}${open > 0 ? ` (${open} open)` : ''}`)
  const turnedAway = refused.map(({ address }) => `${address} (refused)`)
  const all = [...names, ...turnedAway]
  const last = [...callers, ...refused]
    .map(({ lastAt }) => lastAt)
    .sort()
    .at(-1)
  return [
    `${workload}.${namespace}`,
    String(port),
    mode,
    String(mutual),
    watchedSince === undefined ? 'unknown' : all.length === 0 ? 'none' : all.join(', '),
    last === undefined ? '' : tellAgo(last, now()),
  ]
}

const told = (seconds: number): string =>
  seconds >= 7200 ? `${Math.floor(seconds / 3600)} h` : seconds >= 120 ? `${Math.floor(seconds / 60)} min` : `${seconds} s`
