/** What an owner of listening sockets and its workers say to each other over the channel of a child process. */

/** name tells listeners apart, also where two ask for any free port. */
export type Wanted = { readonly name: string; readonly host: string; readonly port: number }

export const keyOf = ({ name, host, port }: Wanted): string => `${name} ${host} ${port}`

export type FromWorker =
  | { readonly type: 'here' }
  | { readonly type: 'open'; readonly wanted: Wanted }
  /** Comes with the socket: the owner accepted on its own copy until now, and is about to close that. */
  | { readonly type: 'copy'; readonly wanted: Wanted }
  /** The worker serves on without this listener. */
  | { readonly type: 'closed'; readonly wanted: Wanted }
  | { readonly type: 'ready' }
  | { readonly type: 'failed'; readonly says: string }
  | { readonly type: 'told'; readonly about: unknown }

export type ToWorker =
  | { readonly type: 'begin'; readonly order: unknown }
  /** Comes with the socket. port: the one that is bound. */
  | { readonly type: 'opened'; readonly wanted: Wanted; readonly port: number; readonly wantsCopy: boolean }
  | { readonly type: 'unopened'; readonly wanted: Wanted; readonly says: string }
  | { readonly type: 'told'; readonly about: unknown }
  /** Others accept now. retire: what is open is served to its end; drain: callers are told to go elsewhere. */
  | { readonly type: 'leave'; readonly how: 'retire' | 'drain'; readonly deadlineMs: number }
