/** Both lists named h1spec, of uNetworking and of dropseed (with its strict cases), against a proxy or whatever listens: `node test/conformance/h1spec.ts [HOST PORT]`. Prints `h1spec of …: PASSED/ALL` for each. */

import { spawn } from 'node:child_process'
import { join } from 'node:path'
import process from 'node:process'
import { startHop } from './hop.ts'
import { checkout, type Found, installed, type Missing } from './peers.ts'

type Ran = { readonly name: string; readonly passed: number; readonly all: number; readonly failures: readonly string[] }
export type Lists = { readonly ran: readonly Ran[]; readonly missing: readonly string[] }

/** The server behind must echo whatever body it gets. */
export async function runH1spec(host: string, port: number): Promise<Lists> {
  const ran: Ran[] = []
  const missing: string[] = []
  for (const list of [uNetworking, dropseed]) {
    const result = await list(host, port)
    if ('missing' in result) missing.push(result.missing)
    else ran.push(result)
  }
  return { ran, missing }
}

async function uNetworking(host: string, port: number): Promise<Ran | Missing> {
  const found = checkout('h1spec-unetworking', 'https://github.com/uNetworking/h1spec', 'f0a5650a20c575fbea0f7179a3a9cfa50f20ba6e')
  if ('missing' in found) return found
  const shim = join(import.meta.dirname, 'h1spec/deno.ts')
  const said = await output(process.execPath, ['--import', shim, join(found.path, 'http_test.ts'), host, String(port)])
  const [, passed, all] = /(\d+) out of (\d+) tests passed/.exec(said) ?? []
  if (all === undefined) throw new Error(`the list of uNetworking printed no result:\n${said}`)
  return { name: 'uNetworking', passed: Number(passed), all: Number(all), failures: said.split('\n').filter(line => line.startsWith('❌')) }
}

async function dropseed(host: string, port: number): Promise<Ran | Missing> {
  const python: Found | Missing = installed('python3')
  if ('missing' in python) return python
  const found = checkout('h1spec-dropseed', 'https://github.com/dropseed/h1spec', 'd8f69184825d3eedd649843a545c957f3fccac06')
  if ('missing' in found) return found
  const said = await output(python.path, ['-c', 'from h1spec import main; main()', '--strict', `${host}:${port}`], {
    PYTHONPATH: found.path,
  })
  // oxlint-disable-next-line no-control-regex -- the colours of a terminal
  const plain = said.replace(/\u001b\[\d+m/g, '')
  const [, passed, all] = /(\d+)\/(\d+) passed/.exec(plain) ?? []
  if (all === undefined) throw new Error(`the list of dropseed printed no result:\n${plain}`)
  const lines = plain.split('\n')
  const failures = lines.flatMap((line, at) => (line.includes('✗') ? [`${line.trim()} ${(lines[at + 1] ?? '').trim()}`] : []))
  return { name: 'dropseed', passed: Number(passed), all: Number(all), failures }
}

async function output(file: string, args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<string> {
  const child = spawn(file, args, { stdio: ['ignore', 'pipe', 'pipe'], timeout: 120_000, env: { ...process.env, ...env } })
  let said = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', piece => (said += String(piece)))
  await new Promise(resolve => child.once('close', resolve))
  return said
}

if (import.meta.main) {
  const [host = '127.0.0.1', port] = process.argv.slice(2)
  await using hop = port === undefined ? await startHop() : undefined
  const { ran, missing } = await runH1spec(host, Number(port ?? hop!.port))
  for (const { failures } of ran) for (const line of failures) console.log(line)
  for (const { name, passed, all } of ran) console.log(`h1spec of ${name}: ${passed}/${all}`)
  for (const why of missing) console.error(why)
  process.exitCode = ran.some(({ passed, all }) => passed < all) ? 1 : missing.length > 0 ? 2 : 0
}
