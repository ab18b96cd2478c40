/** Cuts a list into pages in the order of namespace and name; every page shows the state at the revision of the first. */

import type { Resource } from '#resources/kind'
import { StoreError, type Page, type Query } from './contract.ts'

type Token = { readonly revision: number; readonly after: readonly [namespace: string, name: string] }

/** itemsAt: the matching objects as they were at a revision; throws gone when that is forgotten. */
export function page(
  { limit, continue: text, at: asked }: Query,
  revision: number,
  itemsAt: (revision: number) => readonly Resource[],
): Page {
  const token = text ? readToken(text) : undefined
  const at = token?.revision ?? asked ?? revision
  const items = itemsAt(at).toSorted((a, b) => order(keyOf(a), keyOf(b)))
  const rest = token ? items.filter(item => order(keyOf(item), token.after) > 0) : items
  if (!limit || rest.length <= limit) return { items: rest, revision: at }
  const shown = rest.slice(0, limit)
  return { items: shown, revision: at, continue: writeToken({ revision: at, after: keyOf(shown.at(-1)!) }), remaining: rest.length - limit }
}

type Key = Token['after']
const keyOf = ({ metadata }: Resource): Key => [metadata.namespace ?? '', metadata.name]
const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)
const order = (a: Key, b: Key): number => compare(a[0], b[0]) || compare(a[1], b[1])

const writeToken = (token: Token): string => btoa(JSON.stringify(token))

function readToken(text: string): Token {
  try {
    const { revision, after } = JSON.parse(atob(text)) as Partial<Token>
    if (typeof revision === 'number' && Array.isArray(after) && after.every(part => typeof part === 'string'))
      return { revision, after: after as unknown as Key }
  } catch {
    // Falls through to the message: a token is only ever copied, so any damage is the same mistake.
  }
  throw new StoreError('invalid', 'continue: this token was not made by this server: list again from the start')
}
