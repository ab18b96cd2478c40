/** What a request says of its trace, and what it takes along. */

/**
 * What came with a request. traceId: 32 hexadecimal digits in lower case, spanId 16; both are absent where there is only a decision, which B3 can say.
 * isSampled: undefined: whoever reads it decides. isRandom: who began the trace says that its id is by chance. state: tracestate, '' for none. b3: how it was written, where it was.
 */
export type Incoming = {
  readonly traceId?: string
  readonly spanId?: string
  readonly isSampled: boolean | undefined
  readonly isRandom?: true | undefined
  readonly state: string
  readonly b3?: B3 | undefined
}

/** What a request takes along: whose span sends it. parentId: of that span, '' for none. */
export type Outgoing = {
  readonly traceId: string
  readonly spanId: string
  readonly parentId: string
  readonly isSampled: boolean
  readonly isRandom?: true | undefined
  readonly state: string
  readonly b3?: B3 | undefined
}

/** How B3 was written: in how many headers, and whether the request is to be looked into by all, which stands in place of a decision. */
export type B3 = { readonly form: 'single' | 'multi'; readonly isDebug: boolean }
