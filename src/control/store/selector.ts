/** Label and field selectors in Kubernetes syntax, as predicates over a resource. kubernetes.io/docs/concepts/overview/working-with-objects/labels */

import type { Resource } from '#resources/kind'
import { StoreError } from './contract.ts'

export type Predicate = (resource: Resource) => boolean

type Labels = Readonly<Record<string, string>>
const noLabels: Labels = {}

/** Comma separated: `a=b` `a==b` `a!=b` `a in (b,c)` `a notin (b,c)` `a` `!a`. `!=` and `notin` match what lacks the key too. Throws invalid. */
export function labelPredicate(selector: string | undefined): Predicate {
  const fits = labelsPredicate(selector)
  return resource => fits(resource.metadata.labels ?? noLabels)
}

/** The same over labels alone. */
export function labelsPredicate(selector: string | undefined): (labels: Labels) => boolean {
  const terms = splitOutsideBrackets(selector ?? '').map(labelTerm)
  return labels => terms.every(holds => holds(labels))
}

const key = '[A-Za-z0-9](?:[A-Za-z0-9._/-]*[A-Za-z0-9])?'
const setTerm = new RegExp(`^(${key})\\s+(in|notin)\\s*\\(([^()]*)\\)$`)
const equalTerm = new RegExp(`^(${key})\\s*(==|=|!=)\\s*([A-Za-z0-9._-]*)$`)
const existsTerm = new RegExp(`^(!?)\\s*(${key})$`)

function labelTerm(term: string): (labels: Labels) => boolean {
  const set = setTerm.exec(term)
  if (set) {
    const [, name = '', operator, list = ''] = set
    const values = new Set(list.split(',').map(value => value.trim()))
    return operator === 'in'
      ? labels => name in labels && values.has(labels[name]!)
      : labels => !(name in labels) || !values.has(labels[name]!)
  }
  const equal = equalTerm.exec(term)
  if (equal) {
    const [, name = '', operator, value] = equal
    return operator === '!=' ? labels => labels[name] !== value : labels => labels[name] === value
  }
  const exists = existsTerm.exec(term)
  if (exists) {
    const [, not, name = ''] = exists
    return not ? labels => !(name in labels) : labels => name in labels
  }
  throw new StoreError(
    'invalid',
    `label selector: cannot read "${term}": write key=value, key!=value, key in (a,b), key notin (a,b), key or !key`,
  )
}

function splitOutsideBrackets(text: string): string[] {
  const terms = ['']
  let depth = 0
  for (const letter of text) {
    if (letter === '(') depth++
    if (letter === ')') depth--
    if (letter === ',' && depth <= 0) terms.push('')
    else terms[terms.length - 1] += letter
  }
  return terms.map(term => term.trim()).filter(term => term !== '')
}

const fields: Readonly<Record<string, (resource: Resource) => string>> = {
  'metadata.name': resource => resource.metadata.name,
  'metadata.namespace': resource => resource.metadata.namespace ?? '',
}

/** Only the fields that every Kubernetes kind supports. Throws invalid. */
export function fieldPredicate(selector: string | undefined): Predicate {
  const terms = splitOutsideBrackets(selector ?? '').map(fieldTerm)
  return resource => terms.every(holds => holds(resource))
}

function fieldTerm(term: string): Predicate {
  const [, field, operator, value] = /^([^=!]+?)\s*(==|=|!=)\s*(.*)$/.exec(term) ?? []
  if (field === undefined) throw new StoreError('invalid', `field selector: cannot read "${term}": write metadata.name=NAME`)
  const read = fields[field]
  if (!read) throw new StoreError('invalid', `field label not supported: ${field}: use metadata.name or metadata.namespace`)
  return operator === '!=' ? resource => read(resource) !== value : resource => read(resource) === value
}
