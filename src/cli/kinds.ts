/** How a kind that the control plane serves is found by what a person types. */

import { nearest } from '#base/near'
import type { ServedKind } from '#api/client'
import { badUsage } from './exit.ts'

export type { ServedKind } from '#api/client'

/** By plural, singular, short name or kind, in any case, with `.group` behind it if they like. */
export function findKind(kinds: readonly ServedKind[], typed: string): ServedKind | undefined {
  const [name = '', ...group] = typed.toLowerCase().split('.')
  return kinds.find(each => (group.length === 0 || each.group === group.join('.')) && namesOf(each).includes(name))
}

const namesOf = ({ plural, singular, kind, shortNames }: ServedKind): readonly string[] => [
  plural,
  singular,
  kind.toLowerCase(),
  ...shortNames,
]

/** `svc,httproutes`, or the name of a category such as `weft`, or `all`: every kind that lives in a namespace. Throws Stopped with what was probably meant. */
export async function chooseKinds(kinds: readonly ServedKind[], typed: string): Promise<readonly ServedKind[]> {
  const wrong: string[] = []
  const chosen: ServedKind[] = []
  for (const word of typed.split(',').filter(Boolean)) {
    const one = findKind(kinds, word)
    const many = one ? [one] : kinds.filter(({ categories, namespaced }) => (word === 'all' ? namespaced : categories.includes(word)))
    if (many.length > 0) chosen.push(...many)
    else wrong.push(await unknownKind(kinds, word))
  }
  if (typed.replaceAll(',', '') === '') wrong.push('the kind is missing, such as services')
  if (wrong.length > 0) throw badUsage(wrong)
  return [...new Set(chosen)]
}

export async function oneKind(kinds: readonly ServedKind[], typed: string): Promise<ServedKind> {
  const found = findKind(kinds, typed)
  if (!found) throw badUsage([await unknownKind(kinds, typed)])
  return found
}

async function unknownKind(kinds: readonly ServedKind[], typed: string): Promise<string> {
  const near = nearest(
    typed.toLowerCase(),
    kinds.flatMap(each => namesOf(each).filter(name => name.length > 2)),
  )
  return `there is no kind "${typed}"${near === undefined ? '.' : `; did you mean "${near}"?`} Known: ${kinds.map(each => each.plural).join(', ')}`
}

/** apiVersion: `v1` or `group/version`. */
export function kindOfDocument(kinds: readonly ServedKind[], apiVersion: string, kind: string): ServedKind | undefined {
  const slash = apiVersion.indexOf('/')
  const [group, version] = slash < 0 ? ['', apiVersion] : [apiVersion.slice(0, slash), apiVersion.slice(slash + 1)]
  const found = kinds.find(each => each.kind === kind && each.group === group && each.versions.includes(version))
  return found && { ...found, version }
}

/** `httproute/split`: how commands name an object, and take it. */
export const shortName = ({ singular }: Pick<ServedKind, 'singular'>, name: string): string => `${singular}/${name}`
