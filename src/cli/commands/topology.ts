/** `weft topology`: who calls whom, how much and how well. */

import type { Topology, TopologyEdge, TopologyEnd } from '#api/mesh-api'
import { badUsage, exit } from '../exit.ts'
import { tellLatency } from '../moment.ts'
import { textAs } from '../print.ts'
import { pause, type Session } from '../session.ts'
import { tableLines, type Heading } from '../table.ts'

type Flags = {
  readonly watch?: boolean
  readonly seconds?: string
  readonly output?: 'table' | 'wide' | 'json' | 'yaml'
  readonly namespace?: string
  readonly control?: string
}

const everyMs = 2000

export async function topology(session: Session, { watch, seconds = '60', output = 'table', namespace, control }: Flags): Promise<number> {
  const { say, signal } = session
  if (!/^\d+$/.test(seconds) || Number(seconds) < 5 || Number(seconds) > 600)
    throw badUsage([`--seconds "${seconds}": must be a whole number from 5 to 600`])
  const { client } = await session.reach(control)
  for (let round = 0; ; round++) {
    const now = ofNamespace(await client.topology(Number(seconds)), namespace)
    if (output === 'json' && watch) say.out(JSON.stringify(now))
    else if (output === 'json' || output === 'yaml') say.raw(watch ? `---\n${await textAs(output, now)}` : await textAs(output, now))
    else {
      const lines = edgeLines(say, now, output === 'wide')
      // At a terminal the table stays in place; in a pipe tables follow each other.
      if (watch && say.isTTY) say.raw(`${round === 0 ? '\x1b[2J' : ''}\x1b[H${lines.map(line => `${line}\x1b[K`).join('\n')}\n\x1b[J`)
      else say.out((round > 0 ? '\n' : '') + lines.join('\n'))
    }
    if (!watch) return exit.ok
    await pause(everyMs, signal)
    if (signal.aborted) return exit.ok
  }
}

function ofNamespace(topology: Topology, namespace: string | undefined): Topology {
  if (namespace === undefined) return topology
  return {
    ...topology,
    services: topology.services.filter(service => service.namespace === namespace),
    edges: topology.edges.filter(({ source, destination }) => source.namespace === namespace || destination.namespace === namespace),
  }
}

const headings: readonly Heading[] = [
  { name: 'source' },
  { name: 'destination' },
  { name: 'protocol' },
  { name: 'rate/s', right: true },
  { name: 'success', right: true, style: cell => (cell === '100%' ? 'green' : Number.parseFloat(cell) < 99 ? 'red' : 'yellow') },
  { name: 'p50', right: true },
  { name: 'p99', right: true },
  { name: 'mtls', style: cell => (cell === 'yes' ? 'green' : 'yellow') },
]
const wideHeadings: readonly Heading[] = [
  ...headings,
  { name: 'bytes/s', right: true },
  { name: 'open', right: true },
  { name: 'source identity' },
  { name: 'destination identity' },
]

export function edgeLines(
  say: Pick<Session['say'], 'paint'>,
  { edges, seconds }: Pick<Topology, 'edges' | 'seconds'>,
  wide: boolean,
): readonly string[] {
  if (edges.length === 0) return [`no traffic in the last ${seconds} s`]
  const rows = [...edges].sort((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1)).map(edge => edgeRow(edge, wide))
  return tableLines(say, wide ? wideHeadings : headings, rows)
}

const tellEnd = ({ service, namespace }: TopologyEnd): string => (namespace === '' ? service : `${service}.${namespace}`)
const keyOf = ({ source, destination, protocol }: TopologyEdge): string => `${tellEnd(source)} ${tellEnd(destination)} ${protocol}`

function edgeRow(edge: TopologyEdge, wide: boolean): readonly string[] {
  const { source, destination, protocol, rate, success, p50, p99, mtls, bytesPerSecond, openConnections } = edge
  const row = [
    tellEnd(source),
    tellEnd(destination),
    protocol,
    rate.toFixed(1),
    tellShare(success),
    tellLatency(p50),
    tellLatency(p99),
    mtls ? 'yes' : 'no',
  ]
  return wide
    ? [...row, String(Math.round(bytesPerSecond)), String(openConnections), source.identity ?? '', destination.identity ?? '']
    : row
}

/** Never rounds a failure away. */
export const tellShare = (share: number): string => (share >= 1 ? '100%' : `${(Math.floor(share * 10_000) / 100).toFixed(2)}%`)
