/** The two machines of an HTTP/1.x connection, as tables: what is being read and what is being written. Anything absent is an error. */

//  reading    idle ──ask──▶ head ──message──▶ body ──end──▶ done ──next──▶ idle   a client: nothing may come before it asked
//                           head ──message──▶ body ──end──▶ done ──again──▶ head  a server: the next request may always come
//             head ──interim──▶ head    a 1xx response
//             head, body, done ──switch──▶ tunnel ──end──▶ closed    CONNECT or Upgrade was accepted
//             any ──fail──▶ failed      any ──close──▶ closed: what still comes is discarded
export const reading = {
  idle: { ask: 'head', fail: 'failed', close: 'closed' },
  head: { message: 'body', interim: 'head', switch: 'tunnel', fail: 'failed', close: 'closed' },
  body: { end: 'done', fail: 'failed', close: 'closed' },
  done: { next: 'idle', again: 'head', switch: 'tunnel', fail: 'failed', close: 'closed' },
  tunnel: { end: 'closed', fail: 'failed', close: 'closed' },
  failed: { close: 'failed' },
  closed: { close: 'closed' },
} as const satisfies Table

//  writing    idle ──owe──▶ owed ──message──▶ body ──end──▶ done ──next──▶ idle   a server owes a response once a request came
//             idle ─────────────message─────▶ body                                a client asks; a server gives up an idle connection (408, 503)
//             owed ──interim──▶ owed       owed, body, done ──switch──▶ tunnel ──end──▶ done
export const writing = {
  idle: { owe: 'owed', message: 'body' },
  owed: { interim: 'owed', message: 'body', switch: 'tunnel' },
  body: { end: 'done', switch: 'tunnel' },
  done: { next: 'idle', switch: 'tunnel' },
  tunnel: { end: 'done' },
} as const satisfies Table

type Table = Record<string, Record<string, string>>
export type Reading = keyof typeof reading
export type Writing = keyof typeof writing

/** A step that a table lacks is a bug of the caller, hence an Error and not a Failure. */
export function step<State extends string>(
  table: Readonly<Record<State, Readonly<Record<string, string>>>>,
  from: State,
  by: string,
): State {
  const to = table[from][by]
  if (to === undefined) throw new Error(`HTTP/1 codec: "${by}" is impossible while "${from}"`)
  return to as State
}
