/** Measures Weft beside its peers and prints Markdown; the long form also writes bench/RESULTS.md. `npm run bench -- --help`. */

import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { cpus, loadavg, release, tmpdir, totalmem } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { balanceTable } from './balance.ts'
import { writeCertificates } from './certificates.ts'
import { compileTable } from './compile.ts'
import { type Generator, makeGenerator, startApplication } from './load.ts'
import { canServe, type Ground, type Measured, measure } from './measure.ts'
import type { Missing, Peer } from './peer.ts'
import { findPeers, peerNames } from './peers.ts'
import { isPinned, Processes } from './processes.ts'
import { markdown, type Row } from './report.ts'
import { policiesTable } from './policies.ts'
import { routeTablesTable } from './route-tables.ts'
import { routesTable } from './routes.ts'
import { type Scenario, scenarios } from './scenarios.ts'

const results = new URL('RESULTS.md', import.meta.url)
/** What people write below this line stays when the figures are written anew. */
const byHand = '<!-- Below: written by people, kept by `npm run bench`. -->'

/** Rows of what one part costs by itself, without proxies beside it: what they print is Markdown. */
const parts: Readonly<Record<string, () => readonly string[] | Promise<readonly string[]>>> = {
  balance: balanceTable,
  routes: routesTable,
  'route-tables': () => (values.quick ? routeTablesTable(1, 0.2) : routeTablesTable()),
  compile: compileTable,
  policies: () => policiesTable(values.quick ? 5 : 60),
}
const rowNames = [...scenarios.map(({ name }) => name), ...Object.keys(parts)]

const usage = `npm run bench -- [ROW…] [--quick] [--scenarios A,B] [--peers A,B] [--rounds N] [--seconds N] [--out FILE]

Measures proxies side by side on loopback: CPU of the proxies, throughput, latency, memory.
  --quick       one short round, printed only
  ROW, --scenarios
                ${rowNames.join(', ')}
  --peers       ${peerNames.join(', ')}
  --rounds      times that all peers are gone through (3)
  --seconds     of each measurement (3)
  --out         where the report goes; all scenarios and peers together go to bench/RESULTS.md`

const text = { type: 'string' } as const
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    quick: { type: 'boolean' },
    scenarios: text,
    peers: text,
    rounds: text,
    seconds: text,
    out: text,
    help: { type: 'boolean', short: 'h' },
  },
})
if (values.help) {
  console.log(usage)
  process.exit(0)
}
if (process.platform !== 'linux') {
  console.error('npm run bench reads /proc, so it needs Linux')
  process.exit(1)
}
const chosen = pick('--scenarios', positionals.length > 0 ? positionals.join(',') : values.scenarios, rowNames)
const names = pick('--peers', values.peers, peerNames)
const rounds = Number(values.rounds ?? (values.quick ? 1 : 3))
const seconds = Number(values.seconds ?? (values.quick ? 1 : 3))
const isWhole = !values.quick && positionals.length === 0 && values.scenarios === undefined && values.peers === undefined

function pick(flag: string, given: string | undefined, known: readonly string[]): readonly string[] {
  if (given === undefined) return known
  const asked = given.split(',')
  const unknown = asked.find(name => !known.includes(name))
  if (unknown === undefined) return asked
  console.error(`${flag}: there is no "${unknown}"; choose from ${known.join(', ')}`)
  process.exit(2)
}

if (chosen.every(name => name in parts)) {
  write(await partsOf(chosen))
  process.exit(0)
}
const { peers, missing } = await findPeers(names)
const folder = mkdtempSync(join(tmpdir(), 'weft-bench-'))
const processes = new Processes(folder)
for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.once(signal, () => void processes[Symbol.asyncDispose]().then(() => cleanUp(signal === 'SIGINT' ? 130 : 143)))

function cleanUp(code: number): never {
  rmSync(folder, { recursive: true, force: true })
  process.exit(code)
}

