/** `node bench/node-memory.ts [--workloads 100] [--program FILE]`: memory of one node proxy that stands for so many workloads, beside that of their `weft run`. */

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import { createInterface } from 'node:readline'
import { parseArgs } from 'node:util'

const { values } = parseArgs({
  options: {
    workloads: { type: 'string', default: '100' },
    program: { type: 'string', default: join(import.meta.dirname, '../dist/bin/main.js') },
    /** Seconds until it is measured: memory left from the start is given back when the process rests. */
    after: { type: 'string', default: '40' },
  },
})
if (!existsSync(values.program)) {
  console.error(`${values.program} does not exist: run "npm run build" first`)
  process.exit(1)
}
const count = Number(values.workloads)
const folder = mkdtempSync(join(tmpdir(), 'weft-node-memory-'))
const running: ChildProcess[] = []
const weft = (...args: string[]): ChildProcess => {
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', values.program, ...args], {
    env: { ...process.env, XDG_STATE_HOME: join(folder, 'state'), XDG_CONFIG_HOME: join(folder, 'config') },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  running.push(child)
  return child
}

/** Resident and proportional set size, MB. */
function memoryOf(pid: number): { readonly rss: number; readonly pss: number } {
  const text = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8')
  const mb = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(text)?.[1] ?? Number.NaN) / 1024
  return { rss: mb('Rss'), pss: mb('Pss') }
}

const pause = (seconds: number) => new Promise(resolve => setTimeout(resolve, seconds * 1000))

try {
  const control = weft('control', '--data', join(folder, 'control'), '--api-port', '0', '--xds-port', '0', '-o', 'json')
  const [line] = (await once(createInterface({ input: control.stdout! }), 'line')) as [string]
  const { api } = JSON.parse(line) as { api: string }
  const workloads = Array.from({ length: count }, (_, nth) => ({
    name: `service-${nth}`,
    ports: ['8080/http'],
    ready: 'none',
    command: ['sleep', '1000000'],
  }))
  const file = join(folder, 'workloads.json')
  writeFileSync(file, JSON.stringify({ workloads }))
  const began = performance.now()
  const node = weft('node', '-f', file, '--control', api)
  for (;;) {
    const proxies = (await (await fetch(`${api}/weft/v1/proxies`)).json()) as readonly unknown[]
    if (proxies.length >= count) break
    if (node.exitCode !== null) throw new Error('the node proxy ended')
    await pause(0.2)
  }
  console.log(`${count} workloads are in the mesh after ${((performance.now() - began) / 1000).toFixed(1)} s`)
  for (const at of [5, Number(values.after)]) {
    await pause(at)
    const { rss, pss } = memoryOf(node.pid!)
    console.log(`node proxy of ${count} workloads, ${at} s later: RSS ${rss.toFixed(0)} MB, PSS ${pss.toFixed(0)} MB`)
  }
} finally {
  for (const child of running.toReversed()) {
    if (child.exitCode !== null || child.signalCode !== null) continue
    child.kill('SIGTERM')
    const timer = setTimeout(() => child.kill('SIGKILL'), 15_000)
    await once(child, 'exit')
    clearTimeout(timer)
  }
  rmSync(folder, { recursive: true, force: true })
}
process.exit()
