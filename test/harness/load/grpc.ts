/** A plain client of gRPC that knows nothing of the mesh: RATE unary calls a second to TO until a line comes on its standard input, and what became of them as JSON. */

import * as grpc from '@grpc/grpc-js'

const { TO = '', RATE = '0' } = process.env
const failed: Record<string, number> = {}
const outcome = { sent: 0, ok: 0, failed, out: 0 }
const raw = (bytes: Buffer): Buffer => bytes
const client = new grpc.Client(TO, grpc.credentials.createInsecure(), { 'grpc.enable_retries': 0 })

function send(): void {
  outcome.sent++
  outcome.out++
  client.makeUnaryRequest('/shop.v1.Cart/Get', raw, raw, Buffer.from('x'), (fault, answer) => {
    outcome.out--
    const says = fault === null ? (answer === undefined ? 'no answer' : undefined) : `${fault.code} ${fault.details}`
    if (says === undefined) outcome.ok++
    else failed[says] = (failed[says] ?? 0) + 1
  })
}

const began = performance.now()
const timer = setInterval(() => {
  const due = Math.floor(((performance.now() - began) / 1000) * Number(RATE))
  while (outcome.sent < due && outcome.out < 1000) send()
}, 5)

process.stdin.once('data', () => {
  clearInterval(timer)
  const end = performance.now() + 10_000
  const last = setInterval(() => {
    if (outcome.out > 0 && performance.now() < end) return
    clearInterval(last)
    process.stdout.write(`${JSON.stringify(outcome)}\n`)
    process.exit(0)
  }, 10)
})
