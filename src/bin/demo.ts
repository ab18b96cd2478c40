/** `weft demo`: a control plane and a shop of nine unmodified programs, each wrapped by `weft run`, under a steady load. Everything it starts ends with it. */

import { connect, type Client } from '#api/client'
import type { TopologyEdge } from '#api/mesh-api'
import type { DemoOptions } from '#cli/options'
import { tableLines } from '#cli/table'
import { temporaryFolder, writeAtomic } from '#io/files'
import { listen } from '#io/net'
import { type Process, startProcess } from '#io/process'
import { type DemoProgram, edges, load, services } from './demo/shop.ts'
import type { DemoWorld } from './world.ts'

/** How long the shop may take until every edge has traffic. */
const patienceMs = 60_000

export async function demo(options: DemoOptions, world: DemoWorld): Promise<number> {
  const { say, signal } = world
  const folder = await temporaryFolder('weft-demo-')
  const began = Date.now()
  const running: Process[] = []
  const died = Promise.withResolvers<string>()
  let lost: (what: string) => void = died.resolve
  const start = async (
    name: string,
    command: readonly string[],
    env: Readonly<Record<string, string>> = {},
    onLine?: (line: string) => void,
  ): Promise<Process> => {
    const logFile = `${folder.path}/${name}.log`
    const process = await startProcess({
      command,
      env: { ...world.env, ...env, WEFT_CONTROL: undefined, XDG_STATE_HOME: `${folder.path}/state` },
      cwd: world.shopFolder,
      logFile,
      ...(onLine === undefined ? {} : { onLine }),
    })
    running.push(process)
    void process.exited.then(({ code, signal: by }) => lost(`${name} ended (${by ?? `exit code ${code}`}); its log is ${logFile}`))
    return process
  }
  let shoppers: Promise<Process> | undefined
  let keep = options.keep
  try {
    say('… starting the control plane')
    const control = await startControl(world, folder.path, start)
    say(`… starting ${services.length + 1} workloads, each by: weft run --name NAME --port PORT -- node PROGRAM.mjs`)
    const wrap = ({ name, args, script, env }: DemoProgram, more: Readonly<Record<string, string>> = {}) =>
      start(name, [...world.self, 'run', '--control', control, ...args, '--', world.node, script], { ...env, ...more })
    // All at once; the load begins when there is something to load, for its first request is to succeed.
    const opening = `${folder.path}/opening`
    shoppers = wrap(load, { OPENING: opening, ...(options.rate === undefined ? {} : { RATE: String(options.rate) }) })
    await Promise.all([shoppers, ...services.map(program => wrap(program))])
    const client = connect(control)
    const meshed = Promise.race([died.promise, everyService(client, signal)])
    let failed = await meshed
    if (failed === undefined && !signal.aborted) {
      await writeAtomic(opening, '')
      say(`… all are ready after ${((Date.now() - began) / 1000).toFixed(1)} s: the first shoppers come in`)
      failed = await Promise.race([died.promise, everyEdge(client, signal)])
    }
    if (signal.aborted) return 0
    if (failed !== undefined) {
      keep = true
      say(`✗ ${failed}`)
      return 1
    }
    say(`✓ traffic on all ${edges.length} edges after ${((Date.now() - began) / 1000).toFixed(1)} s`)
    if (options.forMs === undefined) {
      invite(world, control, folder.path)
      // To kill one of them is a thing to try: the mesh is there so that the others go on.
      lost = what => {
        if (signal.aborted) return
        keep = true
        say(`✗ ${what}. The others go on; weft status tells what is gone`)
      }
      void died.promise.then(lost)
      await whenAborted(signal)
      return 0
    }
    const over = await Promise.race([died.promise, pause(options.forMs, signal)])
    const seconds = Math.max(10, Math.min(600, Math.round(options.forMs / 1000)))
    const result = judge((await client.topology(seconds)).edges)
    world.print(
      options.output === 'json' ? `${JSON.stringify({ seconds, control, ...result }, undefined, 2)}\n` : report(result.edges, world.isTTY),
    )
    const problems = [...(over === undefined ? [] : [over]), ...result.problems]
    for (const problem of problems) say(`✗ ${problem}`)
    keep ||= problems.length > 0
    return problems.length > 0 ? 1 : 0
  } catch (thrown) {
    say(`✗ ${thrown instanceof Error ? thrown.message : String(thrown)}`)
    return 1
  } finally {
    // The load first, so that nothing fails on the way down; the control plane last.
    await (await shoppers?.catch(() => undefined))?.stop()
    await Promise.all(running.slice(1).map(process => process.stop()))
    await running[0]?.stop()
    if (keep) say(`logs and data are kept in ${folder.path}`)
    else await folder[Symbol.asyncDispose]()
  }
}

type Start = (
  name: string,
  command: readonly string[],
  env?: Readonly<Record<string, string>>,
  onLine?: (line: string) => void,
) => Promise<unknown>

/** Ports 7070 and 7071 where they are free, else any. Resolves with the URL of the operator API. */
async function startControl(world: DemoWorld, folder: string, start: Start): Promise<string> {
  const said = Promise.withResolvers<string>()
  await start(
    'control',
    [
      ...world.self,
      'control',
      '--data',
      `${folder}/control`,
      '--api-port',
      await freeOr0(7070),
      '--xds-port',
      await freeOr0(7071),
      '-o',
      'json',
    ],
    {},
    line => {
      try {
        const { api } = JSON.parse(line) as { api?: string }
        if (api !== undefined) said.resolve(api)
      } catch {
        // not the line that is waited for
      }
    },
  )
  const timer = setTimeout(() => said.reject(new Error(`the control plane did not start; its log is ${folder}/control.log`)), 15_000)
  return said.promise.finally(() => clearTimeout(timer))
}

