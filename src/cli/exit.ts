/** How a command ends: exit codes, and the errors that carry one. */

/** 0 done, 1 failed (or: `weft diff` found a difference), 2 the command line itself is wrong. */
export const exit = { ok: 0, failed: 1, usage: 2 } as const

/** The command cannot go on. The message is for people; it has no use for its stack. An empty one means: already said. */
export class Stopped extends Error {
  readonly code: number
  constructor(message: string, code: number = exit.failed) {
    super(message)
    this.name = 'Stopped'
    this.code = code
  }
}

/** Everything that is wrong with the command line, together. */
export const badUsage = (says: readonly string[]): Stopped => new Stopped(says.join('\n'), exit.usage)
