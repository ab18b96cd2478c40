/** Small truths about byte arrays that several rooms need. Uint8Array only, so that the browser may use them too. */

export const noBytes: Uint8Array = new Uint8Array(0)

export function concat(parts: readonly Uint8Array[]): Uint8Array {
  if (parts.length === 1) return parts[0]!
  let length = 0
  for (const part of parts) length += part.length
  const whole = new Uint8Array(length)
  let at = 0
  for (const part of parts) {
    whole.set(part, at)
    at += part.length
  }
  return whole
}