/** A second demo beside the first, or any other program on the port, is no obstacle. */
const freeOr0 = (port: number): Promise<string> =>
  listen('127.0.0.1', port, socket => socket.destroy()).then(
    listening => listening[Symbol.asyncDispose]().then(() => String(port)),
    () => '0',
  )

/** Resolves when every service is healthy, or with what is missing when patience ends. */
async function everyService(client: Client, signal: AbortSignal): Promise<string | undefined> {
  const until = Date.now() + patienceMs
  let ready = 0
  while (Date.now() < until && !signal.aborted) {
    const proxies = await client.proxies().catch(() => [])
    ready = proxies.filter(({ service, health, state }) => service !== load.name && health === 'healthy' && state === 'synced').length
    if (ready >= services.length) return undefined
    await pause(50, signal)
  }
  return signal.aborted ? undefined : `only ${ready} of ${services.length} workloads were ready within ${patienceMs / 1000} s`
}

/** Resolves when every edge has traffic, or with what is missing when patience ends. */
async function everyEdge(client: Client, signal: AbortSignal): Promise<string | undefined> {
  const until = Date.now() + patienceMs
  let missing: readonly string[] = edges.map(nameOf)
  while (Date.now() < until && !signal.aborted) {
    const seen = new Set((await client.topology(60).catch(() => ({ edges: [] }))).edges.filter(edge => isAlive(edge)).map(keyOf))
    missing = edges.map(nameOf).filter(name => !seen.has(name))
    if (missing.length === 0) return undefined
    await pause(100, signal)
  }
  return signal.aborted ? undefined : `no traffic within ${patienceMs / 1000} s on: ${missing.join(', ')}`
}

/** A TCP connection that stays open opens no more: its bytes tell. */
const isAlive = (edge: TopologyEdge): boolean => edge.rate > 0 || edge.bytesPerSecond > 0

const nameOf = ([from, to]: (typeof edges)[number]): string => `${from} → ${to}`
const keyOf = (edge: TopologyEdge): string => `${edge.source.service} → ${edge.destination.service}`

function judge(seen: readonly TopologyEdge[]): { edges: readonly TopologyEdge[]; problems: readonly string[] } {
  const problems: string[] = []
  const wanted = new Set(edges.map(nameOf))
  const own = seen.filter(edge => wanted.has(keyOf(edge)))
  for (const name of wanted) if (!own.some(edge => keyOf(edge) === name && isAlive(edge))) problems.push(`${name}: no traffic`)
  for (const edge of own) {
    if (edge.success < 0.999) problems.push(`${keyOf(edge)}: only ${(edge.success * 100).toFixed(2)} % succeeded`)
    if (!edge.mtls || edge.source.identity === undefined || edge.destination.identity === undefined)
      problems.push(`${keyOf(edge)}: not both ends proved an identity`)
  }
  return { edges: own, problems }
}

function report(seen: readonly TopologyEdge[], isTTY: boolean): string {
  const ms = (value: number | undefined) => (value === undefined ? '–' : `${value.toFixed(1)} ms`)
  const size = (bytes: number) => (bytes >= 10_000 ? `${(bytes / 1000).toFixed(0)} k` : bytes.toFixed(0))
  const rows = seen.map(edge => [
    keyOf(edge),
    edge.protocol,
    edge.rate.toFixed(1),
    size(edge.bytesPerSecond),
    `${(edge.success * 100).toFixed(2)} %`,
    ms(edge.p50),
    ms(edge.p99),
    edge.source.identity ?? '–',
    edge.destination.identity ?? '–',
  ])
  const bold = isTTY ? (text: string) => `\u001b[1m${text}\u001b[22m` : (text: string) => text
  const headings = ['edge', 'protocol', 'req/s', 'bytes/s', 'success', 'p50', 'p99', 'caller proved', 'called proved'].map((name, at) => ({
    name,
    right: at > 1 && at < 7,
  }))
  return `${tableLines({ paint: (_style, text) => bold(text) }, headings, rows).join('\n')}\n`
}

function invite({ say }: DemoWorld, control: string, folder: string): void {
  const flag = control === 'http://127.0.0.1:7070' ? '' : `WEFT_CONTROL=${control} `
  say(`
  Dashboard   ${control}

  Try, in another terminal:
    ${flag}./weft topology -w                           who calls whom, how fast, proved by which certificates
    ${flag}./weft apply --wait -f examples/split.yaml   nine of ten readers get version 2 of the reviews
    ${flag}./weft status                                the control plane and its proxies
    ${flag}./weft proxy routes storefront               what one proxy knows
    kubectl --server ${control} get services,workloads
  Logs are in ${folder}. Ctrl-C ends and removes everything.
`)
}

const whenAborted = (signal: AbortSignal): Promise<undefined> =>
  new Promise(resolve => (signal.aborted ? resolve(undefined) : signal.addEventListener('abort', () => resolve(undefined), { once: true })))

const pause = (ms: number, signal: AbortSignal): Promise<undefined> =>
  new Promise(resolve => {
    const timer = setTimeout(done, ms)
    function done() {
      clearTimeout(timer)
      signal.removeEventListener('abort', done)
      resolve(undefined)
    }
    signal.addEventListener('abort', done, { once: true })
  })
