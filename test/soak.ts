/**
 * `npm run soak -- --for 1h`: mixed load through two proxies with mutual TLS between them, and whether they keep what they should have let go.
 * Memory is judged by how long it ran: within 5 % from half an hour on, 10 % from ten minutes, 50 % from two, not at all below, when a start is still settling;
 * descriptors under load from ten minutes on, as before that a busy machine shows more than a leak; requests that fail, and descriptors and timers that stay, always.
 */

import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import http from 'node:http'
import net from 'node:net'
import { join } from 'node:path'
import process from 'node:process'
import { parseArgs } from 'node:util'
import { resourcesFor } from '../bench/resources.ts'
import { certificateFolder, type FileProxyProcess, startFileProxy } from './harness/file-proxy.ts'
import { grpcBackend, grpcClient, http1Client, http2Client, httpBackend, type Outcome, Steady } from './harness/steady.ts'

const { values } = parseArgs({
  options: {
    for: { type: 'string', default: '2m' },
    /** Of the whole load. */
    rate: { type: 'string', default: '1' },
  },
})
const [, amount = '', unit = 's'] = /^(\d+)(s|m|h)?$/.exec(values.for) ?? []
const seconds = Number(amount) * { s: 1, m: 60, h: 3600 }[unit as 's' | 'm' | 'h']
if (!(seconds >= 20)) throw new Error('--for: how long, such as 2m or 1h; at least 20s')
const scale = Number(values.rate)
/** The last quarter beside the second. */
const mayGrow = seconds >= 1800 ? 0.05 : seconds >= 600 ? 0.1 : seconds >= 120 ? 0.5 : undefined

const pause = (ms: number) => new Promise(resolve => setTimeout(resolve, ms))

type Kind = 'http1' | 'http2' | 'grpc' | 'large' | 'tcp'
const kinds: readonly Kind[] = ['http1', 'http2', 'grpc', 'large', 'tcp']

type Resources = { node: object; static_resources: Record<string, unknown[]> }

/** One proxy with a listener for each kind. to: by kind, the port behind it. */
function resources(role: 'in' | 'out', certs: string, to: Readonly<Record<Kind, number>>): Resources {
  const who = role === 'in' ? 'server' : 'client'
  const tls = { cert: join(certs, `${who}.pem`), key: join(certs, `${who}.key`), ca: join(certs, 'ca.pem') }
  const server = 'spiffe://mesh.local/ns/app/sa/server'
  const each = kinds.map(kind => {
    const made = resourcesFor(role, { listen: 0, to: to[kind], tls, server, protocol: kind === 'tcp' ? 'tcp' : 'http' })
    const text = JSON.stringify(made).replaceAll('"server"', `"${kind}"`).replaceAll('bound/server"', `bound/${kind}"`)
    return JSON.parse(text) as Resources
  })
  const merged: Record<string, unknown[]> = {}
  for (const { static_resources } of each)
    for (const [key, list] of Object.entries(static_resources)) merged[key] = [...(merged[key] ?? []), ...list]
  return { node: { id: `${who}-1`, cluster: who }, static_resources: merged }
}

const portOf = ({ told }: FileProxyProcess, kind: Kind): number =>
  told.at(-1)!.listeners.find(({ name }) => name.endsWith(`/${kind}`))!.port

/** What is broken off on purpose, at every stage: no request of these is to succeed. */
async function abort(port: number, nth: number): Promise<void> {
  const request = http.request({
    port,
    host: '127.0.0.1',
    path: '/aborted',
    method: 'POST',
    headers: { 'content-length': '100000' },
    agent: false,
  })
  request.on('error', () => {})
  request.on('response', answer => answer.on('error', () => {}).destroy())
  request.write('x'.repeat(nth % 3 === 0 ? 10 : 50_000))
  await pause(nth % 20)
  request.destroy()
}

