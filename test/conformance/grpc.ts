/** gRPC's own interoperability cases with its Go client and server, through two proxies with mutual TLS between them: `node test/conformance/grpc.ts [CASE…]`. Prints a line for each and `grpc interop: PASSED/ALL`. */

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import net from 'node:net'
import process from 'node:process'
import { type Pair, pairTo } from './pair.ts'
import { goCommand } from './peers.ts'

const version = 'v1.85.0'

/** Those that need neither TLS on the client nor credentials of a cloud. */
export const cases = [
  'empty_unary',
  'large_unary',
  'client_streaming',
  'server_streaming',
  'ping_pong',
  'empty_stream',
  'timeout_on_sleeping_server',
  'cancel_after_begin',
  'cancel_after_first_response',
  'status_code_and_message',
  'special_status_message',
  'custom_metadata',
  'unimplemented_method',
  'unimplemented_service',
] as const

type Result = { readonly name: string; readonly why: string | undefined }

/** Or why they cannot be run here. direct: without proxies between, to tell whose fault a failure is. */
export async function runInterop(only: readonly string[] = [], direct = false): Promise<readonly Result[] | { readonly missing: string }> {
  const client = goCommand('interop-client', `google.golang.org/grpc/interop/client@${version}`)
  const server = goCommand('interop-server', `google.golang.org/grpc/interop/server@${version}`)
  if ('missing' in client) return client
  if ('missing' in server) return server
  const port = await freePort()
  const running = spawn(server.path, ['--port', String(port), '--use_tls=false'], { stdio: 'ignore' })
  try {
    await listening(port)
    await using pair: Pair = direct ? { port, [Symbol.asyncDispose]: async () => {} } : await pairTo(port)
    const results: Result[] = []
    for (const name of cases.filter(each => only.length === 0 || only.includes(each)))
      results.push(await runOne(client.path, pair.port, name))
    return results
  } finally {
    running.kill()
    if (running.exitCode === null && running.signalCode === null) await once(running, 'exit')
  }
}

async function runOne(client: string, port: number, name: string): Promise<Result> {
  const flags = ['--server_host=127.0.0.1', `--server_port=${port}`, '--use_tls=false', `--test_case=${name}`]
  const child = spawn(client, flags, { stdio: ['ignore', 'pipe', 'pipe'], timeout: 30_000 })
  let said = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', piece => (said += String(piece)))
  const [code] = (await once(child, 'close')) as [number | null]
  return { name, why: code === 0 ? undefined : (said.trim().split('\n').at(-1) ?? `exit code ${code}`) }
}

async function freePort(): Promise<number> {
  const server = net.createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as net.AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

async function listening(port: number): Promise<void> {
  for (const end = Date.now() + 10_000; Date.now() < end; await new Promise(done => setTimeout(done, 25))) {
    const socket = net.connect(port, '127.0.0.1')
    const isOpen = await new Promise<boolean>(resolve => socket.once('connect', () => resolve(true)).once('error', () => resolve(false)))
    socket.destroy()
    if (isOpen) return
  }
  throw new Error(`nothing listens on port ${port}`)
}

if (import.meta.main) {
  const args = process.argv.slice(2)
  const results = await runInterop(
    args.filter(each => each !== '--direct'),
    args.includes('--direct'),
  )
  if ('missing' in results) {
    console.error(results.missing)
    process.exit(2)
  }
  for (const { name, why } of results)
    console.log(`${why === undefined ? 'passed' : 'FAILED'}  ${name}${why === undefined ? '' : `  ${why}`}`)
  const passed = results.filter(({ why }) => why === undefined).length
  console.log(`grpc interop: ${passed}/${results.length}`)
  process.exitCode = passed === results.length && passed > 0 ? 0 : 1
}
