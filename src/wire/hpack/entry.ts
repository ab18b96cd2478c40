/** One header field of a table: made once when it enters, shared by every message that refers to it. */

export class Entry {
  readonly name: string
  readonly value: string
  /** RFC 7541 §4.1: what it counts for in a table and in a header list. */
  readonly size: number
  /** What a reader of messages found out about this field once, for all messages that have it; 0: nothing yet. HPACK itself does not look at it. */
  note = 0
  constructor(name: string, value: string) {
    this.name = name
    this.value = value
    this.size = name.length + value.length + entryOverhead
  }
}

/** RFC 7541 §4.1. */
export const entryOverhead = 32
