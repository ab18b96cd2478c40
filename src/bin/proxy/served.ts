/** A proxy by a file as `weft proxy` sees it, whichever processes it is made of. */

import type { Page } from '#proxy/admin'
import type { Opened } from '#proxy/from-file'

export type Served = AsyncDisposable & {
  readonly listeners: readonly Opened[]
  /** As the file has it. */
  readonly adminPort: number | undefined
  page(path: string): Page | Promise<Page>
  /** Reads its files again now. */
  reread(): void
  /** Exchanges the processes that serve for new ones, of the program as it is on disk now. Resolves, with a sentence, when those serve; rejects when they cannot: then nothing has changed. */
  restart(): Promise<string>
  /** Stops taking callers, lets what runs end, at most this long. */
  drain(deadlineMs: number): Promise<void>
}
