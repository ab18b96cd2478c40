/**
 * What of a policy is one field: the unit in which the narrower policy overrules the wider.
 *
 * Each key right under `spec` is one, but for targetRefs and from; what is listed here goes together, or apart.
 */

import type { Resource } from '#resources/kind'

type Spec = Readonly<Record<string, unknown>>
/** What one document says: by name of the field. */
export type Says = Readonly<Record<string, unknown>>

/** Keys that mean nothing without each other are one field, by the name of the first. */
const together: Readonly<Record<string, readonly (readonly string[])[]>> = {
  BackendPolicy: [['balance', 'choices', 'hash', 'slowStart']],
}
/** Of these each key is a field, `timeouts.request`. */
const apart: Readonly<Record<string, readonly string[]>> = {
  RoutePolicy: ['timeouts', 'compression', 'limits'],
  TelemetryPolicy: ['accessLog', 'tracing'],
}
/** The whole of these is one field: half of a fault and half of another would be a third that nobody wrote. */
const whole: Readonly<Record<string, string>> = {
  FaultPolicy: 'fault',
  RateLimitPolicy: 'limit',
  JWTPolicy: 'providers',
  ExternalAuthorizationPolicy: 'provider',
  LoginPolicy: 'provider',
}

const isAt = new Set(['targetRefs', 'from'])

export function saysOf({ kind, spec }: Resource): Says {
  const said = Object.entries((spec ?? {}) as Spec).filter(([key, value]) => !isAt.has(key) && value !== undefined)
  const one = whole[kind]
  if (one !== undefined) return { [one]: Object.fromEntries(said) }
  const found: Record<string, unknown> = {}
  for (const [key, value] of said) {
    const group = together[kind]?.find(each => each.includes(key))?.[0]
    if (group !== undefined) found[group] = { ...(found[group] as Spec | undefined), [key]: value }
    else if (apart[kind]?.includes(key) === true)
      for (const [inner, each] of Object.entries(value as Spec)) {
        if (each !== undefined) found[`${key}.${inner}`] = each
      }
    else found[key] = value
  }
  // What is told of them is to be the same in whatever order they are written.
  return Object.fromEntries(Object.entries(found).sort(([one], [other]) => (one < other ? -1 : 1)))
}

/** Which fields a remark is about; of a kind that is one field as a whole there is nothing to tell apart. */
export const aboutFields = (kind: string, fields: readonly string[]): string => (whole[kind] === undefined ? `${fields.join(', ')}: ` : '')

/** What to write before a remark on a field; of a kind that is one field as a whole there is nothing to tell apart. */
export const aboutField = (kind: string, field: string): string => (whole[kind] === undefined ? `spec.${field}: ` : '')

/** The spec that says this: the way back of `saysOf`. */
export function specOf(kind: string, says: Says): Spec {
  const one = whole[kind]
  if (one !== undefined) return (says[one] ?? {}) as Spec
  const made: Record<string, unknown> = {}
  for (const [field, value] of Object.entries(says)) {
    const dot = field.indexOf('.')
    if (together[kind]?.some(([first]) => first === field) === true) Object.assign(made, value)
    else if (dot < 0) made[field] = value
    else made[field.slice(0, dot)] = { ...(made[field.slice(0, dot)] as Spec | undefined), [field.slice(dot + 1)]: value }
  }
  return made
}
