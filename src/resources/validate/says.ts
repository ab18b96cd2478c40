/** Turns what zod found into words that tell a person what to do. */

import type { z } from 'zod'
import type { Problem } from '#base/note'
import { patternWords } from '../fields.ts'
import { didYouMean } from '#base/near'
import { fieldsAt } from './shape.ts'

type Issue = z.core.$ZodIssue
export type FieldPath = readonly (string | number)[]

/** `spec.rules[0].name`; a key that is no plain word stands in brackets: `metadata.labels[app.kubernetes.io/name]`. */
export const pathText = (path: FieldPath): string =>
  path
    .map((step, at) => (typeof step === 'number' || !/^[A-Za-z_][\w-]*$/.test(step) ? `[${step}]` : at === 0 ? step : `.${step}`))
    .join('')

export const valueAt = (value: unknown, path: FieldPath): unknown =>
  path.reduce<unknown>(
    (at, step) => (at === null || typeof at !== 'object' ? undefined : (at as Record<string | number, unknown>)[step]),
    value,
  )

/** path: of the field itself, for its place in the text. */
export type Found = { readonly path: FieldPath; readonly onKey: boolean; readonly says: string }

/** Of more unknown fields in one place nobody reads what they might have been. */
const mostExplained = 20

export function foundIn(issue: Issue, document: unknown, schema: z.ZodType): readonly Found[] {
  const path = issue.path as (string | number)[]
  if (issue.code === 'unrecognized_keys') {
    const known = fieldsAt(schema, path)
    const all = known.length ? `; known here: ${known.join(', ')}` : ''
    return issue.keys.map((key, at) => ({
      path: [...path, key],
      onKey: true,
      says: at < mostExplained ? `unknown field${didYouMean(key, known)}${all}` : 'unknown field',
    }))
  }
  if (issue.code === 'invalid_key') return [{ path, onKey: true, says: issue.issues[0]?.message ?? 'is not a valid key' }]
  return [{ path, onKey: false, says: says(issue, valueAt(document, path)) }]
}

function says(issue: Issue, value: unknown): string {
  switch (issue.code) {
    case 'invalid_type':
      return wrongType(issue.expected, value)
    case 'invalid_value':
      return oneOf(issue.values.map(String), value)
    case 'invalid_format': {
      if (!issue.message.startsWith('Invalid')) return issue.message
      const words = patternWords.get(issue.pattern ?? '')
      return `${show(value)} is not allowed here: ${words ? `must be ${words}` : `must match ${issue.pattern}`}`
    }
    case 'too_big':
      return issue.origin === 'array'
        ? `has too many entries: at most ${issue.maximum}`
        : `is too ${issue.origin === 'string' ? 'long' : 'large'}: at most ${issue.maximum}${issue.origin === 'string' ? ' characters' : ''}`
    case 'too_small':
      if (value === '') return 'must not be empty'
      return issue.origin === 'array'
        ? `has too few entries: at least ${issue.minimum}`
        : `is too ${issue.origin === 'string' ? 'short' : 'small'}: at least ${issue.minimum}`
    case 'invalid_union': {
      const inner = issue.errors.flat()
      const values = inner.flatMap(each => (each.code === 'invalid_value' ? each.values.map(String) : []))
      if (values.length > 0) return oneOf(values, value)
      return wrongType(inner.flatMap(each => (each.code === 'invalid_type' ? [each.expected] : [])).join(' or '), value)
    }
    default:
      return issue.message
  }
}

const typeNames: Readonly<Record<string, string>> = {
  int: 'whole number',
  number: 'number',
  array: 'list',
  object: 'mapping',
  record: 'mapping',
  boolean: 'true or false',
}
const article = (expected: string): string =>
  expected
    .split(' or ')
    .map(each => (each === 'boolean' ? 'true or false' : `a ${typeNames[each] ?? each}`))
    .join(' or ')

function wrongType(expected: string, value: unknown): string {
  if (value === undefined) return `is needed: ${article(expected)}`
  const quote = expected === 'string' && (typeof value === 'number' || typeof value === 'boolean') ? `: write it in quotes, "${value}"` : ''
  const bare =
    /^(number|int|boolean)$/.test(expected) && typeof value === 'string' && /^(-?\d+|true|false)$/.test(value)
      ? ': write it without quotes'
      : ''
  return `must be ${article(expected)}, not ${show(value)}${quote}${bare}`
}

function oneOf(values: readonly string[], value: unknown): string {
  const list = values.map(each => (each === '' ? '""' : each)).join(', ')
  if (value === undefined) return `is needed: one of ${list}`
  return `${show(value)} is not allowed here${typeof value === 'string' ? didYouMean(value, values) : ''}: must be ${values.length > 1 ? 'one of ' : ''}${list}`
}

function show(value: unknown): string {
  if (Array.isArray(value)) return 'a list'
  if (value !== null && typeof value === 'object') return 'a mapping'
  if (typeof value !== 'string') return `${value === null ? '' : `the ${typeof value} `}${String(value)}`
  return JSON.stringify(value.length > 60 ? `${value.slice(0, 60)}…` : value)
}

export const problem = (about: string, found: Found): Problem => ({ about, path: pathText(found.path), says: found.says })
