/** Backend and load generator for machines without Go: the same arguments and the same JSON as main.go, on about twice the CPU and with timers a millisecond coarse. */

import net from 'node:net'
import { parseArgs } from 'node:util'

type Tally = { took: number[]; failed: number; why: string | undefined }

const [what, first = '', second = ''] = process.argv.slice(2)
if (what === 'backend') {
  accept(Number(first), serveHttp)
  accept(Number(second), serveBytes)
} else {
  const text = { type: 'string' } as const
  const options = { mode: text, port: text, connections: text, seconds: text, rate: text, size: text, body: text }
  const { values } = parseArgs({ args: process.argv.slice(3), options })
  const { mode = 'http', connections = '64', seconds = '3', rate = '0', size = '1024', body = '0' } = values
  const port = Number(values.port)
  if (mode === 'hold') await hold(port, Number(connections))
  else if (mode === 'bulk') await bulk(port, Number(size))
  else {
    const tally: Tally = { took: [], failed: 0, why: undefined }
    const ms = Number(seconds) * 1000
    const began = performance.now()
    if (mode === 'tcp') await Promise.all(Array.from({ length: Number(connections) }, () => connectAgain(port, began + ms, tally)))
    else await askHttp(port, Number(connections), requestFor(Number(size), Number(body)), Number(rate), ms, tally)
    const took = Float64Array.from(tally.took).sort()
    const at = (share: number) => took[Math.floor(took.length * share)] ?? 0
    const done = (performance.now() - began) / 1000
    print({ good: took.length, failed: tally.failed, why: tally.why, seconds: done, p50: at(0.5), p99: at(0.99), bytes: 0 })
  }
  process.exit(0)
}

function print(result: object): void {
  console.log(JSON.stringify(result))
}

function accept(port: number, serve: (socket: net.Socket) => void): void {
  net
    .createServer({ noDelay: true }, socket => {
      socket.on('error', () => {})
      serve(socket)
    })
    .listen({ host: '127.0.0.1', port, backlog: 1024 })
}

function serveHttp(socket: net.Socket): void {
  const answers = new Map<string, Buffer>()
  let rest = ''
  let left = 0
  let owed: Buffer | undefined
  socket.on('data', (bytes: Buffer) => {
    rest += bytes.toString('latin1')
    for (;;) {
      const skipped = Math.min(left, rest.length)
      rest = rest.slice(skipped)
      left -= skipped
      if (left > 0) return
      if (owed !== undefined) socket.write(owed)
      owed = undefined
      const end = rest.indexOf('\r\n\r\n')
      if (end < 0) return
      const head = rest.slice(0, end + 2)
      rest = rest.slice(end + 4)
      left = Number(/\r\ncontent-length: (\d+)\r\n/i.exec(head)?.[1] ?? 0)
      const [, size = '0'] = / \/(\d+) /.exec(head) ?? []
      let answer = answers.get(size)
      if (answer === undefined) {
        const lines = `HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nDate: Sat, 21 Nov 2026 10:00:00 GMT\r\nContent-Length: ${size}\r\n\r\n`
        answers.set(size, (answer = Buffer.concat([Buffer.from(lines), Buffer.alloc(Number(size))])))
      }
      owed = answer
    }
  })
}

function serveBytes(socket: net.Socket): void {
  const zeros = Buffer.alloc(1 << 18)
  let left = 0
  const send = () => {
    while (left > 0) {
      const count = Math.min(left, zeros.length)
      left -= count
      if (!socket.write(zeros.subarray(0, count))) return
    }
  }
  socket.on('drain', send)
  socket.on('data', (bytes: Buffer) => {
    left += Number(bytes.readBigUInt64BE())
    send()
  })
}

function requestFor(size: number, body = 0): string {
  const fields = 'HTTP/1.1\r\nHost: app.mesh.local\r\nUser-Agent: bench/1\r\nAccept: */*\r\n'
  return body === 0 ? `GET /${size} ${fields}\r\n` : `POST /${size} ${fields}Content-Length: ${body}\r\n\r\n${'x'.repeat(body)}`
}