let isGood = true
try {
  const certs = join(folder, 'certs')
  mkdirSync(certs)
  await writeCertificates(certs)
  const generator = makeGenerator(folder)
  const application = await startApplication(generator, processes)
  const ground: Ground = { processes, generator, application, folder, certs, seconds, warmTurns: values.quick ? 2 : 6 }
  const rows: Row[] = []
  const absent: Absent[] = []
  for (const scenario of scenarios.filter(({ name }) => chosen.includes(name))) {
    const why = scenario.absent ?? unableTo(generator, scenario)
    if (why === undefined) rows.push(...(await measureAll(scenario, peers, ground)))
    else absent.push({ scenario, why })
  }
  isGood = rows.every(row => row.failed === undefined)
  const compared = markdown({ rows, missing: [...missing, ...lacking(rows, peers)], facts: facts(generator), absent })
  write([compared, await partsOf(chosen)].filter(text => text !== '').join('\n'))
} finally {
  await processes[Symbol.asyncDispose]()
}
cleanUp(isGood ? 0 : 1)

async function partsOf(rows: readonly string[]): Promise<string> {
  const lines: string[] = []
  // In turn: each wants the machine for itself.
  for (const name of rows) if (name in parts) lines.push(`### ${name}`, '', ...(await parts[name]!()), '')
  return lines.join('\n')
}

type Absent = { readonly scenario: Scenario; readonly why: string }

function unableTo({ lacks }: Generator, { load }: Scenario): string | undefined {
  return lacks !== undefined && lacks.modes.includes(load.mode ?? '') ? `the load cannot be made: ${lacks.why}` : undefined
}

/** Goes round the peers in turn, so that a busy minute of the machine falls on all. */
async function measureAll(scenario: Scenario, all: readonly Peer[], ground: Ground): Promise<readonly Row[]> {
  const able = all.filter(peer => canServe(peer, scenario))
  const seen = new Map<Peer, (Measured | undefined)[]>(able.map(peer => [peer, []]))
  const failed = new Map<Peer, string>()
  for (let round = 1; round <= rounds; round++)
    for (const peer of able) {
      console.error(`… ${scenario.name} ${round}/${rounds} ${peer.name}`)
      const measured = await measure(peer, scenario, ground).catch((error: unknown) => {
        failed.set(
          peer,
          String(error instanceof Error ? error.message : error)
            .replaceAll('\n', ' ')
            .slice(0, 300),
        )
        return undefined
      })
      seen.get(peer)!.push(measured)
    }
  return able.map(peer => ({ scenario, peer, rounds: seen.get(peer)!, ...(failed.has(peer) ? { failed: failed.get(peer)! } : {}) }))
}

/** Peers that are here but without what some scenario needs. */
function lacking(rows: readonly Row[], all: readonly Peer[]): readonly Missing[] {
  return all.flatMap(peer => {
    const absent = [...new Set(rows.map(row => row.scenario))].filter(scenario => peer.name !== 'direct' && !canServe(peer, scenario))
    return absent.length === 0
      ? []
      : [{ name: `${peer.name}: ${absent.map(({ name }) => name).join(', ')}`, missing: peer.lacks ?? 'it has no such role' }]
  })
}

function facts(generator: Generator): readonly string[] {
  const processors = cpus()
  const pins = isPinned
    ? 'proxies share one core, load and application another'
    : 'nothing is pinned to a core (no taskset, or one core only): figures swing widely'
  return [
    `${new Date().toISOString().slice(0, 10)}; ${processors.length} × ${processors[0]?.model.trim() || 'unknown processor'}, ${Math.round(totalmem() / 2 ** 30)} GiB, Linux ${release()}`,
    `${rounds} round${rounds === 1 ? '' : 's'} of ${seconds} s; median (lowest–highest); ${pins}`,
    `load average of the last 15 minutes: ${loadavg()[2]!.toFixed(1)} (the bench itself makes about 2; more is other work, and then latencies say little)`,
    `load and application: ${generator.says}`,
    'CPU: user and system time of all proxy processes for one good request (connection, GiB). "Weft ÷ this" compares within each round: below 1 Weft costs less. Other work on the machine moves absolute figures by half, ratios much less.',
  ]
}

function write(report: string): void {
  console.log(report)
  const to = values.out ?? (isWhole ? results : undefined)
  if (to === undefined) return
  const kept = existsSync(to) ? readFileSync(to, 'utf8').split(byHand)[1] : undefined
  writeFileSync(to, `# Weft beside other proxies\n\nWritten by \`npm run bench\`.\n\n${report}\n${byHand}${kept ?? '\n'}`)
}
