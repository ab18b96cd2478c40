/** What the rooms write to when something is worth telling an operator; `io/log` makes a real one. */

export type LogFields = Readonly<Record<string, unknown>>

export interface Log {
  debug(says: string, fields?: LogFields): void
  info(says: string, fields?: LogFields): void
  warn(says: string, fields?: LogFields): void
  error(says: string, fields?: LogFields): void
  /** A log whose every line carries these fields too. */
  with(fields: LogFields): Log
}

export const silent: Log = { debug() {}, info() {}, warn() {}, error() {}, with: () => silent }
