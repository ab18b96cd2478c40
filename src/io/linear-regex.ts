/** Regular expressions whose time is in proportion to the text, whatever they are: V8 has an engine for them, behind a flag of its own. */

import v8 from 'node:v8'

/** From now on `new RegExp(…, 'l')` is known, and refuses what it cannot match in that time; all other expressions are as they were. */
export function allowLinearRegex(): void {
  v8.setFlagsFromString('--enable-experimental-regexp-engine')
}
