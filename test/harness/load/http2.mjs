// A client of HTTP/2 that knows nothing of the mesh: RATE requests a second to TO until a line comes on its standard input, and what became of them as JSON.
import { connect } from 'node:http2'

const { TO = '', RATE = '0' } = process.env
const outcome = { sent: 0, ok: 0, failed: {} }
let out = 0
let session

function current() {
  if (session === undefined || session.closed || session.destroyed) {
    session = connect(TO)
    session.on('error', () => {})
  }
  return session
}

function send() {
  outcome.sent++
  out++
  const stream = current().request({ ':path': `/${outcome.sent}` })
  let status = 0
  let code = ''
  stream.on('response', headers => {
    status = headers[':status']
    code = `${headers['x-weft-error'] ?? ''} ${headers['x-weft-error-detail'] ?? ''}`.trim()
  })
  stream.on('error', error => (code = error.message))
  stream.on('close', () => {
    out--
    if (status === 200) outcome.ok++
    else outcome.failed[`${status} ${code}`] = (outcome.failed[`${status} ${code}`] ?? 0) + 1
  })
  stream.resume()
}

const began = performance.now()
const timer = setInterval(() => {
  const due = Math.floor(((performance.now() - began) / 1000) * Number(RATE))
  while (outcome.sent < due && out < 1000) send()
}, 5)

process.stdin.once('data', () => {
  clearInterval(timer)
  const end = performance.now() + 10_000
  const last = setInterval(() => {
    if (out > 0 && performance.now() < end) return
    clearInterval(last)
    process.stdout.write(`${JSON.stringify({ ...outcome, out })}\n`)
    process.exit(0)
  }, 10)
})
