/** The figures as Markdown: a table for each scenario, medians with their range, and how Weft stands to each peer. */

import type { Measured } from './measure.ts'
import type { Missing, Peer } from './peer.ts'
import type { Pledge, Scenario } from './scenarios.ts'

/** rounds: one entry for each time it was measured; undefined where that failed. */
export type Row = {
  readonly scenario: Scenario
  readonly peer: Peer
  readonly rounds: readonly (Measured | undefined)[]
  readonly failed?: string
}

export type Report = {
  readonly rows: readonly Row[]
  readonly missing: readonly Missing[]
  /** Lines about when, where and how. */
  readonly facts: readonly string[]
  /** Scenarios that were asked for and could not be measured, and why. */
  readonly absent: readonly { readonly scenario: Scenario; readonly why: string }[]
}

const titles: Readonly<Record<string, string>> = {
  cpuUs: 'CPU µs',
  rate: 'per second',
  p50: 'p50 µs',
  p99: 'p99 µs',
  addedP50: 'p50 added µs',
  addedP99: 'p99 added µs',
  rssMiB: 'RSS MiB',
  cpuPerGiB: 'CPU s per GiB',
  gbits: 'Gbit/s',
  idleMiB: 'idle MiB',
  heldMiB: 'with 1,000 idle connections MiB',
}

/** What is compared first: the cost. */
const costs: Readonly<Record<Scenario['kind'], string>> = { requests: 'cpuUs', connections: 'cpuUs', bytes: 'cpuPerGiB', memory: 'idleMiB' }

export function markdown({ rows, missing, facts, absent }: Report): string {
  const scenarios = [...new Set(rows.map(row => row.scenario))]
  const peers = [...new Set(rows.map(row => row.peer))].filter(peer => peer.name !== 'direct')
  return [
    ...facts.map(fact => `- ${fact}`),
    '',
    '| proxy | version | what it does for a request |',
    '|---|---|---|',
    ...peers.map(peer => `| ${peer.name} | ${peer.version} | ${peer.does} |`),
    ...missing.map(({ name, missing: why }) => `| ${name} | – | not measured: ${why} |`),
    '',
    ...promises(rows, absent),
    '',
    ...scenarios.flatMap(scenario => [
      `### ${scenario.name}`,
      '',
      `${scenario.title}.`,
      '',
      ...table(
        scenario,
        rows.filter(row => row.scenario === scenario),
      ),
      '',
    ]),
  ].join('\n')
}

function table(scenario: Scenario, rows: readonly Row[]): readonly string[] {
  const weft = rows.find(row => row.peer.name === 'weft')
  const direct = rows.find(row => row.peer.name === 'direct')
  const whole = rows.map(row => overDirect(scenario, row, direct))
  const columns = Object.keys(titles).filter(key => whole.some(row => row.rounds.some(round => round?.[key] !== undefined)))
  const cost = costs[scenario.kind]
  const line = (row: Row): string => {
    const cells = columns.map(key => (row.peer.name === 'direct' && (key === cost || key === 'rssMiB') ? '' : cell(values(row, key))))
    const ratio = weft === undefined || row.peer.name === 'weft' || row.peer.name === 'direct' ? '' : ratioOf(weft, row, cost)
    return `| ${row.peer.name} | ${cells.join(' | ')} | ${row.failed === undefined ? ratio : `failed: ${row.failed}`} |`
  }
  return [
    `| | ${columns.map(key => titles[key]).join(' | ')} | Weft ÷ this, ${titles[cost]} |`,
    `|---|${columns.map(() => '---:|').join('')}---:|`,
    ...whole.map(line),
  ]
}

/** Latency over that of no proxy at all, where the rate is fixed. */
const overDirect = (scenario: Scenario, row: Row, direct: Row | undefined): Row =>
  scenario.load.rate === undefined || direct === undefined || row === direct ? row : withAdded(row, direct)

const values = (row: Row, key: string): readonly number[] => row.rounds.flatMap(round => (round?.[key] === undefined ? [] : [round[key]]))

/** Round by round. */
function withAdded(row: Row, direct: Row): Row {
  const rounds = row.rounds.map((round, at) => {
    const base = direct.rounds[at]
    if (round === undefined || base === undefined) return round
    return { ...round, addedP50: round['p50']! - base['p50']!, addedP99: round['p99']! - base['p99']! }
  })
  return { ...row, rounds }
}

/** What was promised for each scenario, and whether it is so. */
function promises(rows: readonly Row[], absent: Report['absent']): readonly string[] {
  const measured = [...new Set(rows.map(row => row.scenario))].flatMap(scenario => {
    const here = rows.filter(row => row.scenario === scenario)
    const direct = here.find(row => row.peer.name === 'direct')
    const rowOf = (name: string) => {
      const row = here.find(({ peer }) => peer.name === name)
      return row && overDirect(scenario, row, direct)
    }
    return scenario.pledges.map(pledge => [scenario, pledge, reached(pledge, rowOf)] as const)
  })
  const none = absent.flatMap(({ scenario, why }) => scenario.pledges.map(pledge => [scenario, pledge, why] as const))
  if (measured.length + none.length === 0) return []
  return [
    '### Promises',
    '',
    '| row | figure of one Weft | promised | measured | kept |',
    '|---|---|---:|---:|---|',
    ...[...measured, ...none].map(([{ name }, { figure: key, most, of }, now]) => {
      const unit = of === undefined ? '' : `× ${of}`
      const [told, kept] =
        typeof now === 'string' ? [now, ''] : [`${figure(now)}${of === undefined ? '' : '×'}`, now <= most ? 'yes' : '**no**']
      return `| ${name} | ${titles[key]} | ≤ ${most}${unit} | ${told} | ${kept} |`
    }),
  ]
}

/** The figure, or why there is none. */
function reached({ figure: key, of }: Pledge, rowOf: (name: string) => Row | undefined): number | string {
  const weft = rowOf('weft')
  if (weft === undefined || values(weft, key).length === 0) return weft?.failed === undefined ? 'not measured' : `failed: ${weft.failed}`
  if (of === undefined) return median(values(weft, key))
  const other = rowOf(of)
  const found = other === undefined ? [] : ratios(weft, other, key)
  return found.length > 0 ? median(found) : `${of} was not measured`
}

/** Of two figures of one round, for what the machine does besides changes from round to round; the median of these. */
function ratioOf(weft: Row, other: Row, key: string): string {
  const found = ratios(weft, other, key)
  return found.length === 0 ? '' : `${median(found).toFixed(2)}×`
}

const ratios = (weft: Row, other: Row, key: string): readonly number[] =>
  weft.rounds.flatMap((round, at) => {
    const ours = round?.[key]
    const theirs = other.rounds[at]?.[key]
    return ours === undefined || theirs === undefined || theirs === 0 ? [] : [ours / theirs]
  })

function cell(of: readonly number[]): string {
  if (of.length === 0) return ''
  return of.length === 1 ? figure(of[0]!) : `${figure(median(of))} (${figure(Math.min(...of))}–${figure(Math.max(...of))})`
}

function median(of: readonly number[]): number {
  const sorted = of.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}

const figure = (value: number): string =>
  Math.abs(value) >= 100 ? Math.round(value).toLocaleString('en-US') : value.toPrecision(Math.abs(value) >= 10 ? 3 : 2)
