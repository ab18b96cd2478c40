/** A plain gRPC client that knows nothing of the mesh: reads calls from its standard input, one a line as JSON, and writes what became of each. */

import readline from 'node:readline'
import * as grpc from '@grpc/grpc-js'

/** target: host:port. times: how often, 1 unless said. */
export type Call = {
  readonly id: number
  readonly target: string
  readonly path: string
  readonly metadata?: Readonly<Record<string, string>>
  readonly times?: number
}
/** code: gRPC status. head: the metadata in front of the answer. */
export type Reply = {
  readonly code: number
  readonly details: string
  readonly answer: { readonly instance: string; readonly path: string; readonly metadata: Record<string, string> } | undefined
  readonly head: Readonly<Record<string, unknown>>
  readonly trailers: Readonly<Record<string, unknown>>
}

const raw = (bytes: Buffer): Buffer => bytes
const clients = new Map<string, grpc.Client>()
const clientOf = (target: string): grpc.Client => {
  const client = clients.get(target) ?? new grpc.Client(target, grpc.credentials.createInsecure(), { 'grpc.enable_retries': 0 })
  clients.set(target, client)
  return client
}

const ask = ({ target, path, metadata = {} }: Call): Promise<Reply> =>
  new Promise(resolve => {
    const sent = new grpc.Metadata()
    for (const [name, value] of Object.entries(metadata)) sent.add(name, value)
    let head: Readonly<Record<string, unknown>> = {}
    let trailers: Readonly<Record<string, unknown>> = {}
    const deadline = Date.now() + 20_000
    const call = clientOf(target).makeUnaryRequest(path, raw, raw, Buffer.from('x'), sent, { deadline }, (fault, answer) =>
      setImmediate(() =>
        resolve({
          code: fault?.code ?? 0,
          details: fault?.details ?? '',
          answer: answer === undefined ? undefined : (JSON.parse(answer.toString()) as Reply['answer']),
          head,
          trailers,
        }),
      ),
    )
    call.on('metadata', got => (head = got.getMap()))
    call.on('status', status => (trailers = status.metadata.getMap()))
  })

if (import.meta.main)
  readline.createInterface({ input: process.stdin }).on('line', async line => {
    const call = JSON.parse(line) as Call
    const replies: Reply[] = []
    for (let left = call.times ?? 1; left > 0; left--) replies.push(await ask(call))
    process.stdout.write(`${JSON.stringify({ id: call.id, replies })}\n`)
  })
