/** `weft mtls report`: who still speaks plaintext, and whether it is safe to refuse it. */

import type { MtlsPortReport, MtlsReport } from '#api/mesh-api'
import { exit } from '../exit.ts'
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

/** 0: safe to go strict; 1: not. */
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
  if (safe) say.out(`safe to go strict? ${say.paint('green', 'yes')}: nobody spoke plaintext in the last ${told(withinSeconds)}`)
  else {
    say.out(`safe to go strict? ${say.paint('red', 'no')}:`)
    for (const each of why) say.out(`  ${each}`)
  }
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
