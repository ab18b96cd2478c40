/** A smallest `weft capture`, for interception.test.ts: says over each connection how it came, answers every DNS question, and dials where it is told, all without a mesh. */

import net from 'node:net'
import process from 'node:process'
import { captureHost, type HostCaptureOptions } from '../../../src/io/capture.ts'
import { dnsTypes, encodeAnswer, parseQuery } from '../../../src/wire/dns.ts'

type Given = Pick<HostCaptureOptions, 'select' | 'exclude' | 'inbound' | 'mode'> & {
  readonly dial?: { readonly host: string; readonly port: number }
}

const tell = (event: object): void => void process.stdout.write(`${JSON.stringify(event)}\n`)
const given = JSON.parse(process.argv[2]!) as Given

const capture = await captureHost({
  ...given,
  onConnection: (socket, { host, port }) => greet(socket, `captured ${host} ${port}`),
  onCaller: (socket, { host, port }) => greet(socket, `caller ${socket.remoteAddress?.replace('::ffff:', '')} of ${host} ${port}`),
  async onDnsQuery(message) {
    const incoming = parseQuery(message)
    if (incoming.type !== 'query') return undefined
    const isAddress = incoming.query.question.type === dnsTypes.A
    return encodeAnswer(incoming.query, isAddress ? { code: 'ok', addresses: ['240.77.0.99'], ttlSeconds: 1 } : { code: 'ok' })
  },
})
// Before it is told: whoever hears it may signal at once.
process.once('SIGTERM', async () => {
  await capture[Symbol.asyncDispose]()
  process.exit(0)
})
tell({ type: 'captured', says: capture.says, cleaned: capture.cleaned })
if (given.dial !== undefined) {
  const socket = net.connect(given.dial)
  socket.on('error', error => tell({ type: 'dialled', error: error.message }))
  socket.on('data', bytes => tell({ type: 'dialled', reply: String(bytes) }))
}
setInterval(() => {}, 1000)

/** HTTP enough for curl. */
function greet(socket: net.Socket, text: string): void {
  socket.on('error', () => {})
  socket.resume()
  socket.once('data', () => socket.end(`HTTP/1.0 200 OK\r\nContent-Length: ${text.length}\r\n\r\n${text}`))
}
