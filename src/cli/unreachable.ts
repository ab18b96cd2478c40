/** What is said when no control plane answers: where it was looked for, who said so, and what to do. */

import type { ControlAddress } from './context.ts'

/** message: of the client's Unreachable, whose reason stands in brackets. */
export function notReached(message: string, { url, from }: ControlAddress): readonly string[] {
  const reason = /\(([^()]*(?:\([^()]*\)[^()]*)*)\)/.exec(message)?.[1] ?? 'no answer'
  return [
    `the control plane at ${url} (from ${from}) does not answer: ${reason}`,
    '  is it running? "weft control" starts one; --control URL, WEFT_CONTROL or "weft context use NAME" choose another',
  ]
}
