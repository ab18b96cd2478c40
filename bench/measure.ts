/** One peer in one scenario, once: start, warm up, measure, stop. */

import type { ChildProcess } from 'node:child_process'
import { type Application, type Generator, load, whileHolding } from './load.ts'
import type { Peer } from './peer.ts'
import { cores, cpuSeconds, freePort, type Processes, rssMiB } from './processes.ts'
import type { Scenario } from './scenarios.ts'

/** Keys are the columns of report.ts. */
export type Measured = Readonly<Record<string, number>>

export type Ground = {
  readonly processes: Processes
  readonly generator: Generator
  readonly application: Application
  readonly folder: string
  readonly certs: string
  readonly seconds: number
  /** Turns of a second at most, see `warmUp`. */
  readonly warmTurns: number
}

export const canServe = (peer: Peer, scenario: Scenario): boolean =>
  scenario.absent === undefined &&
  (peer.name === 'direct'
    ? scenario.kind !== 'memory' && scenario.load.mode !== 'mtls'
    : scenario.roles.every(role => peer.roles[role] !== undefined))

export async function measure(peer: Peer, scenario: Scenario, ground: Ground): Promise<Measured> {
  const { processes, folder, certs, application } = ground
  const proxies: ChildProcess[] = []
  let port = application[scenario.application ?? 'http']
  try {
    if (peer.name !== 'direct')
      for (const role of scenario.roles.toReversed()) {
        const listen = await freePort()
        proxies.push(await processes.start(cores.proxies, peer.roles[role]!({ listen, to: port, folder, certs }), listen))
        port = listen
      }
    return await under(scenario, proxies, port, ground)
  } finally {
    for (const proxy of proxies) await processes.stop(proxy)
  }
}

async function under(scenario: Scenario, proxies: readonly ChildProcess[], port: number, ground: Ground): Promise<Measured> {
  const { generator, seconds, certs } = ground
  await warmUp(scenario, proxies, port, ground)
  if (scenario.kind === 'memory') {
    const each = () => rssMiB(proxies) / proxies.length
    const idle = each()
    return { idleMiB: idle, heldMiB: await whileHolding(generator, port, 1000, each) }
  }
  const before = cpuSeconds(proxies)
  const seen = await load(generator, port, { seconds, certs, ...scenario.load })
  const cpu = cpuSeconds(proxies) - before
  if (scenario.kind === 'bytes') return { cpuPerGiB: (cpu * 2 ** 30) / seen.bytes, gbits: (seen.bytes * 8) / seen.seconds / 1e9 }
  return { cpuUs: (cpu * 1e6) / seen.good, rate: seen.good / seen.seconds, p50: seen.p50, p99: seen.p99, rssMiB: rssMiB(proxies) }
}

/** CPU seconds after which a proxy has opened its connections and compiled what it runs. */
const warmAfter = 1.5

/** As fast as it goes, until every proxy has had that much: on a busy core the clock says little about it. */
async function warmUp(
  scenario: Scenario,
  proxies: readonly ChildProcess[],
  port: number,
  { generator, warmTurns, certs }: Ground,
): Promise<void> {
  if (scenario.kind === 'bytes') return void (await load(generator, port, { ...scenario.load, size: 2 ** 28 }))
  const { rate: _, ...closed } = scenario.load
  for (let turn = 0; turn < warmTurns; turn++) {
    await load(generator, port, { seconds: 1, certs, ...closed })
    if (scenario.kind === 'memory' || proxies.every(proxy => cpuSeconds([proxy]) >= warmAfter)) return
  }
}
