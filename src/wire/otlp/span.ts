/** What a span is, and the numbers by which OTLP tells it. */

export type OtlpEncoding = 'protobuf' | 'json'
export type OtlpValue = string | number | boolean
/** Numbers are whole. */
export type Attributes = readonly (readonly [name: string, value: OtlpValue])[]

/** Ids in hexadecimal; parentId '' for none. Times are microseconds since the epoch. error: it failed, and how, where that is to be said; absent: nothing is said of it. */
export type Span = {
  readonly traceId: string
  readonly spanId: string
  readonly parentId: string
  readonly isSampled: boolean
  /** tracestate. */
  readonly state: string
  readonly name: string
  readonly kind: 'server' | 'client'
  readonly startUs: number
  readonly endUs: number
  readonly attributes: Attributes
  readonly droppedAttributes?: number
  readonly events: readonly { readonly atUs: number; readonly name: string; readonly attributes: Attributes }[]
  readonly droppedEvents?: number
  readonly error?: string
}

export const kinds = { server: 2, client: 3 } as const
export const isError = 2

/** TraceFlags, and whether the parent is of another process (span flags, bits 8 and 9). */
export const flagsOf = ({ isSampled, parentId }: Span): number => (isSampled ? 1 : 0) | 0x100 | (parentId === '' ? 0 : 0x200)
