/** The values of a field, one for each time that it stands there: unlike others, these must not be joined unseen. */

import type { Fields } from '../http1.ts'

/** name: in lower case. */
export function valuesOf(fields: Fields, name: string): readonly string[] {
  let found: string[] | undefined
  for (let at = 0; at < fields.length; at += 2) {
    const key = fields[at]!
    if (key.length === name.length && key.toLowerCase() === name) (found ??= []).push(fields[at + 1]!)
  }
  return found ?? none
}
const none: readonly string[] = []
