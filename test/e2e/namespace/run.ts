/** A smallest `weft run`, for namespace.test.ts: starts the program of its arguments captured, answers what arrives, tells of it on standard error, and dials when asked on standard input. */

import process from 'node:process'
import { createInterface } from 'node:readline'
import type { Socket } from 'node:net'
import { reexecForCapture } from '../../../src/io/namespace.ts'
import type { Exclusions } from '../../../src/base/exclusions.ts'
import { CaptureRefused, CommandFailed, type DatagramSession, type Workload, launchWorkload } from '../../../src/io/workload.ts'

const tell = (event: object): void => void process.stderr.write(`@${JSON.stringify(event)}\n`)

const verdict = await reexecForCapture()
if (!verdict.ok) {
  tell({ type: 'refused', ...verdict })
  process.exit(200)
}
process.exitCode = await main().catch(thrown => {
  if (thrown instanceof CaptureRefused) tell({ type: 'refused', why: thrown.why })
  else if (!(thrown instanceof CommandFailed)) throw thrown
  tell({ type: 'failed', says: (thrown as Error).message })
  return thrown instanceof CommandFailed ? thrown.exitCode : 200
})
process.stdin.destroy()

async function main(): Promise<number> {
  await using workload = await launchWorkload({
    command: process.argv.slice(2),
    env: Object.fromEntries(Object.entries(process.env).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]]))),
    namespace: 'shop',
    capture: 'namespace',
    stdio: ['ignore', 'inherit', 'inherit'],
    graceMs: 1000,
    // What the test asks for by its environment.
    ...(process.env['UDP'] === undefined ? {} : { onDatagram: answerDatagrams }),
    ...(process.env['EXCLUDE'] === undefined ? {} : { exclude: JSON.parse(process.env['EXCLUDE']) as Exclusions }),
    onExcluded(socket, destination) {
      tell({ type: 'excluded', destination })
      greet(socket, `excluded ${destination.port}`)
    },
    onConnection(socket, destination) {
      tell({ type: 'captured', destination, paused: socket.isPaused(), halfOpen: socket.allowHalfOpen })
      greet(socket, `${destination.host} ${destination.port}`)
    },
    async onDnsQuery(query, from) {
      tell({ type: 'dns', from, name: nameIn(query) })
      return answer(query)
    },
  })
  process.on('SIGTERM', () => workload.signal('SIGTERM')) // before it is told: whoever hears it may signal at once
  tell({ type: 'launched', pid: workload.pid })
  createInterface(process.stdin).on('line', line => void dial(workload, JSON.parse(line) as Dial))
  const exit = await workload.exited
  tell({ type: 'exited', ...exit })
  return exit.code ?? 0
}

/** Port 9 is refused; any other says where the datagram was going, and counts. */
function answerDatagrams(session: DatagramSession): void {
  if (session.to.port === 9) return session.close('refused')
  let count = 0
  tell({ type: 'session', to: session.to })
  session.onMessage = bytes => session.send(Buffer.from(`${session.to.host} ${session.to.port} ${++count} ${Buffer.from(bytes)}`))
  session.onClose = () => tell({ type: 'session-closed' })
}

/** HTTP enough for curl. */
function greet(socket: Socket, text: string): void {
  socket.on('error', () => {})
  socket.resume()
  socket.once('data', () => socket.end(`HTTP/1.0 200 OK\r\nContent-Length: ${text.length}\r\n\r\n${text}`))
}

type Dial = { readonly id: number; readonly port: number; readonly send: string; readonly udp?: boolean }

async function dial(workload: Workload, { id, port, send, udp = false }: Dial): Promise<void> {
  if (udp) {
    const flow = workload.dialUdp(port, {
      message: bytes => {
        tell({ type: 'dialled', id, reply: Buffer.from(bytes).toString() })
        flow.close()
      },
      failed: ({ code }) => tell({ type: 'dialled', id, code }),
    })
    return flow.send(Buffer.from(send))
  }
  try {
    const socket = await workload.dial(port, { timeoutMs: 5000 })
    const parts: Buffer[] = []
    socket.on('error', error => tell({ type: 'dialled', id, error: error.message }))
    socket.on('data', (bytes: Buffer) => parts.push(bytes))
    socket.on('end', () => tell({ type: 'dialled', id, reply: Buffer.concat(parts).toString() }))
    socket.end(send)
  } catch (thrown) {
    const { code, message } = thrown as NodeJS.ErrnoException
    tell({ type: 'dialled', id, code, error: message })
  }
}

function nameIn(query: Uint8Array): string {
  const labels: string[] = []
  for (let at = 12; query[at]; at += query[at]! + 1) labels.push(Buffer.from(query.subarray(at + 1, at + 1 + query[at]!)).toString())
  return labels.join('.')
}

/** 10.1.2.3 for every A question, nothing for the others. */
function answer(query: Uint8Array): Uint8Array {
  let end = 12
  while (query[end]) end += query[end]! + 1
  const isAddress = query[end + 2] === 1
  const record = isAddress ? Uint8Array.of(0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 5, 0, 4, 10, 1, 2, 3) : new Uint8Array(0)
  return Buffer.concat([
    Uint8Array.of(query[0]!, query[1]!, 0x81, 0x80, 0, 1, 0, isAddress ? 1 : 0, 0, 0, 0, 0),
    query.subarray(12, end + 5),
    record,
  ])
}
