/** What `weft proxy` and its workers tell each other, beside what a fleet says of itself. */

import type { Page } from '#proxy/admin'
import type { Opened, Place } from '#proxy/from-file'
import type { Counts } from '#proxy/tally'

/** What a worker is for. */
export type Order = { readonly kind: 'file'; readonly place: Place; readonly drainMs: number }

export type ToFileWorker =
  | { readonly type: 'page'; readonly id: number; readonly path: string }
  /** Tell now what was counted since. */
  | { readonly type: 'count'; readonly id: number }
  | { readonly type: 'reread' }

export type FromFileWorker =
  | { readonly type: 'counts'; readonly counts: Counts }
  | { readonly type: 'answer'; readonly id: number; readonly page?: Page }
  | { readonly type: 'listening'; readonly listeners: readonly Opened[]; readonly adminPort: number | undefined }
  | { readonly type: 'changed'; readonly refused?: string }
