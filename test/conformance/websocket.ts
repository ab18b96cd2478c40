/** WebSocket through two proxies with mutual TLS between them: the clients `ws`, Python `websockets` and Go gorilla against a server by `ws`. `node test/conformance/websocket.ts`. Prints a line for each case and `websocket: PASSED/ALL`. */

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import process from 'node:process'
import { createInterface } from 'node:readline'
import { pairTo } from './pair.ts'
import { type Found, goProgram, type Missing, npmPackage, python } from './peers.ts'

type Result = { readonly client: string; readonly case: string; readonly why: string | undefined }
type Client = { readonly name: string; readonly found: Found | Missing; readonly command: (path: string, url: string) => readonly string[] }

const here = (file: string): string => join(import.meta.dirname, 'websocket', file)

/** missing: a client, or all of it, and why. */
export async function runWebSocket(): Promise<{ readonly results: readonly Result[]; readonly missing: readonly string[] }> {
  const ws = npmPackage('ws@8.18.3')
  if ('missing' in ws) return { results: [], missing: [ws.missing] }
  const clients: readonly Client[] = [
    { name: 'ws', found: ws, command: (path, url) => [process.execPath, here('client.mjs'), path, url] },
    {
      name: 'Python websockets',
      found: python('websockets', 'websockets==15.0.1'),
      command: (path, url) => [path, here('client.py'), url],
    },
    { name: 'Go gorilla', found: goProgram('websocket-client', here('go')), command: (path, url) => [path, url] },
  ]
  const server = spawn(process.execPath, [here('server.mjs'), ws.path], { stdio: ['ignore', 'pipe', 'inherit'] })
  try {
    await using pair = await pairTo(await firstNumber(server))
    const results: Result[] = []
    for (const { name, found, command } of clients)
      if ('path' in found) results.push(...(await runClient(name, command(found.path, `ws://127.0.0.1:${pair.port}/`))))
    return { results, missing: clients.flatMap(({ found }) => ('missing' in found ? [found.missing] : [])) }
  } finally {
    server.kill()
    if (server.exitCode === null && server.signalCode === null) await once(server, 'exit')
  }
}

async function firstNumber(child: ChildProcess): Promise<number> {
  for await (const line of createInterface({ input: child.stdout! })) return Number(line)
  throw new Error('the WebSocket server did not start')
}

async function runClient(client: string, [file = '', ...args]: readonly string[]): Promise<readonly Result[]> {
  const child = spawn(file, args, { stdio: ['ignore', 'pipe', 'pipe'], timeout: 120_000 })
  let said = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', piece => (said += String(piece)))
  await once(child, 'close')
  const results = [...said.matchAll(/^(?:passed (.+)|FAILED (.+?): (.*))$/gm)].map(([, passed, failed = '', why]) => ({
    client,
    case: passed ?? failed,
    why: passed === undefined ? why : undefined,
  }))
  return results.length > 0 ? results : [{ client, case: 'all', why: said.trim().split('\n').at(-1) }]
}

if (import.meta.main) {
  const { results, missing } = await runWebSocket()
  for (const { client, case: name, why } of results)
    console.log(`${why === undefined ? 'passed' : 'FAILED'}  ${client}: ${name}${why === undefined ? '' : `  ${why}`}`)
  for (const why of missing) console.error(why)
  const passed = results.filter(({ why }) => why === undefined).length
  console.log(`websocket: ${passed}/${results.length}`)
  process.exitCode = passed < results.length || results.length === 0 ? 1 : missing.length > 0 ? 2 : 0
}
