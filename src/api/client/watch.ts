/** Reads a watch: one JSON event a line, an ERROR event is an ApiError. */

import { apiErrorOf } from './request.ts'

type Line<Event> = Event | { readonly type: 'ERROR'; readonly object: Parameters<typeof apiErrorOf>[0] }

export async function* eventsOf<Event extends { readonly type: string }>(
  open: () => Promise<ReadableStream<Uint8Array>>,
): AsyncGenerator<Event> {
  const stream = await open()
  for await (const line of linesOf(stream)) {
    const event = JSON.parse(line) as Line<Event>
    if (event.type === 'ERROR') throw apiErrorOf((event as Line<Event> & { object: Parameters<typeof apiErrorOf>[0] }).object)
    yield event as Event
  }
}

/** The reader is let go of when the loop over it ends, which closes the connection. */
async function* linesOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  const reader = stream.getReader()
  const decoder = new TextDecoder()
  let rest = ''
  try {
    for (;;) {
      const { done, value } = await reader.read().catch(endOfBroken)
      if (done) break
      const lines = (rest + decoder.decode(value, { stream: true })).split('\n')
      rest = lines.pop() ?? ''
      yield* lines.filter(line => line !== '')
    }
  } finally {
    await reader.cancel().catch(() => {})
  }
}

/** A connection that breaks ends the watch as a server that closes it does: whoever watches asks again, and is told then if nobody is there. */
function endOfBroken(thrown: unknown): { done: true; value: undefined } {
  if (thrown instanceof TypeError) return { done: true, value: undefined }
  throw thrown
}
