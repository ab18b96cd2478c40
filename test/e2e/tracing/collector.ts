/** A collector of OTLP over HTTP, in either encoding, that keeps the spans it gets. */

import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

/** Values as they are, numbers as numbers. */
export type Values = Readonly<Record<string, string | number | boolean>>
export type Seen = {
  readonly service: string
  readonly resource: Values
  readonly traceId: string
  readonly spanId: string
  readonly parentId: string
  readonly state: string
  readonly name: string
  readonly kind: number
  readonly isError: boolean
  readonly said: string
  readonly startNs: bigint
  readonly endNs: bigint
  readonly attributes: Values
  readonly events: readonly { readonly name: string; readonly attributes: Values }[]
}
export type Collector = AsyncDisposable & {
  readonly port: number
  readonly spans: Seen[]
  /** Content types, paths and traceparents of its requests. */
  readonly requests: { readonly type: string; readonly path: string; readonly traceparent: string }[]
  stop(): Promise<void>
}

/** port: 0: any free one. */
export async function collect(port = 0): Promise<Collector> {
  const spans: Seen[] = []
  const requests: Collector['requests'][number][] = []
  const server = createServer(async (request, response) => {
    const body = Buffer.concat(await request.toArray())
    const type = request.headers['content-type'] ?? ''
    requests.push({ type, path: request.url ?? '', traceparent: String(request.headers['traceparent'] ?? '') })
    spans.push(...(type.includes('json') ? fromJson(body) : fromProtobuf(body)))
    response.writeHead(200, { 'content-type': type }).end(type.includes('json') ? '{}' : undefined)
  })
  server.listen(port, '127.0.0.1')
  await once(server, 'listening')
  const stop = async (): Promise<void> => {
    server.closeAllConnections()
    if (server.listening) await new Promise(resolve => server.close(resolve))
  }
  return { port: (server.address() as AddressInfo).port, spans, requests, stop, [Symbol.asyncDispose]: stop }
}

// JSON

type JsonValue = { readonly stringValue?: string; readonly intValue?: string; readonly boolValue?: boolean }
type JsonValues = readonly { readonly key: string; readonly value: JsonValue }[] | undefined
type JsonSpan = {
  readonly traceId: string
  readonly spanId: string
  readonly parentSpanId?: string
  readonly traceState?: string
  readonly name: string
  readonly kind: number
  readonly startTimeUnixNano: string
  readonly endTimeUnixNano: string
  readonly attributes?: JsonValues
  readonly events?: readonly { readonly name: string; readonly attributes?: JsonValues }[]
  readonly status?: { readonly code?: number; readonly message?: string }
}

function fromJson(body: Buffer): Seen[] {
  const { resourceSpans } = JSON.parse(body.toString()) as {
    resourceSpans: { resource: { attributes: JsonValues }; scopeSpans: { spans: JsonSpan[] }[] }[]
  }
  return resourceSpans.flatMap(({ resource, scopeSpans }) =>
    scopeSpans.flatMap(({ spans }) =>
      spans.map(span => ({
        service: String(valuesOf(resource.attributes)['service.name']),
        resource: valuesOf(resource.attributes),
        traceId: span.traceId,
        spanId: span.spanId,
        parentId: span.parentSpanId ?? '',
        state: span.traceState ?? '',
        name: span.name,
        kind: span.kind,
        isError: span.status?.code === 2,
        said: span.status?.message ?? '',
        startNs: BigInt(span.startTimeUnixNano),
        endNs: BigInt(span.endTimeUnixNano),
        attributes: valuesOf(span.attributes),
        events: (span.events ?? []).map(each => ({ name: each.name, attributes: valuesOf(each.attributes) })),
      })),
    ),
  )
}

const valuesOf = (all: JsonValues): Values =>
  Object.fromEntries(
    (all ?? []).map(({ key, value }) => [
      key,
      value.stringValue ?? value.boolValue ?? (value.intValue === undefined ? '' : Number(value.intValue)),
    ]),
  )

// Protobuf

/** Values of each field of a message, in order. */
type Message = ReadonlyMap<number, readonly (bigint | Buffer)[]>

function read(bytes: Buffer): Message {
  const found = new Map<number, (bigint | Buffer)[]>()
  let at = 0
  const varint = (): bigint => {
    let value = 0n
    for (let shift = 0n; ; shift += 7n) {
      const byte = bytes[at++]!
      value |= BigInt(byte & 127) << shift
      if (byte < 128) return value
    }
  }
  while (at < bytes.length) {
    const tag = Number(varint())
    let value: bigint | Buffer
    if ((tag & 7) === 0) value = varint()
    else if ((tag & 7) === 1) value = bytes.readBigUInt64LE((at += 8) - 8)
    else if ((tag & 7) === 5) value = BigInt(bytes.readUInt32LE((at += 4) - 4))
    else {
      const length = Number(varint())
      value = bytes.subarray(at, (at += length))
    }
    found.set(tag >>> 3, [...(found.get(tag >>> 3) ?? []), value])
  }
  return found
}
const all = (message: Message, field: number): Message[] => (message.get(field) ?? []).map(each => read(each as Buffer))
const bytes = (message: Message, field: number): Buffer => (message.get(field)?.at(-1) as Buffer | undefined) ?? Buffer.alloc(0)
const number = (message: Message, field: number): bigint => (message.get(field)?.at(-1) as bigint | undefined) ?? 0n

const fromProtobuf = (body: Buffer): Seen[] =>
  all(read(body), 1).flatMap(of => {
    const resource = keyed(read(bytes(of, 1)), 1)
    return all(of, 2).flatMap(scope =>
      all(scope, 2).map(span => {
        const status = read(bytes(span, 15))
        return {
          service: String(resource['service.name']),
          resource,
          traceId: bytes(span, 1).toString('hex'),
          spanId: bytes(span, 2).toString('hex'),
          parentId: bytes(span, 4).toString('hex'),
          state: bytes(span, 3).toString(),
          name: bytes(span, 5).toString(),
          kind: Number(number(span, 6)),
          isError: number(status, 3) === 2n,
          said: bytes(status, 2).toString(),
          startNs: number(span, 7),
          endNs: number(span, 8),
          attributes: keyed(span, 9),
          events: all(span, 11).map(each => ({ name: bytes(each, 2).toString(), attributes: keyed(each, 3) })),
        }
      }),
    )
  })

const keyed = (message: Message, field: number): Values =>
  Object.fromEntries(
    all(message, field).map(pair => {
      const value = read(bytes(pair, 2))
      const made = value.has(1)
        ? bytes(value, 1).toString()
        : value.has(2)
          ? number(value, 2) === 1n
          : Number(BigInt.asIntN(64, number(value, 3)))
      return [bytes(pair, 1).toString(), made]
    }),
  )