/** Opaque connections: each says a few things, hears them again, and ends in one of four ways. */
async function talk(port: number, nth: number, isKept: boolean): Promise<void> {
  const socket = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true }).on('error', () => {})
  const closed = new Promise(resolve => socket.once('close', resolve))
  for (let said = 0; said < (isKept ? 1e9 : 5) && !isOver && !socket.destroyed; said++) {
    socket.write('y'.repeat(1000))
    await Promise.race([new Promise(resolve => socket.once('data', resolve)), closed])
    await pause(isKept ? 1000 : 5)
  }
  if (nth % 4 === 0) socket.resetAndDestroy()
  else if (nth % 4 === 1) socket.destroy()
  else socket.end().resume()
  await pause(50)
  socket.destroy()
}

type Sample = {
  readonly rss: number
  readonly heap: number
  readonly descriptors: number
  readonly timers: number
  readonly sockets: number
}

async function sample({ child, admin }: FileProxyProcess): Promise<Sample> {
  const status = (await (await fetch(`${admin}/status`)).json()) as { process: { heapBytes: number; resources: Record<string, number> } }
  const { heapBytes, resources: used } = status.process
  const rss = Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${child.pid}/status`, 'utf8'))?.[1]) / 1024
  const descriptors = readdirSync(`/proc/${child.pid}/fd`).length
  return { rss, heap: heapBytes / 2 ** 20, descriptors, timers: used['Timeout'] ?? 0, sockets: used['TCPSocketWrap'] ?? 0 }
}

const mean = (samples: readonly Sample[], of: keyof Sample): number => samples.reduce((sum, each) => sum + each[of], 0) / samples.length

let isOver = false
const problems: string[] = []

using certs = await certificateFolder()
await using owned = new AsyncDisposableStack()
const backends = {
  http1: owned.use(await httpBackend(1)),
  http2: owned.use(await httpBackend(2)),
  grpc: owned.use(await grpcBackend()),
  large: owned.use(await httpBackend(1, 1_000_000)),
}
const echo = net.createServer({ allowHalfOpen: true }, socket => socket.on('error', () => {}).pipe(socket))
await new Promise<void>(done => echo.listen(0, '127.0.0.1', done))
owned.defer(() => void echo.close())
const behind = Object.fromEntries(
  kinds.map(kind => [kind, kind === 'tcp' ? (echo.address() as net.AddressInfo).port : backends[kind].port]),
)

const files = { in: join(certs.path, 'in.json'), out: join(certs.path, 'out.json') }
const inside = resources('in', certs.path, behind as Record<Kind, number>)
writeFileSync(files.in, JSON.stringify(inside))
const inner = owned.use(await startFileProxy(files.in))
const outside = resources('out', certs.path, Object.fromEntries(kinds.map(kind => [kind, portOf(inner, kind)])) as Record<Kind, number>)
writeFileSync(files.out, JSON.stringify(outside))
const outer = owned.use(await startFileProxy(files.out))
const proxies = [outer, inner]
/** Files are read half a second after they change; listeners keep their ports. */
const change = (nth: number): void => {
  for (const [file, value] of [
    [files.in, inside],
    [files.out, outside],
  ] as const)
    writeFileSync(file, JSON.stringify(value).replaceAll('"timeout":"0s"', `"timeout":"${nth % 2 === 0 ? 0 : 60}s"`))
}

const loads: Record<string, Steady> = {
  'HTTP/1.1': new Steady(http1Client(portOf(outer, 'http1')), 150 * scale),
  'HTTP/2': new Steady(http2Client(portOf(outer, 'http2')), 100 * scale),
  gRPC: new Steady(grpcClient(portOf(outer, 'grpc')), 100 * scale),
  '1 MB answers': new Steady(http1Client(portOf(outer, 'large'), 1_000_000), 4 * scale),
}
let turns = 0
const tick = setInterval(() => {
  turns++
  for (let nth = 0; nth < 5 * scale; nth++) {
    void abort(portOf(outer, 'http1'), turns * 5 + nth)
    void talk(portOf(outer, 'tcp'), turns * 5 + nth, false)
  }
  if (turns % 10 === 0) change(turns / 10)
  if (turns % 15 === 0) void certs.renew()
}, 1000)
for (let nth = 0; nth < 10; nth++) void talk(portOf(outer, 'tcp'), nth, true)

const samples = proxies.map((): Sample[] => [])
const began = performance.now()
await pause(Math.min(10_000, seconds * 100))
while (performance.now() - began < seconds * 1000) {
  for (const [at, proxy] of proxies.entries()) samples[at]!.push(await sample(proxy))
  await pause(Math.min(5000, seconds * 10))
}
clearInterval(tick)
isOver = true
const outcomes: Record<string, Outcome> = {}
for (const [name, load] of Object.entries(loads)) {
  outcomes[name] = await load.stop()
  await load[Symbol.asyncDispose]()
}
// What callers let go of is let go of; connections between the proxies and to the workload are kept for a while, and are few.
await pause(8000)
const after = await Promise.all(proxies.map(sample))

console.log(`\nmixed load for ${values.for}: what came of it`)
for (const [name, { sent, ok, slowestMs, failed }] of Object.entries(outcomes)) {
  console.log(
    `  ${name.padEnd(14)} ${String(sent).padStart(9)} sent ${String(ok).padStart(9)} ok   slowest ${slowestMs.toFixed(0)} ms  ${JSON.stringify(failed)}`,
  )
  if (Object.keys(failed).length > 0) problems.push(`${name}: ${JSON.stringify(failed)}`)
}
console.log('\nproxy   quarter     RSS MB    heap MB  descriptors  sockets  timers')
for (const [at, name] of ['outer', 'inner'].entries()) {
  const taken = samples[at]!
  const quarter = (nth: number) => taken.slice(Math.floor((taken.length * nth) / 4), Math.floor((taken.length * (nth + 1)) / 4))
  const row = (what: string, list: readonly Sample[]) =>
    console.log(
      `${name.padEnd(8)}${what.padEnd(8)}${mean(list, 'rss').toFixed(1).padStart(10)} ${mean(list, 'heap').toFixed(1).padStart(10)} ${mean(list, 'descriptors').toFixed(0).padStart(12)} ${mean(list, 'sockets').toFixed(0).padStart(8)} ${mean(list, 'timers').toFixed(0).padStart(7)}`,
    )
  for (const nth of [0, 1, 2, 3]) row(`${nth + 1}`, quarter(nth))
  row('after', [after[at]!])
  const [second, last] = [mean(quarter(1), 'rss'), mean(quarter(3), 'rss')]
  if (mayGrow !== undefined && last > second * (1 + mayGrow))
    problems.push(`${name}: RSS grew from ${second.toFixed(1)} to ${last.toFixed(1)} MB, more than ${mayGrow * 100} %`)
  // A leak of one in a hundred would show: thousands of connections came and went.
  const { descriptors, timers } = after[at]!
  if (descriptors > mean(quarter(1), 'descriptors') + 5) problems.push(`${name}: ${descriptors} descriptors are open after the load`)
  if (timers > mean(quarter(1), 'timers') + 5) problems.push(`${name}: ${timers} timers run after the load`)
  if (seconds >= 600 && mean(quarter(3), 'descriptors') > mean(quarter(1), 'descriptors') * 1.2 + 20)
    problems.push(`${name}: descriptors grew under a steady load`)
}
for (const proxy of proxies)
  if (/"level":"error"/.test(proxy.stderr())) problems.push(`a proxy told of an error: ${proxy.stderr().slice(0, 2000)}`)
const flat =
  mayGrow === undefined ? 'no request failed, nothing is left open' : `flat: the last quarter is within ${mayGrow * 100} % of the second`
console.log(`\n${problems.length === 0 ? flat : problems.join('\n')}`)
await owned.disposeAsync()
process.exit(problems.length === 0 ? 0 : 1)