/** A connection and the way to ask on it: one exchange at a time. Answers must have a Content-Length. */
function client(port: number): Promise<(request: string, then: (failed?: string) => void) => void> {
  return new Promise((resolve, reject) => {
    const socket = net.connect({ port, host: '127.0.0.1', noDelay: true })
    let then: ((failed?: string) => void) | undefined
    let held = 0
    let whole = -1
    const settle = (failed?: string) => {
      const told = then
      then = undefined
      told?.(failed)
    }
    socket.on('data', (bytes: Buffer) => {
      held += bytes.length
      if (whole < 0) {
        // A head of a few hundred bytes that one write sent comes in one piece on loopback.
        const end = bytes.indexOf('\r\n\r\n')
        const head = bytes.toString('latin1', 0, end + 2)
        const length = /\r\ncontent-length: (\d+)\r\n/i.exec(head)?.[1]
        if (end < 0 || length === undefined || !head.startsWith('HTTP/1.1 200')) return settle(`answered ${JSON.stringify(head)}`)
        whole = end + 4 + Number(length)
      }
      if (held < whole) return
      held = 0
      whole = -1
      settle()
    })
    socket.on('error', error => settle(error.message))
    socket.on('close', () => settle('the connection was closed'))
    socket.once('error', reject)
    socket.once('connect', () =>
      resolve((request, done) => {
        then = done
        socket.write(request)
      }),
    )
  })
}

async function askHttp(port: number, connections: number, request: string, rate: number, ms: number, tally: Tally): Promise<void> {
  const idle = await Promise.all(Array.from({ length: connections }, () => client(port)))
  const began = performance.now()
  const due: number[] = []
  let sent = 0
  await new Promise<void>(resolve => {
    let running = 0
    const finish = (ask: (typeof idle)[number]) => {
      idle.push(ask)
      if (rate > 0 && due.length > 0) start(due.shift()!)
      else if (rate === 0 && performance.now() < began + ms) start(performance.now())
      else if (running === 0 && performance.now() >= began + ms) resolve()
    }
    const start = (intended: number) => {
      const ask = idle.pop()
      if (ask === undefined) return void due.push(intended)
      running++
      ask(request, failed => {
        running--
        if (failed === undefined) tally.took.push((performance.now() - intended) * 1000)
        else {
          tally.failed++
          tally.why = failed
          if (tally.failed > 100) return resolve()
        }
        finish(ask)
      })
    }
    if (rate === 0) for (let at = 0; at < connections; at++) start(performance.now())
    else {
      const timer = setInterval(() => {
        for (; sent * (1000 / rate) <= Math.min(performance.now() - began, ms); sent++) start(began + sent * (1000 / rate))
        if (performance.now() < began + ms) return
        clearInterval(timer)
        if (running === 0) resolve()
      }, 1)
    }
  })
}

/** Bytes that a connection of its own took. */
function pull(port: number, size: number): Promise<number> {
  return new Promise((resolve, reject) => {
    let got = 0
    const wanted = Buffer.alloc(8)
    wanted.writeBigUInt64BE(BigInt(size))
    const socket = net.connect({ port, host: '127.0.0.1', noDelay: true })
    socket.write(wanted)
    socket.on('error', reject)
    socket.on('data', (bytes: Buffer) => {
      got += bytes.length
      if (got >= size) socket.destroy()
    })
    socket.on('close', () => (got >= size ? resolve(got) : reject(new Error('the connection was closed'))))
  })
}

async function connectAgain(port: number, end: number, tally: Tally): Promise<void> {
  while (performance.now() < end) {
    const began = performance.now()
    try {
      await pull(port, 1)
      tally.took.push((performance.now() - began) * 1000)
    } catch (error) {
      tally.failed++
      tally.why = String(error)
      if (tally.failed > 100) return
    }
  }
}

async function bulk(port: number, size: number): Promise<void> {
  const began = performance.now()
  const bytes = await pull(port, size)
  print({ good: 1, failed: 0, seconds: (performance.now() - began) / 1000, p50: 0, p99: 0, bytes })
}

/** Connections that served once and now idle, until stdin ends. */
async function hold(port: number, count: number): Promise<void> {
  for (let at = 0; at < count; at++) {
    const ask = await client(port)
    await new Promise<void>((resolve, reject) =>
      ask(requestFor(1), failed => (failed === undefined ? resolve() : reject(new Error(failed)))),
    )
  }
  console.log('held', count)
  for await (const _ of process.stdin);
}
